package store

import (
	"github.com/prometheus/client_golang/prometheus"

	events "github.com/orderwire/orderwire/proto-events"
)

// metrics counts what was decided, by what was said of it.
type metrics struct{ said *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{said: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shipping_decisions_total", Help: "What was decided on shipments, by the event that says so.",
	}, []string{"type"})}
	for _, typ := range events.Types() {
		if info, _ := events.Lookup(typ); info.Source == events.SourceShipping {
			m.said.WithLabelValues(string(typ))
		}
	}
	if reg != nil {
		reg.MustRegister(m.said)
	}
	return m
}

// count takes note of what was written.
func (m *metrics) count(says []events.Type) {
	for _, typ := range says {
		m.said.WithLabelValues(string(typ)).Inc()
	}
}
