package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// App is a process: what it logs and measures with, and its parts.
type App struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Tracer  trace.Tracer

	name     string
	config   Config
	admin    *http.Server
	listener net.Listener
	running  atomic.Bool // every part has been started
	draining atomic.Bool
	failed   chan error

	mu     sync.Mutex
	parts  []part // stopped from the end
	checks []check
}

// part is something that is ended in its turn.
type part struct {
	name string
	stop func(ctx context.Context) error
}

// New makes the process and opens its admin port, so that a start that hangs can be looked at.
func New(name string, c Config, stdout io.Writer) (*App, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	a := &App{
		Log: newLogger(name, c.LogFormat, level, stdout), Metrics: prometheus.NewRegistry(),
		name: name, config: c, failed: make(chan error, 1),
	}
	a.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&checkCollector{a})
	tracer, stop, err := newTracer(name, c.OTLPEndpoint)
	if err != nil {
		return nil, err
	}
	a.Tracer = tracer
	a.Defer("tracer", stop)
	if err := a.listen(); err != nil {
		return nil, err
	}
	return a, nil
}

func newLogger(name, format string, level slog.Level, out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(out, options)
	if format == "text" {
		handler = slog.NewTextHandler(out, options)
	}
	return slog.New(handler).With("service", name)
}

// Go starts a long-lived part in a context of its own. At the end it is told to stop after everything that was added
// later has ended, and it must return then. A part that returns before that ends the process.
func (a *App) Go(name string, run func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := run(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			select {
			case a.failed <- fmt.Errorf("%s: %w", name, err):
			default: // another one was first
			}
		}
		ended <- err
	}()
	a.Defer(name, func(deadline context.Context) error {
		cancel()
		select {
		case err := <-ended:
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-deadline.Done():
			return fmt.Errorf("did not stop in time: %w", deadline.Err())
		}
	})
}

// Defer adds a clean-up step, to be run in its turn.
func (a *App) Defer(name string, stop func(ctx context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parts = append(a.parts, part{name, stop})
}

// Run blocks until ctx ends or a part fails; then it stops everything, last in, first out, within SHUTDOWN_TIMEOUT. It
// gives the failure, or what went wrong while stopping.
func (a *App) Run(ctx context.Context) error {
	a.running.Store(true)
	chaos.Pass(chaos.Start)
	a.Log.Info("running", "admin", a.listener.Addr().String())
	var cause error
	select {
	case <-ctx.Done():
		a.Log.Info("stopping")
	case cause = <-a.failed:
		a.Log.Error("a part failed; stopping", "error", cause)
	}
	return errors.Join(cause, a.stop())
}

func (a *App) stop() error {
	a.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), a.config.ShutdownTimeout)
	defer cancel()
	a.mu.Lock()
	parts := slices.Clone(a.parts)
	a.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(parts) {
		if err := p.stop(ctx); err != nil {
			a.Log.Error("a part did not stop well", "part", p.name, "error", err)
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
	}
	if err := a.admin.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close the admin port: %w", err))
	}
	a.Log.Info("stopped")
	return errors.Join(errs...)
}
