package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

type metrics struct {
	decisions *prometheus.CounterVec
	conflicts *prometheus.CounterVec
	batch     prometheus.Histogram
	seconds   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_decisions_total", Help: "Changes of reservations, by the state after it.",
		}, []string{"status"}),
		conflicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_conflicts_total", Help: "Transactions that met another one and were decided again.",
		}, []string{"kind"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "inventory_batch_orders", Help: "Orders in a transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "inventory_transaction_seconds", Help: "From the wait for the writer to the commit of a batch.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	for _, status := range []stock.Status{stock.Held, stock.Rejected, stock.Released, stock.ShippedOut, stock.WrittenOffGoods} {
		m.decisions.WithLabelValues(string(status))
	}
	for _, kind := range []string{"batch", "adjustment"} {
		m.conflicts.WithLabelValues(kind)
	}
	if reg != nil {
		reg.MustRegister(m.decisions, m.conflicts, m.batch, m.seconds)
	}
	return m
}

// decided counts what a committed batch has changed.
func (m *metrics) decided(outcomes []stock.Outcome, took time.Duration) {
	for _, out := range outcomes {
		if out.Changed {
			m.decisions.WithLabelValues(string(out.Reservation.Status)).Inc()
		}
	}
	m.batch.Observe(float64(len(outcomes)))
	m.seconds.Observe(took.Seconds())
}
