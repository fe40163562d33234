package audit

import (
	"errors"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// heard is what remains of a record of the two topics while an audit runs. Of what the event says just one is set.
type heard struct {
	Coordinates
	Key       string      // the order's id, unless Malformed
	Type      events.Type // as the record says it
	Malformed string      // why it cannot be read, "" if it can
	Ignored   bool        // somebody wrote it on purpose
	Sequence  int64
	Content   hash

	Order       *orderFacts
	Reservation *reservationFacts
	Shipment    *shipmentFacts
}

// hear reduces a record of a known type.
func hear(r *topics.Record) *heard {
	h := &heard{Coordinates: Coordinates{r.Topic, r.Partition, r.Offset}, Key: string(r.Key), Type: r.Type()}
	if r.Err != nil {
		h.Malformed = r.Err.Error()
		return h
	}
	h.Sequence, h.Content = r.Event.Sequence, contentOf(r)
	switch body := r.Event.Data.(type) {
	case *eventspb.Order:
		f := orderOf(body)
		h.Order = &f
	case *eventspb.Reservation:
		f := reservationOf(body)
		h.Reservation = &f
	case *eventspb.Shipment:
		f := shipmentOf(body)
		h.Shipment = &f
	}
	return h
}

// info is what the catalog knows of the type: which topic and source it must have.
func (h *heard) info() events.Info {
	info, _ := events.Lookup(h.Type)
	return info
}

// unknown tells whether a record is none of ours.
func unknown(r *topics.Record) bool { return errors.Is(r.Err, events.ErrUnknownType) }
