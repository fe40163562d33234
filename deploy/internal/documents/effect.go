package documents

import (
	"fmt"
	"slices"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// Effect is what an event would do to the document of its reader.
type Effect string

// The effects. Only Starts and Changes are any.
const (
	Unread     Effect = "unread"     // a type that the service does not act on
	Known      Effect = "known"      // the document has taken this one or a newer one of its source
	Agrees     Effect = "agrees"     // newer, and the document says so already
	Starts     Effect = "starts"     // the service has nothing of this order and would begin it here
	Changes    Effect = "changes"    // newer, and it says something else
	Impossible Effect = "impossible" // news from downstream about an order that is not there: a dead letter
)

// Any tells whether there is an effect.
func (e Effect) Any() bool { return e == Starts || e == Changes }

// EffectOf compares an event with the document that the service has of its order, and says in a few words why.
func EffectOf(service string, e *events.Event, d Document) (Effect, string) {
	if !events.ReadBy(service, e.Type) {
		return Unread, service + " does not act on " + string(e.Type)
	}
	envelope := d.Envelope()
	if envelope == nil {
		upstream := service == Inventory && e.Source() == events.SourceOrderAPI || service == Shipping
		if upstream {
			return Starts, service + " has nothing of this order"
		}
		return Impossible, service + " has nothing of this order, and only its upstream can begin one"
	}
	if seen := envelope.Seen[string(e.Source())]; e.Sequence <= seen {
		return Known, fmt.Sprintf("the document has taken sequence %d of %s", seen, e.Source())
	}
	if differs := difference(d, e.Data); differs != "" {
		return Changes, differs
	}
	return Agrees, "the document says so already"
}

// difference tells what a snapshot says that the document does not; "" when nothing.
func difference(d Document, snapshot events.Snapshot) string {
	switch s := snapshot.(type) {
	case *eventspb.Order: // read by inventory
		return d.Reservation.asked(s)
	case *eventspb.Reservation:
		if d.Order != nil {
			return d.Order.Stock.heard(s)
		}
		return d.Shipment.asked(s)
	case *eventspb.Shipment:
		if d.Order != nil {
			return d.Order.Shipment.heard(s)
		}
		return d.Reservation.heard(s)
	default:
		return fmt.Sprintf("a snapshot of kind %T", snapshot)
	}
}

// asked tells what order-api wants that inventory has not asked shipping for.
func (r *Reservation) asked(o *eventspb.Order) string {
	switch {
	case r.Request == nil:
		return "" // it holds nothing and never will
	case o.GetAddressRevision() > r.Request.AddressRevision:
		return fmt.Sprintf("address revision %d, the document has %d", o.GetAddressRevision(), r.Request.AddressRevision)
	case o.GetCancellation() != nil && !r.Request.CancelRequested && (r.Status == "held" || r.Status == "shipped"):
		return "a cancellation that was not passed on"
	default:
		return ""
	}
}

// heard tells where the goods are by what shipping says, if the document says otherwise.
func (r *Reservation) heard(s *eventspb.Shipment) string {
	status, cause := "held", ""
	switch s.GetStatus() {
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED, eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED:
		status = "shipped"
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED:
		status, cause = "released", "cancelled"
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED:
		status, cause = "released", "failed"
		if s.GetFailureReason() == eventspb.FailureReason_FAILURE_REASON_LOST {
			status = "written_off"
		}
	default:
	}
	if r.Status == status && r.Cause == cause {
		return ""
	}
	return fmt.Sprintf("the goods are %s %s, the document says %s %s", status, cause, r.Status, r.Cause)
}

// asked tells what inventory wants that shipping has not answered.
func (s *Shipment) asked(r *eventspb.Reservation) string {
	request := r.GetRequest()
	switch {
	case request.GetAddressRevision() > s.AddressRevision:
		return fmt.Sprintf("address revision %d, the document has answered %d", request.GetAddressRevision(), s.AddressRevision)
	case request.GetCancelRequested() && s.Status != "cancelled" && !s.CancelRefused:
		return "a cancellation that was not answered"
	default:
		return ""
	}
}

// heard tells what inventory says if the order has heard otherwise.
func (k *OrderStock) heard(r *eventspb.Reservation) string {
	if k == nil {
		return "the order has heard nothing of inventory"
	}
	short := make([]Short, 0, len(k.Short))
	for _, i := range r.GetRejection().GetItems() {
		short = append(short, Short{SKU: i.GetSku(), Wanted: i.GetWanted(), Available: i.GetAvailable()})
	}
	if k.Status == r.GetStatus() && k.Cause == r.GetReleaseCause() && slices.Equal(k.Short, short) {
		return ""
	}
	return fmt.Sprintf("the stock is %s, the order has heard %s", events.Word(r.GetStatus()), events.Word(k.Status))
}

// heard tells what shipping says if the order has heard otherwise.
func (p *OrderParcel) heard(s *eventspb.Shipment) string {
	a := s.GetAddress()
	address := Address{Name: a.GetName(), Street: a.GetStreet(), City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry()}
	switch {
	case p == nil:
		return "the order has heard nothing of shipping"
	case p.Status != s.GetStatus():
		return fmt.Sprintf("the shipment is %s, the order has heard %s", events.Word(s.GetStatus()), events.Word(p.Status))
	case p.Carrier != s.GetCarrier() || p.Service != s.GetService() || p.TrackingNumber != s.GetTrackingNumber() ||
		p.Cost.Amount != s.GetCost().GetAmount() || p.Cost.Currency != s.GetCost().GetCurrency() ||
		p.EstimatedDelivery.UnixMilli() != s.GetEstimatedDelivery().AsTime().UnixMilli():
		return "another carrier, service, cost, date or tracking number"
	case p.Address != address || p.AddressRevision != s.GetAddressRevision() || p.AddressRefused != s.GetAddressRefused():
		return fmt.Sprintf("another address: revision %d, the order has %d", s.GetAddressRevision(), p.AddressRevision)
	case p.CancelRefused != s.GetCancelRefused() || p.Failure != s.GetFailureReason():
		return "another answer to a cancellation, or another failure"
	default:
		return ""
	}
}
