package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/orderwire/orderwire/pkg/web"
)

// instance is a service on an address of its own, with the HTTP server of the real ones.
type instance struct {
	name, ip string
	port     string
	requests atomic.Int64
	drains   atomic.Bool // refuse, as the notifier does while it drains
	crashes  atomic.Bool // break off
	overload atomic.Bool // refuse, as any service does that lacks something

	mu   sync.Mutex
	seen map[string]int // the query of each POST → how often
	next chan struct{}  // an event of the stream is sent for each
	left chan struct{}  // closed when the client of the stream has gone

	stop  context.CancelFunc
	ended chan error
}

// said is what an instance answers.
type said struct {
	Service, IP, Path, Host, Forwarded, RequestID string
	Size                                          int64 // of the body
}

// start starts an instance of a service; a name that stands for a port was chosen by the gateway.
func (g *gateway) start(t *testing.T, name, ip string) *instance {
	t.Helper()
	i := &instance{name: name, ip: ip, port: g.ports[name], seen: map[string]int{}, next: make(chan struct{}), left: make(chan struct{})}
	conf := web.Config{Addr: net.JoinHostPort(ip, i.port), TrustedProxies: []string{"127.0.0.0/8"}}
	e := web.New(conf, slog.New(slog.DiscardHandler), nil, noop.NewTracerProvider().Tracer(""))
	e.Any("/*", i.answer)
	e.GET("/v1/events", i.events)
	e.POST("/v1/orders/crash", i.crash)
	e.GET("/v1/orders/crash", i.crash)
	e.GET("/v1/stock/silent", func(c echo.Context) error {
		<-c.Request().Context().Done()
		return nil
	})
	var ctx context.Context
	ctx, i.stop = context.WithCancel(context.Background())
	i.ended = make(chan error, 1)
	go func() { i.ended <- web.Serve(conf, 20*time.Second, e)(ctx) }()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", conf.Addr)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, 10*time.Second, 5*time.Millisecond, "%s does not listen on %s", name, conf.Addr)
	t.Cleanup(func() { i.end(t) })
	return i
}

// end is what SIGTERM does: no new connections, what is under way is answered.
func (i *instance) end(t *testing.T) {
	t.Helper()
	i.stop()
	if err, open := <-i.ended; open {
		close(i.ended)
		require.NoError(t, err)
	}
}

func (i *instance) refuses(c echo.Context) *web.Problem {
	switch {
	case i.drains.Load():
		c.Response().Header().Set("X-Draining", "true")
		return &web.Problem{Status: http.StatusServiceUnavailable, Code: "draining", Detail: "this instance is about to end"}
	case i.overload.Load():
		return web.Unavailable("the database is away")
	}
	return nil
}

func (i *instance) answer(c echo.Context) error {
	i.requests.Add(1)
	if p := i.refuses(c); p != nil {
		return p
	}
	r := c.Request()
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		i.mu.Lock()
		i.seen[r.URL.RawQuery]++
		i.mu.Unlock()
	}
	return c.JSON(http.StatusOK, said{i.name, i.ip, r.URL.Path, r.Host, c.RealIP(), r.Header.Get("X-Request-Id"), size})
}

// crash takes a request and is gone before it answers.
func (i *instance) crash(c echo.Context) error {
	if !i.crashes.Load() {
		return i.answer(c)
	}
	i.requests.Add(1)
	conn, _, err := c.Response().Hijack()
	if err != nil {
		return err
	}
	return conn.Close()
}

// events answers with an echo over WebSocket, or with a stream that has an event for each receive on next.
func (i *instance) events(c echo.Context) error {
	i.requests.Add(1)
	if p := i.refuses(c); p != nil {
		return p
	}
	if c.Request().Header.Get("Upgrade") != "" {
		return echoSocket(c.Response(), c.Request())
	}
	w := c.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.Flush()
	for n := 0; ; n++ {
		select {
		case <-c.Request().Context().Done():
			close(i.left)
			return nil
		case <-i.next:
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.Flush()
		}
	}
}

func echoSocket(w http.ResponseWriter, r *http.Request) error {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"cloudevents.json"}})
	if err != nil {
		return nil // it has been answered
	}
	defer conn.CloseNow() //nolint:errcheck // it has ended
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			return nil // the client has gone
		}
		if err := conn.Write(context.Background(), kind, message); err != nil {
			return nil // the client has gone
		}
	}
}

// posts gives how often each POST was handled.
func (i *instance) posts() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen
}

func decode(t *testing.T, body []byte) said {
	t.Helper()
	var s said
	require.NoError(t, json.Unmarshal(body, &s), string(body))
	return s
}
