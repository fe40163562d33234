package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// spoken tells whether the log has shown anything of a stream.
func (d *dossier) spoken(streams ...int) bool {
	return slices.ContainsFunc(streams, func(s int) bool { return d.streams[s].base > 0 })
}

// close checks, order by order, what only shows once all of the bucket was read.
func (r *reading) close(ctx context.Context) error {
	var noOrder, noReservation, noShipment []string
	for _, id := range slices.Sorted(maps.Keys(r.dossiers)) {
		d := r.dossiers[id]
		r.found.check("I12", true, nil)
		if d.order == nil && (d.reservation != nil || d.shipment != nil || d.spoken(fromOrderAPI, fromInventory, fromInventoryToShipping, fromShipping)) {
			noOrder = append(noOrder, id)
		}
		if d.reservation == nil && (d.shipment != nil || d.spoken(fromInventory, fromInventoryToShipping)) {
			noReservation = append(noReservation, id)
		}
		if d.shipment == nil && d.spoken(fromShipping) {
			noShipment = append(noShipment, id)
		}
		moving := r.found.moving.Violations
		r.lost(id, d)
		r.told(id, d)
		r.exclusive(id, d)
		if r.config.Quiesced {
			r.drained(id, d)
			r.equal(id, d)
		}
		if r.found.moving.Violations > moving {
			r.found.moving.Orders++
		}
		if r.window != nil {
			r.window.remember(id, d)
		}
	}
	for _, o := range []struct {
		collection *mongo.Collection
		ids        []string
		why        string
	}{
		{r.orders, noOrder, "there are events or documents of an order that does not exist"},
		{r.reservations, noReservation, "there are events of inventory or a shipment, and no reservation"},
		{r.shipments, noShipment, "there are events of shipping, and no shipment"},
	} {
		if err := r.orphans(ctx, o.collection, o.ids, o.why); err != nil {
			return err
		}
	}
	return nil
}

// hasLetters tells whether a dead letter of a group may be why an order did not come to it.
func (d *dossier) hasLetters(group int) bool {
	for s := range d.letters {
		if s.Group == group {
			return true
		}
	}
	return false
}

// orphans is I12. Who was not there when the documents were read may have been made since: it is asked for again.
func (r *reading) orphans(ctx context.Context, c *mongo.Collection, ids []string, why string) error {
	there, err := present(ctx, c, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		r.found.check("I12", there[id], func() Violation {
			return Violation{Order: id, Partition: &r.dossiers[id].home, Document: r.name(c, id), Detail: why}
		})
	}
	return nil
}

// lost is I1.
func (r *reading) lost(id string, d *dossier) {
	if d.accepted {
		r.found.check("I1", d.order != nil, func() Violation {
			return Violation{Order: id, Document: r.name(r.orders, id), Detail: "a client was told that it is placed, and there is no such order"}
		})
	}
	if !r.config.Quiesced || d.order == nil {
		return
	}
	r.found.checkAtRest("I1", d.reservation != nil || d.hasLetters(1), func() Violation {
		return Violation{Order: id, Document: r.name(r.reservations, id), Detail: "the order never came to inventory: no reservation"}
	})
	if v := d.reservation; v != nil && v.Facts.Asked {
		r.found.checkAtRest("I1", d.shipment != nil || d.hasLetters(2), func() Violation {
			return Violation{Order: id, Document: r.name(r.shipments, id), Detail: "the order never came to shipping: no shipment"}
		})
	}
}

// told is I3: what a document has given out is in the log or waits in its outbox, and what it has taken is in the log.
func (r *reading) told(id string, d *dossier) {
	if o := d.order; o != nil {
		document := r.name(r.orders, o.ID)
		r.given(id, d, document, fromOrderAPI, &o.Envelope, o.OwnOrders)
		r.taken(id, d, document, fromInventory, o.SeenInventory)
		r.taken(id, d, document, fromShipping, o.SeenShipping)
		r.found.check("I9", o.Facts.Status == o.Amounts, func() Violation {
			return Violation{Order: id, Document: document, Detail: fmt.Sprintf("its status is %s, its facts amount to %s", events.Word(o.Facts.Status), events.Word(o.Amounts))}
		})
	}
	if v := d.reservation; v != nil {
		document := r.name(r.reservations, v.ID)
		r.given(id, d, document, fromInventory, &v.Envelope, v.OwnOrders)
		r.given(id, d, document, fromInventoryToShipping, &v.Envelope, v.OwnShipping)
		r.taken(id, d, document, fromOrderAPI, v.SeenOrderAPI)
		r.taken(id, d, document, fromShipping, v.SeenShipping)
		r.found.check("I9", v.Facts.Asked || !v.Facts.tookGoods(), func() Violation {
			return Violation{Order: id, Document: document, Detail: "goods were held, and shipping was never asked to ship them"}
		})
	}
	if s := d.shipment; s != nil {
		document := r.name(r.shipments, s.ID)
		r.given(id, d, document, fromShipping, &s.Envelope, s.OwnShipping)
		r.taken(id, d, document, fromInventoryToShipping, s.SeenInventory)
	}
}

// topicOf a stream.
func topicOf(stream int) string {
	if stream == fromOrderAPI || stream == fromInventory {
		return events.TopicOrders
	}
	return events.TopicShipping
}

func (r *reading) given(id string, d *dossier, document string, of int, e *Envelope, own int64) {
	s := &d.streams[of]
	topic := topicOf(of)
	from := int64(1)
	if r.truncated[part{topic, d.home}] {
		from = s.base
		switch {
		case s.base > 0:
		case d.before[of] > 0:
			from = d.before[of] + 1
		default:
			from = own + 1 // all of it is older than the log
		}
	}
	for n := from; n <= own; n++ {
		r.found.check("I3", s.has(n) || e.waits(topic == events.TopicShipping, n), func() Violation {
			return Violation{Order: id, Topic: topic, Partition: &d.home, Document: document, Detail: fmt.Sprintf("its event %d is neither in the log nor in its outbox", n)}
		})
	}
	if r.config.Quiesced && own >= 0 {
		r.found.checkAtRest("I3", s.last <= own || s.base == 0, func() Violation {
			return Violation{Order: id, Topic: topic, Partition: &d.home, Document: document, Detail: fmt.Sprintf("the log has event %d of it, the document has given out %d only", s.last, own)}
		})
	}
}

func (r *reading) taken(id string, d *dossier, document string, of int, seen int64) {
	s := &d.streams[of]
	topic := topicOf(of)
	if seen == 0 || r.truncated[part{topic, d.home}] && (s.base == 0 || seen < s.base) {
		return
	}
	r.found.check("I3", s.has(seen), func() Violation {
		return Violation{Order: id, Topic: topic, Partition: &d.home, Document: document, Detail: fmt.Sprintf("it has taken in event %d, which is not in the log", seen)}
	})
}

// exclusive is I5 where two things cannot both be.
func (r *reading) exclusive(id string, d *dossier) {
	for _, x := range exclusive {
		r.found.check("I5", d.types&x.a == 0 || d.types&x.b == 0, func() Violation {
			return Violation{Order: id, Partition: &d.home, Detail: x.why}
		})
	}
	if v := d.reservation; v != nil {
		dispatchedInLog := d.types&once[events.ShipmentDispatched] != 0
		r.found.check("I5", !dispatchedInLog || v.Facts.ends() != ends{released, causeCancelled}, func() Violation {
			return Violation{Order: id, Partition: &d.home, Document: r.name(r.reservations, v.ID), Detail: "its shipment was dispatched, and its stock was given back as cancelled"}
		})
	}
}

// drained is I8 of one order: nothing waits to be sent, and it waits for no service.
func (r *reading) drained(id string, d *dossier) {
	empty := func(c *mongo.Collection, e *Envelope) {
		r.found.checkAtRest("I8", len(e.Pending) == 0, func() Violation {
			return Violation{Order: id, Document: r.name(c, id), Detail: fmt.Sprintf("%d events wait in its outbox", len(e.Pending))}
		})
	}
	if d.order != nil {
		empty(r.orders, &d.order.Envelope)
		status := d.order.Facts.Status
		stuck := status == eventspb.OrderStatus_ORDER_STATUS_PENDING || status == eventspb.OrderStatus_ORDER_STATUS_CANCELLING
		r.found.checkAtRest("I8", !stuck || len(d.letters) > 0, func() Violation {
			return Violation{Order: id, Document: r.name(r.orders, id), Detail: "it is " + events.Word(status) + " and nobody is at work on it"}
		})
	}
	if d.reservation != nil {
		empty(r.reservations, &d.reservation.Envelope)
	}
	if d.shipment != nil {
		empty(r.shipments, &d.shipment.Envelope)
	}
}

// equal checks that the three databases say the same of an order, unless a dead letter may be why they do not. It counts
// to I8: that is what drained means.
func (r *reading) equal(id string, d *dossier) {
	if len(d.letters) > 0 {
		return
	}
	agree := func(document string, diff differences) {
		r.found.checkAtRest("I8", len(diff) == 0, func() Violation {
			return Violation{Order: id, Document: document, Detail: "the databases differ: " + strings.Join(diff, ", ")}
		})
	}
	o, v, s := d.order, d.reservation, d.shipment
	if o != nil && v != nil {
		f := v.Facts
		if f.Status == shippedOut && o.Stock.Status == held {
			f.Status = held // shipping tells it
		}
		agree(r.name(r.orders, id), o.heardStock(f))
		agree(r.name(r.reservations, id), v.heardOrder(o.Facts, false))
	}
	if o != nil && s != nil {
		agree(r.name(r.orders, id), o.heardShipment(s.Facts))
	}
	if v != nil && s != nil {
		agree(r.name(r.reservations, id), v.heardShipping(s.Facts))
		agree(r.name(r.shipments, id), s.heardReservation(v.Facts, false))
	}
}
