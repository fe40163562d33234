package shipment

import "time"

// Timers of the simulated carrier: how long after a shipment was scheduled it leaves, and how long after that it
// arrives. Zero: never by itself.
type Timers struct{ DispatchAfter, DeliverAfter time.Duration }

// Due tells when the carrier acts on a shipment that is in a state since then; the zero time when it does not.
func (t Timers) Due(status Status, since time.Time) time.Time {
	if after := t.after(status); after > 0 {
		return since.Add(after)
	}
	return time.Time{}
}

// States lists those that a shipment leaves by itself.
func (t Timers) States() []Status {
	var states []Status
	for _, s := range []Status{Scheduled, Dispatched} {
		if t.after(s) > 0 {
			states = append(states, s)
		}
	}
	return states
}

// On tells whether the carrier ever acts by itself.
func (t Timers) On() bool { return len(t.States()) > 0 }

func (t Timers) after(status Status) time.Duration {
	switch status {
	case Scheduled:
		return t.DispatchAfter
	case Dispatched:
		return t.DeliverAfter
	case Delivered, Cancelled, Failed:
	}
	return 0
}

// Overdue is a shipment on which the carrier acts by now.
type Overdue struct {
	ID  string
	Due time.Time
}
