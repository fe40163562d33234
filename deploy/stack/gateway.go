package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// gateway is one origin for a browser: the page, and the services behind their paths. A request goes to the
// instances of its service in turn. It compresses nothing, so that server-sent events pass as they come.
type gateway struct {
	log       *slog.Logger
	page      http.Handler
	transport *http.Transport
	server    *http.Server

	mu        sync.Mutex
	upstreams map[string][]string // service → addresses
	turn      map[string]int
}

func newGateway(log *slog.Logger, page http.Handler) *gateway {
	g := &gateway{log: log, page: page, upstreams: map[string][]string{}, turn: map[string]int{}}
	dialer := &net.Dialer{Timeout: 2 * time.Second}
	g.transport = &http.Transport{
		// An instance that takes no connection has seen nothing of the request: another one gets it.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var refused []error
			for _, a := range g.fallbacks(addr) {
				conn, err := dialer.DialContext(ctx, network, a)
				if err == nil {
					return conn, nil
				}
				refused = append(refused, err)
			}
			return nil, &dialError{errors.Join(refused...)}
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second, // shorter than the services', so that no request meets a closing connection
	}
	g.server = &http.Server{
		Handler:           g,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return g
}

// dialError says that an upstream took no connection: it has seen nothing of the request.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func (g *gateway) add(service, addr string) {
	// Connections that were made to another instance in this one's place must not keep its share away from it.
	g.transport.CloseIdleConnections()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.upstreams[service], addr) {
		g.upstreams[service] = append(g.upstreams[service], addr)
	}
}

func (g *gateway) remove(service, addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.upstreams[service] = slices.DeleteFunc(g.upstreams[service], func(a string) bool { return a == addr })
}

// next gives the address whose turn it is, "" when no instance is up.
func (g *gateway) next(service string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.upstreams[service]
	if len(all) == 0 {
		return ""
	}
	g.turn[service]++
	return all[g.turn[service]%len(all)]
}

// fallbacks gives addr, and behind it the other instances of the same service.
func (g *gateway) fallbacks(addr string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []string{addr}
	for _, upstreams := range g.upstreams {
		if !slices.Contains(upstreams, addr) {
			continue
		}
		for _, a := range upstreams {
			if a != addr {
				all = append(all, a)
			}
		}
	}
	return all
}

// serve takes requests until shutdown or close.
func (g *gateway) serve(l net.Listener) error {
	if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

// shutdown takes no new connection from here on; those that are there go on, so that the services can drain them.
func (g *gateway) shutdown(ctx context.Context) {
	if err := g.server.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		g.log.Warn("gateway has not drained", "error", err)
	}
}

// close cuts what is left.
func (g *gateway) close() {
	g.server.Close() // everything is cut anyway
	g.transport.CloseIdleConnections()
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, s := range services {
		for _, route := range s.routes {
			if under(r.URL.Path, route) {
				g.forward(w, r, s.name)
				return
			}
		}
	}
	// Below these paths a typing error must not be answered with the page.
	if under(r.URL.Path, "/v1") || under(r.URL.Path, "/dev") {
		writeProblem(w, r, problem{Status: http.StatusNotFound, Code: "not_found", Detail: "nothing is at " + r.URL.Path})
		return
	}
	g.page.ServeHTTP(w, r)
}

// under tells whether path is route or lies below it.
func under(path, route string) bool {
	rest, ok := strings.CutPrefix(path, route)
	return ok && (rest == "" || rest[0] == '/')
}

func (g *gateway) forward(w http.ResponseWriter, r *http.Request, service string) {
	addr := g.next(service)
	if addr == "" {
		unavailable(w, r, service)
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", addr
			p.Out.Host = p.In.Host // the service checks origins against the host that the browser sees
			p.SetXForwarded()
		},
		Transport:     g.transport,
		FlushInterval: -1, // server-sent events
		ErrorLog:      g.server.ErrorLog,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil { // the client has gone; nobody reads an answer
				return
			}
			g.log.Warn("upstream failed", "service", service, "upstream", addr, "path", r.URL.Path, "error", err)
			var dial *dialError
			if errors.As(err, &dial) {
				unavailable(w, r, service)
				return
			}
			writeProblem(w, r, problem{Status: http.StatusBadGateway, Code: "bad_gateway", Detail: service + " gave no answer; whether it has done the work is unknown"})
		},
	}
	proxy.ServeHTTP(w, r)
}

func unavailable(w http.ResponseWriter, r *http.Request, service string) {
	w.Header().Set("Retry-After", "1")
	writeProblem(w, r, problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: service + " is not there at the moment"})
}

// problem is an RFC 9457 answer of the gateway itself, of the services' shape.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// mostRequestID is the longest id of a client's that is taken over, as in the services.
const mostRequestID = 128

func writeProblem(w http.ResponseWriter, r *http.Request, p problem) {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > mostRequestID {
		id = uuid.NewString()
	}
	w.Header().Set("X-Request-Id", id)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil { // strings and a number always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(body) //nolint:errcheck // the client may have gone
}
