package inspect

import (
	"fmt"
	"slices"
	"time"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/internal/documents"
)

// Wait says what an order waits for.
type Wait struct {
	For   string    `json:"for"` // one sentence; for an order that has ended too
	Since time.Time `json:"since"`
	Ended bool      `json:"ended"`
}

// waits finds what stands between the order and its next step, the most certain obstacle first: a dead letter, an event
// that is not published, one that is not read, one that was lost; then whoever has to act.
func (s *Story) waits(committed map[string]map[string]map[int32]int64) Wait {
	for _, find := range []func() (Wait, bool){
		s.onDeadLetter, s.onRelay, func() (Wait, bool) { return s.onReader(committed) }, s.onDecision, s.onNobody,
	} {
		if w, ok := find(); ok {
			return w
		}
	}
	return s.onItsState()
}

func (s *Story) onDeadLetter() (Wait, bool) {
	for _, l := range s.Letters {
		if l.State != dlq.Open || s.knows(l) {
			continue
		}
		decide := fmt.Sprintf("mend the cause, then orderctl dlq redrive --order %s", s.Order)
		if l.LeftOut != nil {
			decide = fmt.Sprintf("its value was left out, so look at its record, %s/%d@%d, then orderctl dlq discard %s",
				l.Topic, l.Partition, l.Offset, l.ID)
		}
		return Wait{Since: l.Time, For: fmt.Sprintf("It waits for somebody to decide on the dead letter %s (%s): %s.", l.ID, l.Error, decide)}, true
	}
	return Wait{}, false
}

// onDecision is about letters that were decided on, and whose news is still not known to their reader.
func (s *Story) onDecision() (Wait, bool) {
	for _, l := range s.Letters {
		switch {
		case s.effects[l.ID] == "" || s.knows(l):
		case l.State == dlq.Redriven:
			return Wait{Since: *l.Settled, For: fmt.Sprintf("It waits for %s to take in %s %d, which was redriven: is %s running?",
				l.Consumer, l.Type, l.Sequence, l.Consumer)}, true
		case l.State == dlq.Discarded:
			return Wait{Since: *l.Settled, For: fmt.Sprintf("It has lost %s %d, which was discarded as a dead letter: orderctl dlq redrive --again %s hands it back.",
				l.Type, l.Sequence, l.ID)}, true
		}
	}
	return Wait{}, false
}

// knows tells whether the reader of a letter knows by now what it says.
func (s *Story) knows(l *dlq.Letter) bool {
	effect := s.effects[l.ID]
	return effect == documents.Known || effect == documents.Agrees
}

func (s *Story) onRelay() (Wait, bool) {
	for _, service := range documents.Services() {
		envelope := s.Documents[service].Envelope()
		if envelope == nil {
			continue
		}
		for _, entry := range envelope.Outbox {
			published := slices.ContainsFunc(s.Events, func(e Event) bool {
				return e.event != nil && e.Topic == entry.Topic && e.Source == service && e.Sequence == entry.Sequence
			})
			if !published {
				return Wait{Since: entry.At, For: fmt.Sprintf(
					"It waits for the relay of %s to publish %s %d: is the broker there, and is %s running?", service, entry.Type(), entry.Sequence, service)}, true
			}
		}
	}
	return Wait{}, false
}

func (s *Story) onReader(committed map[string]map[string]map[int32]int64) (Wait, bool) {
	for _, e := range s.Events {
		for _, service := range documents.Services() {
			if e.Readers[service] == waiting {
				behind := e.Offset - committed[service][e.Topic][e.Partition]
				return Wait{Since: e.Written, For: fmt.Sprintf(
					"It waits for %s to take in %s %d, %s/%d@%d, with %d records before it: is %s running, or does it try again?",
					service, e.Type, e.Sequence, e.Topic, e.Partition, e.Offset, behind, service)}, true
			}
		}
	}
	return Wait{}, false
}

// onNobody is about what must not be: an event that its reader has gone past without a trace.
func (s *Story) onNobody() (Wait, bool) {
	for _, e := range s.Events {
		for _, service := range documents.Services() {
			if e.Readers[service] == passedOver {
				return Wait{Since: e.Written, For: fmt.Sprintf(
					"%s has gone past %s %d, %s/%d@%d, and its document does not show it: run orderctl audit, this must not happen.",
					service, e.Type, e.Sequence, e.Topic, e.Partition, e.Offset)}, true
			}
		}
	}
	return Wait{}, false
}

func (s *Story) onItsState() Wait {
	o := s.Documents[documents.OrderAPI].Order
	if o == nil {
		w := Wait{For: "order-api does not have this order, so nothing about it can go on: run orderctl audit."}
		if len(s.Events) > 0 {
			w.Since = s.Events[len(s.Events)-1].Written
		}
		return w
	}
	w := Wait{Since: o.Since()}
	shipment := s.Documents[documents.Shipping].Shipment
	switch o.Status {
	case "pending":
		w.For = "It waits for inventory to hold its items; every event that is there was taken in."
	case "cancelling":
		w.For = "It waits for the answer to its cancellation; every event that is there was taken in."
	case "confirmed":
		w.For = "It waits for the carrier to collect the parcel" + due(shipment) + "."
		if shipment == nil {
			w.For = "It waits for shipping to schedule the parcel; every event that is there was taken in."
		}
	case "shipped":
		w.For = "It waits for the carrier to deliver the parcel" + due(shipment) + "."
	default:
		w.For, w.Ended = "It waits for nothing: it is "+o.Status+".", true
	}
	return w
}

// due tells when the simulated carrier acts by itself.
func due(s *documents.Shipment) string {
	if s == nil || s.Due.Unix() <= 0 {
		return ""
	}
	return ", which is due " + s.Due.Local().Format(time.DateTime)
}
