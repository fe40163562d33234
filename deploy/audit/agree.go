package audit

import (
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// Short names of what the schema spells out.
const (
	held       = eventspb.ReservationStatus_RESERVATION_STATUS_HELD
	rejected   = eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED
	released   = eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED
	shippedOut = eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED
	writtenOff = eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF

	noCause        = eventspb.ReleaseCause_RELEASE_CAUSE_UNSPECIFIED
	causeCancelled = eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED
	causeFailed    = eventspb.ReleaseCause_RELEASE_CAUSE_FAILED

	scheduled  = eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED
	dispatched = eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
	delivered  = eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED
	cancelled  = eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED
	failed     = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED

	lost = eventspb.FailureReason_FAILURE_REASON_LOST
)

// ends is how a reservation stands: where its goods are, and why they came back.
type ends struct {
	Status eventspb.ReservationStatus
	Cause  eventspb.ReleaseCause
}

// implied is where a shipment's goods must be.
func implied(s shipmentFacts) ends {
	switch s.Status {
	case scheduled:
		return ends{held, noCause}
	case dispatched, delivered:
		return ends{shippedOut, noCause}
	case cancelled:
		return ends{released, causeCancelled}
	case failed:
		if s.Failure == lost {
			return ends{writtenOff, causeFailed}
		}
		return ends{released, causeFailed}
	default:
		return ends{}
	}
}

func (f reservationFacts) ends() ends { return ends{f.Status, f.Cause} }

// tookGoods tells whether goods were ever held: shipping is asked to ship them in the same write. Those of an order that
// was cancelled may never have been.
func (f reservationFacts) tookGoods() bool {
	return f.Status == held || f.Status == shippedOut || f.Status == writtenOff || f.Cause == causeFailed
}

// final tells whether a reservation's goods move no more.
func (f reservationFacts) final() bool { return f.Status != held && f.Status != shippedOut }

// amountsTo is the status that an order's facts amount to: what is irrevocable and further along wins (design: an
// order's status is a pure function of what inventory and shipping last said and of the customer's cancellation).
func amountsTo(d *orderDocument) eventspb.OrderStatus {
	var stock stockFacts
	if d.HasStock {
		stock = d.Stock
	}
	if stock.Status != released && stock.Status != writtenOff {
		stock.Cause = noCause
	}
	var shipment eventspb.ShipmentStatus
	if d.HasShipment {
		shipment = d.Shipment.Status
	}
	for _, rule := range []struct {
		applies bool
		status  eventspb.OrderStatus
	}{
		{shipment == delivered, eventspb.OrderStatus_ORDER_STATUS_DELIVERED},
		{shipment == failed || stock.Cause == causeFailed, eventspb.OrderStatus_ORDER_STATUS_FAILED},
		{shipment == dispatched || stock.Status == shippedOut, eventspb.OrderStatus_ORDER_STATUS_SHIPPED},
		{shipment == cancelled || stock.Cause == causeCancelled, eventspb.OrderStatus_ORDER_STATUS_CANCELLED},
		{stock.Status == rejected, eventspb.OrderStatus_ORDER_STATUS_REJECTED},
		{d.Facts.CancelledAt != 0, eventspb.OrderStatus_ORDER_STATUS_CANCELLING},
		{stock.Status == held || shipment == scheduled, eventspb.OrderStatus_ORDER_STATUS_CONFIRMED},
	} {
		if rule.applies {
			return rule.status
		}
	}
	return eventspb.OrderStatus_ORDER_STATUS_PENDING
}

// The four that follow tell how a document fails to hold what an event of another service says: no difference is
// "already agreed with". atLeast lets the document be further than the event; without it, the event is the very one
// that the document names as its last.

func (d *orderDocument) heardStock(r reservationFacts) (diff differences) {
	diff.note("stock: customerId", d.Facts.Customer == r.Customer)
	diff.note("stock: status ("+events.Word(d.Stock.Status)+", "+events.Word(r.Status)+")", d.HasStock && d.Stock.Status == r.Status)
	diff.note("stock: cause", d.Stock.Cause == r.Cause)
	diff.note("stock: short items", d.Stock.Short == r.Short)
	return diff
}

func (d *orderDocument) heardShipment(s shipmentFacts) (diff differences) {
	if !d.HasShipment {
		return differences{"shipment: none"}
	}
	for _, name := range d.Shipment.differ(s) {
		diff = append(diff, "shipment: "+name)
	}
	return diff
}

func (d *reservationDocument) heardOrder(o orderFacts, atLeast bool) (diff differences) {
	f := d.Facts
	diff.note("customerId", f.Customer == o.Customer)
	diff.note("items", f.Items == o.Goods)
	if !f.Asked {
		return diff // it holds nothing and asks for nothing
	}
	diff.note("request: addressRevision", f.Revision == o.AddressRevision || atLeast && f.Revision > o.AddressRevision)
	diff.note("request: address", f.Revision != o.AddressRevision || f.Address == o.Address)
	diff.note("request: cancelRequested", f.Cancel || o.CancelledAt == 0 || f.final())
	return diff
}

// heardReservation is shipping's. A cancelled or refused one has answered the cancellation.
func (d *shipmentDocument) heardReservation(r reservationFacts, atLeast bool) (diff differences) {
	f := d.Facts
	diff.note("customerId", f.Customer == r.Customer)
	diff.note("pieces", d.Pieces == r.Pieces)
	diff.note("addressRevision", f.Revision == r.Revision || atLeast && f.Revision > r.Revision)
	diff.note("address", f.Revision != r.Revision || f.Refused || f.Address == r.Address)
	diff.note("cancellation", !r.Cancel || f.Status == cancelled || f.CancelRefused)
	if !atLeast {
		diff.note("cancelled unasked", r.Cancel || f.Status != cancelled && !f.CancelRefused)
	}
	return diff
}

// heardShipping is inventory's: its goods are where the shipment implies.
func (d *reservationDocument) heardShipping(s shipmentFacts) (diff differences) {
	diff.note("customerId", d.Facts.Customer == s.Customer)
	is, must := d.Facts.ends(), implied(s)
	diff.note("status ("+events.Word(is.Status)+", must be "+events.Word(must.Status)+")", is.Status == must.Status)
	diff.note("cause", is.Cause == must.Cause)
	return diff
}

// told tells how the last event of inventory on order-events fails to say what the reservation is. That the goods were
// shipped is told by shipping, not by inventory.
func (d *reservationDocument) told(r reservationFacts) (diff differences) {
	f := d.Facts
	diff.note("customerId", f.Customer == r.Customer)
	diff.note("items", f.Items == r.Items)
	is := f.Status
	if is == shippedOut && r.Status == held {
		is = held
	}
	diff.note("status ("+events.Word(is)+", "+events.Word(r.Status)+")", is == r.Status)
	diff.note("cause", f.Cause == r.Cause)
	diff.note("short items", f.Short == r.Short)
	return diff
}

// asked is the same on shipping-events, where the request is told.
func (d *reservationDocument) asked(r reservationFacts) (diff differences) {
	f := d.Facts
	diff.note("customerId", f.Customer == r.Customer)
	diff.note("items", f.Items == r.Items)
	diff.note("request", f.Asked == r.Asked && f.Address == r.Address && f.Revision == r.Revision && f.Cancel == r.Cancel)
	return diff
}
