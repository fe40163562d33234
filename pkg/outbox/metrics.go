package outbox

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	pending, oldest, queued, sending                               prometheus.Gauge
	published, repeated, swept, cleared, errors, overflow, clashes prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, collection string) *metrics {
	if reg != nil {
		reg = prometheus.WrapRegistererWith(prometheus.Labels{"collection": collection}, reg)
	}
	f := promauto.With(reg)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Namespace: "outbox", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "outbox", Name: name, Help: help})
	}
	return &metrics{
		pending:   gauge("pending_documents", "Documents with stored entries, counted to 1000."),
		oldest:    gauge("oldest_seconds", "Age of the oldest stored entry."),
		queued:    gauge("queued_entries", "Entries in memory that are not acknowledged."),
		sending:   gauge("sending_entries", "Entries with the producer."),
		published: counter("published_total", "Entries acknowledged by the broker."),
		repeated:  counter("repeated_total", "Entries acknowledged after a try of unknown outcome."),
		swept:     counter("swept_total", "Entries found by the sweep."),
		cleared:   counter("cleared_total", "Entries removed from their documents."),
		errors:    counter("errors_total", "Tries to publish of unknown outcome."),
		overflow:  counter("overflow_total", "Entries left to the sweep because memory was full."),
		clashes:   counter("conflicts_total", "Transactions that met another one."),
	}
}
