package push

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	connections *prometheus.GaugeVec
	closed      *prometheus.CounterVec
	sent        *prometheus.CounterVec
}

// NewMetrics makes and registers the metrics of a Hub; reg may be nil.
func NewMetrics(reg prometheus.Registerer) *metrics { //nolint:revive // made here, used here
	m := &metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "notifier_connections", Help: "Connections that are open.",
		}, []string{"transport"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_connections_closed_total", Help: "Connections that have ended, by close code; for SSE the code that a WebSocket would have had.",
		}, []string{"transport", "code"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_messages_sent_total", Help: "Messages written to clients.",
		}, []string{"transport"}),
	}
	if reg != nil {
		reg.MustRegister(m.connections, m.closed, m.sent)
	}
	return m
}
