package store

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// document is a reservation as it is stored.
type document struct {
	outbox.Document `bson:",inline"`
	Reservation     stock.Reservation `bson:",inline"`
}

// reservation gives the reservation with its identity from the envelope, nil where there is none.
func (d *document) reservation() *stock.Reservation {
	if d == nil {
		return nil
	}
	d.Reservation.ID = d.ID
	return &d.Reservation
}

// seen gives the last sequence taken from a source; a document that is not there has heard nothing.
func (d *document) seen(source events.Source) int64 {
	if d == nil {
		return 0
	}
	return d.Seen[string(source)]
}

// write makes d, nil for a new one, what the outcome says, with one event per type and one snapshot in all of them.
func (d *document) write(out stock.Outcome) (*document, error) {
	before := &eventspb.Reservation{}
	if d == nil {
		d = &document{Document: outbox.Document{ID: out.Reservation.ID}}
	} else {
		before = d.reservation().Snapshot()
	}
	d.Reservation = *out.Reservation
	for source, sequence := range out.Taken {
		d.Take(string(source), sequence)
	}
	d.Touch()
	snapshot := d.reservation().Snapshot()
	for _, typ := range out.Says {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an event id: %w", err)
		}
		info, _ := events.Lookup(typ)
		e := &events.Event{
			ID: id.String(), Type: typ, Subject: d.ID, Time: out.Reservation.UpdatedAt, Sequence: d.NextSequence(info.Topic),
			Customer: out.Reservation.CustomerID, TraceParent: out.TraceParent, Data: snapshot,
		}
		if before.GetId() != "" {
			e.Changed = events.Changed(before, snapshot)
		}
		headers, body, err := events.Encode(e)
		if err != nil {
			return nil, fmt.Errorf("encode the event of order %s: %w", d.ID, err)
		}
		d.Append(entry(e, headers, body))
	}
	return d, nil
}

func entry(e *events.Event, headers []events.Header, body []byte) outbox.Entry {
	out := outbox.Entry{ID: e.ID, Topic: e.Topic(), Key: e.Subject, Sequence: e.Sequence, At: e.Time, Body: body}
	for _, h := range headers {
		out.Headers = append(out.Headers, outbox.Header(h))
	}
	return out
}
