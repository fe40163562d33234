package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func newApp(t *testing.T) *App {
	t.Helper()
	conf := Config{LogLevel: "info", LogFormat: "json", AdminAddr: "127.0.0.1:0", ShutdownTimeout: time.Second}
	require.NoError(t, conf.Validate())
	app, err := New("test", conf, &safeBuffer{})
	require.NoError(t, err)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return app
}

// untilStopped is a part that notes when it stops.
func untilStopped(name string, order *[]string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		*order = append(*order, name) // one after the other: that is what is tested, and the race detector agrees
		return ctx.Err()
	}
}

func TestRun_StopsPartsLastInFirstOut(t *testing.T) {
	app := newApp(t)
	var order []string
	app.Defer("database", func(context.Context) error { order = append(order, "database"); return nil })
	app.Go("relay", untilStopped("relay", &order))
	app.Go("http", untilStopped("http", &order))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, app.Run(ctx))
	require.Equal(t, []string{"http", "relay", "database"}, order)
}

func TestRun_EndsWhenAPartFails(t *testing.T) {
	for name, end := range map[string]error{"with its error": errors.New("disk on fire"), "also without one": nil} {
		t.Run(name, func(t *testing.T) {
			app := newApp(t)
			var order []string
			app.Go("http", untilStopped("http", &order))
			app.Go("consumer", func(context.Context) error { return end })
			err := app.Run(t.Context())
			require.ErrorContains(t, err, "consumer")
			require.Equal(t, []string{"http"}, order, "the others are still stopped")
		})
	}
}

func TestRun_APartThatHangsDoesNotKeepTheOthers(t *testing.T) {
	app := newApp(t)
	app.config.ShutdownTimeout = 20 * time.Millisecond
	release := make(chan struct{})
	var order []string
	app.Go("relay", untilStopped("relay", &order))
	app.Go("stuck", func(context.Context) error { <-release; return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := app.Run(ctx)
	close(release)
	require.ErrorContains(t, err, "stuck: did not stop in time")
}

func (a *App) get(t *testing.T, path string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.listener.Addr().String()+path, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, body
}

func TestReadyz_FollowsTheRequiredChecksAndShowsTheOthers(t *testing.T) {
	app := newApp(t)
	var away error
	app.Check("mongodb", true, func(context.Context) error { return away })
	app.Check("kafka", false, func(context.Context) error { return errors.New("no broker") })
	status, _ := app.get(t, "/readyz")
	require.Equal(t, 503, status, "its parts have not been started")
	app.running.Store(true)
	status, body := app.get(t, "/readyz")
	require.Equal(t, 200, status)
	var r readiness
	require.NoError(t, json.Unmarshal(body, &r))
	require.Equal(t, []checkAnswer{{"mongodb", true, true, ""}, {"kafka", false, false, "no broker"}}, r.Checks)

	away = errors.New("away")
	status, _ = app.get(t, "/readyz")
	require.Equal(t, 503, status)
	_, body = app.get(t, "/metrics")
	require.Contains(t, string(body), `service_check_up{check="mongodb",required="true"} 0`)

	away = nil
	app.draining.Store(true)
	status, _ = app.get(t, "/readyz")
	require.Equal(t, 503, status, "a service that stops takes nothing new")
	status, _ = app.get(t, "/healthz")
	require.Equal(t, 200, status)
	status, _ = app.get(t, "/debug/pprof/goroutine?debug=1")
	require.Equal(t, 200, status)
	require.NoError(t, healthcheck(app.listener.Addr().String()))
	require.NoError(t, app.stop())
	require.Error(t, healthcheck(app.listener.Addr().String()))
}

func TestReadyz_IsNoYesOfAnAppThatBeganWhileItWasAsked(t *testing.T) {
	app := newApp(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	app.Check("slow", true, func(context.Context) error { once(); <-answer; return nil })
	ready := make(chan bool, 1)
	go func() { ready <- app.ask(t.Context()).Ready }()
	<-asked
	app.Check("kafka", true, func(context.Context) error { return errors.New("not a member yet") })
	app.running.Store(true)
	close(answer)
	require.False(t, <-ready, "the check that was added meanwhile was not asked")
	require.NoError(t, app.stop())
}

func TestConfig_NamesTheVariable(t *testing.T) {
	for variable, c := range map[string]Config{
		"LOG_LEVEL":        {LogLevel: "loud", LogFormat: "json", ShutdownTimeout: 1},
		"LOG_FORMAT":       {LogLevel: "info", LogFormat: "xml", ShutdownTimeout: 1},
		"ADMIN_ADDR":       {LogLevel: "info", LogFormat: "json", AdminAddr: "nine", ShutdownTimeout: 1},
		"SHUTDOWN_TIMEOUT": {LogLevel: "info", LogFormat: "json"},
		"PARENT_WATCH":     {LogLevel: "info", LogFormat: "json", ShutdownTimeout: 1, ParentWatch: "yes"},
	} {
		require.ErrorContains(t, c.Validate(), variable)
	}
}

func TestTrace_TravelsThroughAnEvent(t *testing.T) {
	app := newApp(t)
	ctx, span := app.Tracer.Start(t.Context(), "request")
	carried := TraceParent(ctx)
	span.End()
	require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$", carried)
	ctx, next := app.Tracer.Start(Continue(t.Context(), carried), "handle")
	next.End()
	require.Equal(t, span.SpanContext().TraceID(), next.SpanContext().TraceID())
	require.NotEqual(t, carried, TraceParent(ctx))
	require.Empty(t, TraceParent(context.Background()))
	require.NoError(t, app.stop())
}
