package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/mongodb"
)

// The exit codes, see the package comment.
const (
	exitFailed = 1
	exitUsage  = 2
)

// flags of the command line.
type flags struct {
	Only        []string `placeholder:"NAME" help:"Take this measurement only (${names}); may be given several times."`
	Quick       bool     `help:"One short repetition: to see that it works, not to quote."`
	Repetitions int      `default:"3" help:"How often the whole list is measured."`
	JSON        bool     `help:"Print JSON."`
	Bin         string   `type:"path" default:"bin" help:"Directory of the services' binaries (make build)."`
	Kafka       string   `enum:"auto,apache,kfake" default:"auto" help:"Which broker to start: ${enum}; auto is Apache Kafka where it is at hand or can be fetched."`
	Gateway     bool     `help:"Place and watch through the gateway, which is part of this process, instead of directly."`
	Profile     string   `type:"path" placeholder:"DIR" help:"Put CPU profiles of the services into this directory."`
}

// garbage is how much of it this process (the clients, the gateway, an embedded broker) lets pile up, in per cent of what
// lives, unless GOGC says it: it shares the machine with what it measures.
const garbage = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	say := func(format string, args ...any) { fmt.Fprintf(errOut, format+"\n", args...) }
	var f flags
	code := -1
	parser, err := kong.New(&f, kong.Name("bench"), kong.Description("Measure a whole Orderwire on this machine."),
		kong.Writers(out, errOut), kong.Exit(func(n int) { code = n }), kong.Vars{"names": strings.Join(names(), ", ")})
	if err != nil {
		say("bench: %v", err)
		return exitFailed
	}
	_, err = parser.Parse(args)
	if code >= 0 { // --help has been answered
		return code
	}
	list, unknownName := pick(f.Only)
	if f.Repetitions < 1 || f.Repetitions > 20 {
		err = errors.Join(err, errors.New("--repetitions must be between 1 and 20"))
	}
	if err := errors.Join(err, unknownName); err != nil {
		say("bench: %v", err)
		return exitUsage
	}
	r, err := f.measure(ctx, list, environ, say)
	if err != nil {
		say("bench: %v", err)
		return exitFailed
	}
	if f.JSON {
		err = r.printJSON(out)
	} else {
		err = r.print(out, list)
	}
	if err != nil {
		say("bench: %v", err)
		return exitFailed
	}
	return r.exitCode()
}

// measure starts the stack, takes the measurements, and stops it.
func (f *flags) measure(ctx context.Context, list []measurement, environ []string, say stack.Progress) (*report, error) {
	r := &report{machine: readMachine(ctx), quick: f.Quick, profiled: f.Profile != "", repetitions: f.Repetitions}
	l := &lab{sizes: fullSizes, gateway: f.Gateway, profiles: f.Profile}
	if f.Quick {
		l.sizes, r.repetitions = quickSizes, 1
	}
	if f.Profile != "" {
		if err := os.MkdirAll(f.Profile, 0o755); err != nil {
			return nil, err
		}
	}
	kafka, err := broker(ctx, f.Kafka, environ, say)
	if err != nil {
		return nil, err
	}
	l.stack, err = stack.Start(ctx, stack.Config{Environ: environ, BinDir: f.Bin, Kafka: kafka, Build: true, Say: say})
	if err != nil {
		return nil, err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		l.stack.Stop(stopping)
	}()
	r.machine.backends(l.stack)
	// The time begins here: fetching Kafka or building a database once is not part of it.
	ctx, cancel := context.WithTimeout(ctx, l.sizes.total)
	defer cancel()
	if l.operator, err = operator(ctx, l.stack); err != nil {
		return nil, err
	}
	if l.database, err = openPeerDatabase(ctx, l.stack); err != nil {
		return nil, err
	}
	repeat(ctx, r, list, l, l.stack.Failed(), say)
	closing := context.WithoutCancel(ctx)
	return r, errors.Join(l.database.Drop(closing), mongodb.Disconnect(closing, l.database))
}

// broker says which one to start.
func broker(ctx context.Context, wanted string, environ []string, say stack.Progress) (string, error) {
	if wanted != "auto" {
		return wanted, nil
	}
	_, err := stack.PrepareKafka(ctx, environ, say)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		say("no Apache Kafka here, the embedded broker serves instead: %v", err)
		return stack.KafkaFake, nil
	}
	return stack.KafkaApache, nil
}

// operator gives a client with an operator's token.
func operator(ctx context.Context, s *stack.Stack) (*client.Client, error) {
	c := client.New(s.GatewayURL, "")
	answer, err := c.Login(ctx, "bench", true)
	if err != nil {
		return nil, fmt.Errorf("get a token: %w", err)
	}
	c.Token = answer.Token
	return c, nil
}
