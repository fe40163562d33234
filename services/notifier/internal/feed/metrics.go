package feed

import "github.com/prometheus/client_golang/prometheus"

// Metrics of the feed.
type Metrics struct {
	records   *prometheus.CounterVec // by outcome: event, unknown, malformed
	gaps      *prometheus.CounterVec // partitions, by reason
	overflows prometheus.Counter
	replayed  prometheus.Counter
}

// NewMetrics makes and registers them; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_records_total", Help: "Records read from Kafka as they came, by what they were.",
		}, []string{"kind"}),
		gaps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_gaps_total", Help: "Partitions of which events were gone, by reason.",
		}, []string{"reason"}),
		overflows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_queue_overflows_total", Help: "Queues dropped because their client was slow; it replays.",
		}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_replayed_records_total", Help: "Records read again from Kafka for clients that catch up.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.records, m.gaps, m.overflows, m.replayed)
	}
	return m
}
