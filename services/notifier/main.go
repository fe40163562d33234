// Notifier pushes every event to whoever may see it: over WebSocket and over Server-Sent Events, from any point of the
// past on, out of the Kafka log. It owns nothing and any number of instances may run.
//
// The way of an event: internal/feed (one sequencer over all partitions of both topics) → internal/push (a queue and a
// loop for each connection). The HTTP side is internal/api → internal/push. internal/cursor is the position.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/config"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/api"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
	"github.com/orderwire/orderwire/services/notifier/internal/push"
)

// name of the service, in logs and to Kafka.
const name = "notifier"

// Config is what the environment says.
type Config struct {
	Service service.Config
	Kafka   kafka.Config
	Web     web.Config
	Auth    auth.Config
	Feed    feed.Config
	Push    push.Config
}

// Validate sees to it that a drain fits into the time there is for stopping.
func (c Config) Validate() error {
	if c.Push.DrainWindow >= c.Service.ShutdownTimeout {
		return errors.New("DRAIN_WINDOW must be shorter than SHUTDOWN_TIMEOUT")
	}
	return nil
}

// defaults are this service's own; the environment comes after them.
var defaults = []string{"HTTP_ADDR=:8084", "ADMIN_ADDR=:9084", "SHUTDOWN_TIMEOUT=30s"}

func main() { service.Main(name, run) }

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	conf, err := config.Parse[Config](slices.Concat(defaults, environ))
	if err != nil {
		return err
	}
	app, err := service.New(name, conf.Service, stdout)
	if err != nil {
		return err
	}
	verifier, err := auth.NewVerifier(ctx, conf.Auth)
	if err != nil {
		return fmt.Errorf("make a verifier of tokens: %w", err)
	}
	metrics := feed.NewMetrics(app.Metrics)
	sequencer := feed.NewSequencer(metrics)
	live := feed.NewLive(conf.Feed, conf.Kafka, name, sequencer, app.Log, metrics)
	app.Check("kafka", true, live.Ready)
	history := feed.NewHistory(conf.Feed, conf.Kafka, name, sequencer, app.Log, metrics)
	app.Defer("history", history.Close)
	hub := push.NewHub(conf.Push, sequencer, history, live, verifier, app.Log, push.NewMetrics(app.Metrics))
	server := web.New(conf.Web, app.Log, app.Metrics, app.Tracer)
	api.New(hub, verifier, conf.Push.SlowAfter).Register(server, web.RateLimit(conf.Web))

	// Stopped last in, first out: the connections are drained while the port still answers, and Kafka is read until
	// the last of them has ended.
	app.Go("live", live.Run)
	app.Go("http", web.Serve(conf.Web, conf.Service.ShutdownTimeout-conf.Push.DrainWindow, server))
	app.Go("connections", hub.Run)
	return app.Run(ctx)
}
