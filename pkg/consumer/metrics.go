package consumer

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	outcomes       *prometheus.CounterVec
	alarms         *prometheus.CounterVec
	lag            *prometheus.GaugeVec
	seconds, size  prometheus.Histogram
	held, progress prometheus.Gauge
	clientErrors   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consumer_records_total", Help: "Records by what became of them: done, dead (dead-lettered), retried, unread (of no interest here).",
		}, []string{"topic", "outcome"}),
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consumer_start_alarms_total", Help: "Partitions that did not start at the committed offset: reread or hole.",
		}, []string{"kind"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "consumer_lag_records", Help: "Records that are not finished, those included that are read already.",
		}, []string{"topic", "partition"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consumer_batch_seconds", Help: "Time that the handler took for a batch.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consumer_batch_records", Help: "Records in a batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		held:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "consumer_held_partitions", Help: "Partitions that wait before they are tried again."}),
		progress:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "consumer_last_progress_timestamp_seconds", Help: "When a whole batch last went through."}),
		clientErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "consumer_client_errors_total", Help: "Errors of the Kafka client outside of a call, failed commits among them."}),
	}
	if reg != nil {
		reg.MustRegister(m.outcomes, m.alarms, m.lag, m.seconds, m.size, m.held, m.progress, m.clientErrors)
	}
	return m
}
