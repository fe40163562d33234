package store

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// document is a shipment as it is stored.
type document struct {
	outbox.Document `bson:",inline"`
	Shipment        shipment.Shipment `bson:",inline"`
	// Due is when the simulated carrier acts next; the zero time when it does not.
	Due time.Time `bson:"due"`
}

// shipment gives the shipment with its identity from the envelope, nil where there is none.
func (d *document) shipment() *shipment.Shipment {
	if d == nil {
		return nil
	}
	d.Shipment.ID = d.ID
	return &d.Shipment
}

// change makes d, nil for a new one, the shipment as it is now, with one event per type and one snapshot in all. The
// carrier's next step is timed when the shipment gets into another state, and not by what else is said of it.
func (s *Store) change(d *document, now *shipment.Shipment, says []events.Type, trace string, at time.Time) (*document, error) {
	before := &eventspb.Shipment{}
	if d == nil {
		d = &document{Document: outbox.Document{ID: now.ID}}
	} else {
		before = d.shipment().Snapshot()
	}
	now.Touch(at)
	if d.Shipment.Status != now.Status {
		d.Due = s.timers.Due(now.Status, now.UpdatedAt)
	}
	version := d.Touch()
	snapshot := now.Snapshot()
	for _, typ := range says {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an event id: %w", err)
		}
		e := &events.Event{
			ID: id.String(), Type: typ, Subject: d.ID, Time: now.UpdatedAt, Sequence: d.NextSequence(events.TopicShipping),
			Customer: now.CustomerID, TraceParent: trace, Data: snapshot,
		}
		if before.GetId() != "" {
			e.Changed = events.Changed(before, snapshot)
		}
		headers, body, err := events.Encode(e)
		if err != nil {
			return nil, fmt.Errorf("encode the event of order %s: %w", d.ID, err)
		}
		entry := outbox.Entry{ID: e.ID, Topic: e.Topic(), Key: e.Subject, Sequence: e.Sequence, At: e.Time, Body: body}
		for _, h := range headers {
			entry.Headers = append(entry.Headers, outbox.Header(h))
		}
		d.Append(entry)
		now.History = append(now.History, shipment.Line{Time: e.Time, Type: typ, Sequence: e.Sequence, Version: version})
	}
	d.Shipment = *now
	return d, nil
}
