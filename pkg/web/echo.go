package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// maxBody limits a request's body, in bytes.
const maxBody = 64 << 10

// New gives an Echo with everything but routes.
func New(c Config, log *slog.Logger, reg prometheus.Registerer, tracer trace.Tracer) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = errorHandler(log)
	e.IPExtractor = clientIP(c.TrustedProxies)
	e.Pre(requestID)
	e.Use(observe(log, reg, tracer), recovered(log))
	if len(c.CORSOrigins) > 0 {
		e.Use(cors(c.CORSOrigins))
	}
	e.Use(textPath, limitBody)
	return e
}

// clientIP believes X-Forwarded-For only as far as trusted proxies wrote it.
func clientIP(trusted []string) echo.IPExtractor {
	if len(trusted) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, network := range trusted {
		if p, err := netip.ParsePrefix(network); err == nil {
			options = append(options, echo.TrustIPRange(&net.IPNet{
				IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
			}))
		}
	}
	return echo.ExtractIPFromXFFHeader(options...)
}

// requestID keeps a request's id where it is sane, and makes one otherwise.
func requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !saneID(id) {
			id = uuid.NewString()
		}
		c.Request().Header.Set(echo.HeaderXRequestID, id)
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		return next(c)
	}
}

func saneID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, r := range id {
		if r < '!' || r > '~' {
			return false
		}
	}
	return true
}

// observe measures, traces and logs a request. Requests without a route share one label, so that nobody fills the
// metrics by asking for paths that do not exist.
func observe(log *slog.Logger, reg prometheus.Registerer, tracer trace.Tracer) echo.MiddlewareFunc {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_seconds", Help: "Time to answer, by route and status.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
	}, []string{"method", "route", "status"})
	if reg != nil {
		reg.MustRegister(seconds)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			begun := time.Now()
			r := c.Request()
			route := c.Path()
			if route == "" {
				route = "none"
			}
			ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
			ctx, span := tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer))
			defer span.End()
			c.SetRequest(r.WithContext(ctx))
			if err := next(c); err != nil {
				c.Error(err)
			}
			status, took := c.Response().Status, time.Since(begun)
			seconds.WithLabelValues(method(r.Method), route, strconv.Itoa(status)).Observe(took.Seconds())
			log.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", status, "seconds", took.Seconds(),
				"request_id", c.Response().Header().Get(echo.HeaderXRequestID), "client", c.RealIP(),
				"trace_id", span.SpanContext().TraceID().String(), "order_id", c.Param("id"))
			return nil
		}
	}
}

// method keeps invented methods out of the metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func recovered(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) (err error) {
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
					panic(p)
				}
				log.Error("a route panicked", "route", c.Path(), "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("panic: %v", p)
			}()
			return next(c)
		}
	}
}

func cors(origins []string) echo.MiddlewareFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins: origins,
		AllowMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowHeaders: []string{
			echo.HeaderAuthorization, echo.HeaderContentType, "If-Match", "If-None-Match", "Idempotency-Key", "Prefer", "Last-Event-ID",
		},
		ExposeHeaders: []string{
			"ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", echo.HeaderXRequestID, "Idempotency-Replayed",
		},
		MaxAge: 600,
	})
}

// textPath finds nothing at a path that is not UTF-8: no id is named so, and a database may refuse to be asked for it.
func textPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !utf8.ValidString(c.Request().URL.Path) {
			return echo.ErrNotFound
		}
		return next(c)
	}
}

// limitBody lets a route read so much and no more; a length that says more is refused at once.
func limitBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().ContentLength > maxBody {
			return bodyTooLarge()
		}
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, maxBody)
		return next(c)
	}
}

// Time-outs of a connection.
const (
	headerTimeout  = 10 * time.Second
	readTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// answerTimeout is for how long a client may take to read an answer: the longest list at 30 kB/s takes about half of it. An
// event stream sets a deadline of its own before each write.
const answerTimeout = 2 * time.Minute

// writeBuffer is how many bytes the system keeps on their way to a client; Linux doubles it. Left to itself it keeps
// megabytes, and says that there is room again when a third of them is gone: who reads slowly would seem to read nothing.
const writeBuffer = 128 << 10

// maxPatience is how long the requests under way have at the end, at most. They take fractions of a second, but for clients
// that send or read as slowly as they can, who must not take the time that the other parts need to end well.
const maxPatience = 5 * time.Second

// parting is how long connections that are kept alive go on at the end, each for one more request. A connection that
// is closed at once meets the request that is on its way to it, and nobody can tell what has become of that.
const parting = 250 * time.Millisecond

// Serve gives the part that listens. When its context ends it takes no new connections, lets the requests under way
// finish, tells its clients to close theirs, and closes what is idle; only who takes longer than 5 s is cut off, or than
// three fifths of within, the time that is left for this part and those that end after it.
func Serve(c Config, within time.Duration, e *echo.Echo) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		listener, err := net.Listen("tcp", c.Addr) //nolint:noctx // its life is the part's
		if err != nil {
			return fmt.Errorf("HTTP_ADDR: %w", err)
		}
		var ending atomic.Bool
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ending.Load() {
				w.Header().Set("Connection", "close")
			}
			e.ServeHTTP(w, r)
		})
		server := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeaderBytes, ConnContext: boundWrites,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // what clients do wrong on the wire is not news
		}
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
		}
		ending.Store(true)
		err = listener.Close()
		if served := <-failed; !errors.Is(served, net.ErrClosed) {
			err = errors.Join(err, served)
		}
		time.Sleep(parting)
		return errors.Join(err, end(ctx, server, min(maxPatience, within*3/5)))
	}
}

func boundWrites(ctx context.Context, conn net.Conn) context.Context {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(writeBuffer) // the connection is as good with the size that it has
	}
	return ctx
}

// end waits for the requests under way, and cuts off what is left of them.
func end(ctx context.Context, server *http.Server, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}
