package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// checkTimeout is how long a readiness check may take.
const checkTimeout = 2 * time.Second

type check struct {
	name     string
	required bool
	ask      func(ctx context.Context) error
}

// Check adds a readiness check. /readyz answers 503 until Run, and when a required one fails; the others show in its body and as the
// metric service_check_up.
func (a *App) Check(name string, required bool, ask func(ctx context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checks = append(a.checks, check{name, required, ask})
}

// readiness is the body of /readyz.
type readiness struct {
	Service string        `json:"service"`
	Ready   bool          `json:"ready"`
	Drains  bool          `json:"draining,omitempty"`
	Checks  []checkAnswer `json:"checks"`
}

type checkAnswer struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	OK       bool   `json:"ok"`
	Error    string `json:"error,omitempty"`
}

// ask runs all checks side by side.
func (a *App) ask(ctx context.Context) readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	// Read before the checks: while it is false, more of them may come, and none of those may be missing in a yes.
	running := a.running.Load()
	a.mu.Lock()
	checks := append([]check(nil), a.checks...)
	a.mu.Unlock()
	r := readiness{Service: a.name, Drains: a.draining.Load(), Checks: make([]checkAnswer, len(checks))}
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			r.Checks[i] = checkAnswer{Name: c.name, Required: c.required, OK: true}
			if err := c.ask(ctx); err != nil {
				r.Checks[i].OK, r.Checks[i].Error = false, err.Error()
			}
		})
	}
	all.Wait()
	r.Ready = running && !r.Drains
	for _, c := range r.Checks {
		r.Ready = r.Ready && (c.OK || !c.Required)
	}
	return r
}

// listen opens the admin port: /healthz (the process answers), /readyz, /metrics, /debug/pprof.
func (a *App) listen() error {
	var err error
	if a.listener, err = net.Listen("tcp", a.config.AdminAddr); err != nil { //nolint:noctx // once, at the start
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ready := a.ask(r.Context())
		w.Header().Set("Content-Type", "application/json")
		if !ready.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		if err := json.NewEncoder(w).Encode(ready); err != nil {
			a.Log.Debug("answer /readyz", "error", err)
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	a.admin = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() {
		if err := a.admin.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("the admin port is gone", "error", err)
		}
	}()
	return nil
}

// checkCollector shows the checks as a metric.
type checkCollector struct{ app *App }

var checkUp = prometheus.NewDesc("service_check_up", "1 when the readiness check passes.", []string{"check", "required"}, nil)

// Describe implements prometheus.Collector.
func (c *checkCollector) Describe(ch chan<- *prometheus.Desc) { ch <- checkUp }

// Collect implements prometheus.Collector.
func (c *checkCollector) Collect(ch chan<- prometheus.Metric) {
	for _, k := range c.app.ask(context.Background()).Checks {
		up, required := 0.0, "false"
		if k.OK {
			up = 1
		}
		if k.Required {
			required = "true"
		}
		ch <- prometheus.MustNewConstMetric(checkUp, prometheus.GaugeValue, up, k.Name, required)
	}
}
