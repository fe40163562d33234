// Package service is the life of a process: its logs, metrics and traces, its parts, and the order in which they end.
//
//	func main() { service.Main("inventory", run) }
//
//	func run(ctx context.Context, environ []string, stdout io.Writer) error {
//		app, err := service.New("inventory", conf.Service, stdout)
//		…
//		app.Go("relay", relay.Run) // stopped last
//		app.Go("http", web.Serve(conf.Web, conf.Service.ShutdownTimeout, server)) // stopped first
//		return app.Run(ctx)
//	}
//
// Parts are stopped last in, first out, each awaited before the next, all within one deadline. The admin port serves
// health, readiness, metrics and profiles from the first moment to the last. Under load garbage is collected less often
// (ballast.go).
package service
