package mongodb

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.mongodb.org/mongo-driver/v2/event"
)

type metrics struct {
	inUse       prometheus.Gauge
	connections prometheus.Gauge
	waitFailed  prometheus.Counter
	seconds     *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		inUse: f.NewGauge(prometheus.GaugeOpts{
			Name: "mongodb_connections_in_use", Help: "Connections that a call holds.",
		}),
		connections: f.NewGauge(prometheus.GaugeOpts{
			Name: "mongodb_connections", Help: "Open connections.",
		}),
		waitFailed: f.NewCounter(prometheus.CounterOpts{
			Name: "mongodb_connection_wait_failures_total", Help: "Calls that got no connection.",
		}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mongodb_command_seconds", Help: "Time of a command on the wire, by its outcome.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"command", "outcome"}),
	}
}

func (m *metrics) poolMonitor() *event.PoolMonitor {
	return &event.PoolMonitor{Event: func(e *event.PoolEvent) {
		switch e.Type {
		case event.ConnectionCheckedOut:
			m.inUse.Inc()
		case event.ConnectionCheckedIn:
			m.inUse.Dec()
		case event.ConnectionCreated:
			m.connections.Inc()
		case event.ConnectionClosed:
			m.connections.Dec()
		case event.ConnectionCheckOutFailed:
			m.waitFailed.Inc()
		}
	}}
}

func (m *metrics) commandMonitor() *event.CommandMonitor {
	return &event.CommandMonitor{
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) {
			m.seconds.WithLabelValues(e.CommandName, "ok").Observe(e.Duration.Seconds())
		},
		Failed: func(_ context.Context, e *event.CommandFailedEvent) {
			m.seconds.WithLabelValues(e.CommandName, "failed").Observe(e.Duration.Seconds())
		},
	}
}
