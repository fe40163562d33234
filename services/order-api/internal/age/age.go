// Package age measures how long orders have been in the states that they must leave again, so that one that hangs is
// seen by an alert and not by its customer.
package age

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

const (
	every   = 15 * time.Second
	timeout = 5 * time.Second
)

// waiting tells since when the order that is in a state longest has been in it; the zero time where there is none.
type waiting interface {
	WaitingSince(ctx context.Context, status order.Status) (time.Time, error)
}

// Meter sets the metric; every instance shows the same, about all orders.
type Meter struct {
	orders waiting
	states []order.Status
	oldest *prometheus.GaugeVec
	log    *slog.Logger
}

// New gives a meter of these states.
func New(orders waiting, states []order.Status, log *slog.Logger, reg prometheus.Registerer) *Meter {
	m := &Meter{orders: orders, states: states, log: log, oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "order_oldest_seconds",
		Help: "How long the order that is longest in the state has been in it, about all orders of all instances; 0 where there is none. Looked up every 15 s.",
	}, []string{"status"})}
	for _, s := range states {
		m.oldest.WithLabelValues(events.Word(s))
	}
	reg.MustRegister(m.oldest)
	return m
}

// Run measures until ctx ends. Without the database the ages grow on: what was waiting still is, for all that is known.
func (m *Meter) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	known := make([]time.Time, len(m.states))
	for {
		m.runOnce(ctx, known)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *Meter) runOnce(ctx context.Context, known []time.Time) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for i, s := range m.states {
		since, err := m.orders.WaitingSince(ctx, s)
		if err != nil {
			m.log.Warn("the age of orders is not known", "error", err)
		} else {
			known[i] = since
		}
		age := 0.0
		if !known[i].IsZero() {
			age = max(time.Since(known[i]).Seconds(), 0)
		}
		m.oldest.WithLabelValues(events.Word(s)).Set(age)
	}
}
