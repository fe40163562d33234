package audit

import (
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	events "github.com/orderwire/orderwire/proto-events"
)

// dossier is all that is known of one order while its bucket is read.
type dossier struct {
	id          string
	home        int32 // its partition
	order       *orderDocument
	reservation *reservationDocument
	shipment    *shipmentDocument
	accepted    bool

	streams [streams]stream
	before  lasts            // what a follower remembers of them
	types   uint16           // which of those that come once have come
	version int64            // of the last event of order-api
	twin    bool             // which one more event of that version follows
	letters map[source]int64 // those that were not handed back, by where the newest of each lies
}

// reading is one bucket: all about some of the orders.
type reading struct {
	*auditor
	dossiers map[string]*dossier
	letters  map[source]bool
}

// bucket checks the orders of one.
func (a *auditor) bucket(ctx context.Context, b *bucket) (orders int, err error) {
	r := &reading{auditor: a, dossiers: map[string]*dossier{}, letters: map[source]bool{}}
	if err := b.read(func(e *entry) error { r.take(e); return nil }); err != nil {
		return 0, err
	}
	return len(r.dossiers), r.close(ctx)
}

// take takes in what was read: of a partition first its documents, then its dead letters, then its records.
func (r *reading) take(e *entry) {
	switch {
	case e.Order != nil: // An order's id is kept once.
		d := r.of(e.Order.ID)
		d.order, e.Order.ID = e.Order, d.id
	case e.Reservation != nil:
		d := r.of(e.Reservation.ID)
		d.reservation, e.Reservation.ID = e.Reservation, d.id
	case e.Shipment != nil:
		d := r.of(e.Shipment.ID)
		d.shipment, e.Shipment.ID = e.Shipment, d.id
	case e.Letter != nil:
		r.letter(e.Letter)
	case e.Heard != nil:
		r.heard(e.Heard)
	default:
		r.of(e.Accepted).accepted = true
	}
}

// letter takes in a dead letter, or that one was handed back: then its record was handled, unless a newer one of it follows.
func (r *reading) letter(l *letter) {
	d := r.dossiers[l.Key]
	switch {
	case l.Redriven:
		if d != nil && d.letters[l.Source] <= l.At {
			delete(d.letters, l.Source)
		}
		return
	case d != nil && !l.Ignored:
		if d.letters == nil {
			d.letters = map[source]int64{}
		}
		d.letters[l.Source] = l.At
	}
	r.letters[l.Source] = true
}

// of gives an order's dossier, a new one at first sight.
func (r *reading) of(id string) *dossier {
	d := r.dossiers[id]
	if d == nil {
		d = &dossier{id: id, home: r.home(id)}
		if r.follows() {
			d.before = r.window.last(id)
		}
		r.dossiers[id] = d
	}
	return d
}

// heard checks one record.
func (r *reading) heard(h *heard) {
	if h.Malformed != "" {
		r.finished(h, &dossier{})
		return
	}
	home, topic := r.home(h.Key), h.info().Topic
	if !h.Ignored {
		r.found.check("I4", home == h.Partition && topic == h.Topic, func() Violation {
			return at(h, "", "%s belongs to partition %d of %s", h.Type, home, topic)
		})
	}
	if home != h.Partition || topic != h.Topic {
		return
	}
	d := r.dossiers[h.Key]
	if d == nil {
		d = &dossier{}
		if !h.Ignored {
			d = r.of(h.Key)
		}
	}
	r.finished(h, d)
	if !h.Ignored {
		r.event(h, d)
	}
}

// finished is I9: what a group has put behind it is not newer than what the document has heard of its source, was
// dead-lettered, or says what the document says already.
func (r *reading) finished(h *heard, d *dossier) {
	for n, g := range groups {
		if !events.ReadBy(g.name, h.Type) || h.Offset >= r.committed[g.name][h.Topic][h.Partition] || !slices.Contains(g.topics, h.Topic) {
			continue
		}
		var diff differences
		var document string
		if h.Malformed != "" {
			diff = differences{h.Malformed}
		} else {
			diff, document = r.unfinished(g.name, h, d)
		}
		holds := len(diff) == 0 || r.letters[source{n, h.Coordinates}]
		r.found.check("I9", holds, func() Violation {
			return at(h, document, "%s has left %s behind it, neither taken in nor dead-lettered: %s", g.name, h.Type, strings.Join(diff, ", "))
		})
	}
}

// unfinished tells what the document of a group's service does not hold of an event that is newer than what it names.
func (r *reading) unfinished(group string, h *heard, d *dossier) (diff differences, document string) {
	switch events.Source(group) {
	case events.SourceOrderAPI:
		if d.order == nil {
			return differences{"there is no such order"}, ""
		}
		document = r.name(r.orders, d.order.ID)
		switch {
		case h.Reservation != nil && h.Sequence > d.order.SeenInventory:
			diff = d.order.heardStock(*h.Reservation)
		case h.Shipment != nil && h.Sequence > d.order.SeenShipping:
			diff = d.order.heardShipment(*h.Shipment)
		}
	case events.SourceInventory:
		if d.reservation == nil {
			return differences{"there is no reservation"}, ""
		}
		document = r.name(r.reservations, d.reservation.ID)
		switch {
		case h.Order != nil && h.Sequence > d.reservation.SeenOrderAPI:
			diff = d.reservation.heardOrder(*h.Order, true)
		case h.Shipment != nil && h.Sequence > d.reservation.SeenShipping:
			diff = d.reservation.heardShipping(*h.Shipment)
		}
	case events.SourceShipping:
		if d.shipment == nil {
			return differences{"there is no shipment"}, ""
		}
		document = r.name(r.shipments, d.shipment.ID)
		if h.Reservation != nil && h.Sequence > d.shipment.SeenInventory {
			diff = d.shipment.heardReservation(*h.Reservation, true)
		}
	}
	return diff, document
}

func (r *reading) name(c *mongo.Collection, id string) string { return nameOf(c) + "/" + id }

// event checks one of the services' own.
func (r *reading) event(h *heard, d *dossier) {
	of := h.stream()
	first, wrong := d.streams[of].note(h.Sequence, h.Content, r.truncated[part{h.Topic, h.Partition}], d.before[of])
	r.found.check("I4", wrong == "", func() Violation {
		return at(h, "", "%s %d of %s: %s", h.Type, h.Sequence, h.info().Source, wrong)
	})
	if bit := h.once(); first && bit != 0 {
		r.found.check("I5", d.types&bit == 0, func() Violation {
			return at(h, "", "a second %s, with sequence %d", h.Type, h.Sequence)
		})
		d.types |= bit
	}
	switch {
	case h.Order != nil:
		if first {
			r.version(h, d, wrong == "")
		}
		r.orderSays(h, d)
	case h.Reservation != nil:
		r.reservationSays(h, d)
	case h.Shipment != nil:
		r.shipmentSays(h, d)
	}
}

// says checks that the last event of a document says what the document says.
func (r *reading) says(id string, h *heard, document string, diff differences) {
	r.found.check(id, len(diff) == 0, func() Violation {
		return at(h, document, "%s %d of %s and the document differ: %s", h.Type, h.Sequence, h.info().Source, strings.Join(diff, ", "))
	})
}

// version checks that no change of an order lies between two of its events.
func (r *reading) version(h *heard, d *dossier, inTurn bool) {
	version := h.Order.Version
	if inTurn && d.version > 0 {
		r.found.check("I3", version == d.version+1 && !d.twin || version == d.version && d.twin, func() Violation {
			return at(h, "", "version %d follows version %d: a change between them has no event", version, d.version)
		})
	}
	d.version, d.twin = version, h.Type == events.OrderCancelRequested
}

func (r *reading) orderSays(h *heard, d *dossier) {
	if o := d.order; o != nil && h.Sequence == o.OwnOrders {
		r.says("I3", h, r.name(r.orders, o.ID), h.Order.differ(o.Facts))
	}
	if v := d.reservation; v != nil && h.Sequence == v.SeenOrderAPI {
		r.says("I9", h, r.name(r.reservations, v.ID), v.heardOrder(*h.Order, false))
	}
}

func (r *reading) reservationSays(h *heard, d *dossier) {
	f := *h.Reservation
	if v := d.reservation; v != nil {
		document := r.name(r.reservations, v.ID)
		switch {
		case h.Topic == events.TopicOrders && h.Sequence == v.OwnOrders:
			r.says("I3", h, document, v.told(f))
		case h.Topic == events.TopicShipping && h.Sequence == v.OwnShipping:
			r.says("I3", h, document, v.asked(f))
		}
	}
	if o := d.order; o != nil && h.Topic == events.TopicOrders && h.Sequence == o.SeenInventory {
		r.says("I9", h, r.name(r.orders, o.ID), o.heardStock(f))
	}
	if s := d.shipment; s != nil && h.Topic == events.TopicShipping && h.Sequence == s.SeenInventory {
		r.says("I9", h, r.name(r.shipments, s.ID), s.heardReservation(f, false))
	}
}

func (r *reading) shipmentSays(h *heard, d *dossier) {
	f := *h.Shipment
	if s := d.shipment; s != nil && h.Sequence == s.OwnShipping {
		r.says("I3", h, r.name(r.shipments, s.ID), f.differ(s.Facts))
	}
	if o := d.order; o != nil && h.Sequence == o.SeenShipping {
		r.says("I9", h, r.name(r.orders, o.ID), o.heardShipment(f))
	}
	if v := d.reservation; v != nil && h.Sequence == v.SeenShipping {
		r.says("I9", h, r.name(r.reservations, v.ID), v.heardShipping(f))
	}
}
