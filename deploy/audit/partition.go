package audit

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// dossier is all that is known of one order while its partition is read.
type dossier struct {
	id          string
	order       *orderDocument
	reservation *reservationDocument
	shipment    *shipmentDocument
	accepted    bool

	streams [streams]stream
	before  lasts  // what a follower remembers of them
	types   uint16 // which of those that come once have come
	version int64  // of the last event of order-api
	twin    bool   // which one more event of that version follows
	letters [3]bool
}

// letter is where a dead letter came from; the partition is the one being read.
type letter struct {
	group  string
	topic  string
	offset int64
}

// reading is one partition of both topics.
type reading struct {
	*auditor
	partition int32
	dossiers  map[string]*dossier
	letters   map[letter]bool
	truncated map[string]bool // by topic: the log begins later than its first record
}

func (a *auditor) partition(ctx context.Context, p int32) error {
	r := &reading{auditor: a, partition: p, dossiers: map[string]*dossier{}, letters: map[letter]bool{}, truncated: map[string]bool{}}
	if err := r.load(); err != nil {
		return err
	}
	if err := r.deadLetters(ctx); err != nil {
		return err
	}
	for _, topic := range []string{events.TopicOrders, events.TopicShipping} {
		bounds := a.bounds[topic][p]
		next := int64(0)
		if bounds.Start > 0 && bounds.Start == bounds.End {
			r.truncate(topic)
		}
		err := a.log.Read(ctx, topic, p, bounds, func(record *topics.Record) error {
			if record.Offset > next && next == 0 {
				r.truncate(topic)
			}
			next = record.Offset + 1
			r.record(record)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.close(ctx)
}

func (r *reading) truncate(topic string) {
	if !r.truncated[topic] {
		r.truncated[topic] = true
		if !r.follows() {
			r.found.Truncated++
		}
	}
}

// of gives an order's dossier, a new one at first sight.
func (r *reading) of(id string) *dossier {
	d := r.dossiers[id]
	if d == nil {
		d = &dossier{id: strings.Clone(id)}
		if r.follows() {
			d.before = r.window.last(id)
		}
		r.dossiers[d.id] = d
	}
	return d
}

// load reads the partition's documents back. An order's id is kept once.
func (r *reading) load() error {
	return errors.Join(
		r.keptOrders.each(r.partition, func(d *orderDocument) { at := r.of(d.ID); at.order, d.ID = d, at.id }),
		r.keptReservations.each(r.partition, func(d *reservationDocument) { at := r.of(d.ID); at.reservation, d.ID = d, at.id }),
		r.keptShipments.each(r.partition, func(d *shipmentDocument) { at := r.of(d.ID); at.shipment, d.ID = d, at.id }),
		r.keptAccepted.each(r.partition, func(id *string) { r.of(*id).accepted = true }),
	)
}

// deadLetters reads those of the partition: they carry the number of their source's.
func (r *reading) deadLetters(ctx context.Context) error {
	for g, group := range groups {
		for _, topic := range group.topics {
			name := deadLetterTopic(topic, group.name)
			err := r.log.Read(ctx, name, r.partition, r.bounds[name][r.partition], func(l *topics.Record) error {
				if l.Header("dlq-decision") != "" {
					return nil // a mark of orderctl dlq behind a letter, no letter
				}
				r.found.DeadLetters++
				source := l.Header("dlq-topic")
				offset, err := strconv.ParseInt(l.Header("dlq-offset"), 10, 64)
				if err == nil && l.Header("dlq-partition") == strconv.Itoa(int(r.partition)) { // else not one of a group's
					r.letters[letter{group.name, source, offset}] = true
					if d := r.dossiers[string(l.Key)]; d != nil && !r.config.Ignore[Coordinates{source, r.partition, offset}] {
						d.letters[g] = true
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// record checks one record.
func (r *reading) record(rec *topics.Record) {
	if r.follows() && rec.Event != nil && !r.window.only[rec.Event.Subject] {
		return // it came after the documents were read: next time
	}
	r.found.Events++
	ignored := r.config.Ignore[Coordinates{rec.Topic, rec.Partition, rec.Offset}]
	if ignored {
		r.found.Ignored++
	}
	switch {
	case errors.Is(rec.Err, events.ErrUnknownType):
		r.found.Unknown++
		return
	case rec.Err != nil:
		r.found.Malformed++
		r.finished(rec, &dossier{})
		return
	}
	e := rec.Event
	home := r.home(e.Subject)
	if !ignored {
		r.found.check("I4", home == rec.Partition && e.Topic() == rec.Topic, func() Violation {
			return at(e.Subject, rec, "", "%s belongs to partition %d of %s", e.Type, home, e.Topic())
		})
	}
	if home != rec.Partition || e.Topic() != rec.Topic {
		return
	}
	d := r.dossiers[e.Subject]
	if d == nil {
		d = &dossier{}
		if !ignored {
			d = r.of(e.Subject)
		}
	}
	r.finished(rec, d)
	if !ignored {
		r.event(rec, d)
	}
}

// finished is I9: what a group has put behind it is not newer than what the document has heard of its source, was
// dead-lettered, or says what the document says already.
func (r *reading) finished(rec *topics.Record, d *dossier) {
	for _, g := range groups {
		if !events.ReadBy(g.name, rec.Type()) || rec.Offset >= r.committed[g.name][rec.Topic][rec.Partition] || !slices.Contains(g.topics, rec.Topic) {
			continue
		}
		var diff differences
		var document string
		if rec.Event == nil {
			diff = differences{rec.Err.Error()}
		} else {
			diff, document = r.unfinished(g.name, rec.Event, d)
		}
		holds := len(diff) == 0 || r.letters[letter{g.name, rec.Topic, rec.Offset}]
		r.found.check("I9", holds, func() Violation {
			return at(string(rec.Key), rec, document, "%s has left %s behind it, neither taken in nor dead-lettered: %s", g.name, rec.Type(), strings.Join(diff, ", "))
		})
	}
}

// unfinished tells what the document of a group's service does not hold of an event that is newer than what it names.
func (r *reading) unfinished(group string, e *events.Event, d *dossier) (diff differences, document string) {
	switch events.Source(group) {
	case events.SourceOrderAPI:
		if d.order == nil {
			return differences{"there is no such order"}, ""
		}
		document = r.name(r.orders, d.order.ID)
		switch body := e.Data.(type) {
		case *eventspb.Reservation:
			if e.Sequence > d.order.SeenInventory {
				diff = d.order.heardStock(reservationOf(body))
			}
		case *eventspb.Shipment:
			if e.Sequence > d.order.SeenShipping {
				diff = d.order.heardShipment(shipmentOf(body))
			}
		}
	case events.SourceInventory:
		if d.reservation == nil {
			return differences{"there is no reservation"}, ""
		}
		document = r.name(r.reservations, d.reservation.ID)
		switch body := e.Data.(type) {
		case *eventspb.Order:
			if e.Sequence > d.reservation.SeenOrderAPI {
				diff = d.reservation.heardOrder(orderOf(body), true)
			}
		case *eventspb.Shipment:
			if e.Sequence > d.reservation.SeenShipping {
				diff = d.reservation.heardShipping(shipmentOf(body))
			}
		}
	case events.SourceShipping:
		if d.shipment == nil {
			return differences{"there is no shipment"}, ""
		}
		document = r.name(r.shipments, d.shipment.ID)
		if body, ok := e.Data.(*eventspb.Reservation); ok && e.Sequence > d.shipment.SeenInventory {
			diff = d.shipment.heardReservation(reservationOf(body), true)
		}
	}
	return diff, document
}

func (r *reading) name(c *mongo.Collection, id string) string { return nameOf(c) + "/" + id }

// event checks one of the services' own.
func (r *reading) event(rec *topics.Record, d *dossier) {
	e := rec.Event
	first, wrong := d.streams[streamOf(e)].note(e.Sequence, contentOf(rec), r.truncated[rec.Topic], d.before[streamOf(e)])
	r.found.check("I4", wrong == "", func() Violation {
		return at(e.Subject, rec, "", "%s %d of %s: %s", e.Type, e.Sequence, e.Source(), wrong)
	})
	if bit := onceOf(e); first && bit != 0 {
		r.found.check("I5", d.types&bit == 0, func() Violation {
			return at(e.Subject, rec, "", "a second %s, with sequence %d", e.Type, e.Sequence)
		})
		d.types |= bit
	}
	switch body := e.Data.(type) {
	case *eventspb.Order:
		f := orderOf(body)
		if first {
			r.version(rec, d, f.Version, wrong == "")
		}
		r.orderSays(rec, d, f)
	case *eventspb.Reservation:
		r.reservationSays(rec, d, reservationOf(body))
	case *eventspb.Shipment:
		r.shipmentSays(rec, d, shipmentOf(body))
	}
}

// says checks that the last event of a document says what the document says.
func (r *reading) says(id string, rec *topics.Record, document string, diff differences) {
	r.found.check(id, len(diff) == 0, func() Violation {
		e := rec.Event
		return at(e.Subject, rec, document, "%s %d of %s and the document differ: %s", e.Type, e.Sequence, e.Source(), strings.Join(diff, ", "))
	})
}

// version checks that no change of an order lies between two of its events.
func (r *reading) version(rec *topics.Record, d *dossier, version int64, inTurn bool) {
	e := rec.Event
	if inTurn && d.version > 0 {
		r.found.check("I3", version == d.version+1 && !d.twin || version == d.version && d.twin, func() Violation {
			return at(e.Subject, rec, "", "version %d follows version %d: a change between them has no event", version, d.version)
		})
	}
	d.version, d.twin = version, e.Type == events.OrderCancelRequested
}

func (r *reading) orderSays(rec *topics.Record, d *dossier, f orderFacts) {
	e := rec.Event
	if o := d.order; o != nil && e.Sequence == o.OwnOrders {
		r.says("I3", rec, r.name(r.orders, o.ID), f.differ(o.Facts))
	}
	if v := d.reservation; v != nil && e.Sequence == v.SeenOrderAPI {
		r.says("I9", rec, r.name(r.reservations, v.ID), v.heardOrder(f, false))
	}
}

func (r *reading) reservationSays(rec *topics.Record, d *dossier, f reservationFacts) {
	e := rec.Event
	if v := d.reservation; v != nil {
		document := r.name(r.reservations, v.ID)
		switch {
		case rec.Topic == events.TopicOrders && e.Sequence == v.OwnOrders:
			r.says("I3", rec, document, v.told(f))
		case rec.Topic == events.TopicShipping && e.Sequence == v.OwnShipping:
			r.says("I3", rec, document, v.asked(f))
		}
	}
	if o := d.order; o != nil && rec.Topic == events.TopicOrders && e.Sequence == o.SeenInventory {
		r.says("I9", rec, r.name(r.orders, o.ID), o.heardStock(f))
	}
	if s := d.shipment; s != nil && rec.Topic == events.TopicShipping && e.Sequence == s.SeenInventory {
		r.says("I9", rec, r.name(r.shipments, s.ID), s.heardReservation(f, false))
	}
}

func (r *reading) shipmentSays(rec *topics.Record, d *dossier, f shipmentFacts) {
	e := rec.Event
	if s := d.shipment; s != nil && e.Sequence == s.OwnShipping {
		r.says("I3", rec, r.name(r.shipments, s.ID), f.differ(s.Facts))
	}
	if o := d.order; o != nil && e.Sequence == o.SeenShipping {
		r.says("I9", rec, r.name(r.orders, o.ID), o.heardShipment(f))
	}
	if v := d.reservation; v != nil && e.Sequence == v.SeenShipping {
		r.says("I9", rec, r.name(r.reservations, v.ID), v.heardShipping(f))
	}
}
