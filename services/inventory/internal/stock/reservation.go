package stock

import (
	"errors"
	"fmt"
	"slices"
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

var (
	// ErrImpossible says that a snapshot cannot be true of its order, now or later.
	ErrImpossible = errors.New("impossible")
	// ErrUnknownOrder says that shipping speaks of an order that inventory never asked it to ship.
	ErrUnknownOrder = fmt.Errorf("%w: no reservation of this order", ErrImpossible)
)

// Status of a reservation. It names the bucket that its goods are in.
type Status string

// The states. An order starts as held, rejected or, when it was cancelled before inventory saw it, released.
// Then: held → shipped | released | written_off, shipped → released | written_off. The rest is final.
const (
	Held            Status = "held"
	Rejected        Status = "rejected"
	Released        Status = "released"
	ShippedOut      Status = "shipped"
	WrittenOffGoods Status = "written_off"
)

// bucket is where goods of a reservation in this state are. Those of one that holds nothing are available.
func (s Status) bucket() Bucket {
	switch s {
	case Held:
		return Reserved
	case ShippedOut:
		return Shipped
	case WrittenOffGoods:
		return WrittenOff
	default:
		return Available
	}
}

// Bucket tells where the goods are.
func (r *Reservation) Bucket() Bucket { return r.Status.bucket() }

// Cause of a release or a write-off.
type Cause string

// The causes; a reservation that was neither released nor written off has none.
const (
	NoCause   Cause = ""
	Cancelled Cause = "cancelled"
	Failed    Cause = "failed"
)

// Address is where the parcel goes.
type Address struct {
	Name       string `bson:"name"`
	Street     string `bson:"street"`
	City       string `bson:"city"`
	PostalCode string `bson:"postalCode"`
	Country    string `bson:"country"`
}

// Request is what shipping is asked to do: ship to this address, or stop.
type Request struct {
	Address         Address `bson:"address"`
	AddressRevision int64   `bson:"addressRevision"`
	CancelRequested bool    `bson:"cancelRequested"`
}

// Reservation is what inventory has to say about one order. Its id is the order's.
type Reservation struct {
	ID         string    `bson:"-"` // the envelope's, where it is stored
	CustomerID string    `bson:"customerId"`
	Status     Status    `bson:"status"`
	Cause      Cause     `bson:"cause"`
	Items      []Item    `bson:"items"`
	Short      []Short   `bson:"short"`   // why it was rejected
	Request    *Request  `bson:"request"` // nil when shipping was never asked
	CreatedAt  time.Time `bson:"createdAt"`
	UpdatedAt  time.Time `bson:"updatedAt"`
}

// Start decides on an order at first sight, whichever event it comes with: it holds every item or none. The events
// tell of the decision. An order that comes with its cancellation holds nothing and goes no further.
func Start(o *eventspb.Order, shelf *Shelf) (*Reservation, []events.Type, error) {
	items, err := itemsOf(o)
	if err != nil {
		return nil, nil, err
	}
	r := &Reservation{ID: o.GetId(), CustomerID: o.GetCustomerId(), Items: items}
	if o.GetCancellation() != nil {
		r.Status, r.Cause = Released, Cancelled
		return r, []events.Type{events.StockReleased}, nil
	}
	if o.GetShippingAddress() == nil {
		return nil, nil, fmt.Errorf("%w: order %s has no address", ErrImpossible, o.GetId())
	}
	if r.Short = shelf.short(items); len(r.Short) > 0 {
		r.Status = Rejected
		return r, []events.Type{events.StockRejected}, nil
	}
	shelf.move(items, Available, Reserved)
	r.Status = Held
	r.Request = &Request{Address: addressOf(o.GetShippingAddress()), AddressRevision: o.GetAddressRevision()}
	return r, []events.Type{events.StockReserved, events.ShipmentRequested}, nil
}

// OrderSays takes in a snapshot of order-api. What differs from what shipping was asked is asked now: a newer address
// always, so that a refusal comes back; a cancellation as long as there is something to stop.
func (r *Reservation) OrderSays(o *eventspb.Order) (says []events.Type, err error) {
	items, err := itemsOf(o)
	if err != nil {
		return nil, err
	}
	if o.GetCustomerId() != r.CustomerID || !slices.Equal(items, r.Items) {
		return nil, fmt.Errorf("%w: order %s has another customer or other items than it was placed with", ErrImpossible, r.ID)
	}
	if r.Request == nil {
		return nil, nil // it holds nothing and never will
	}
	if o.GetAddressRevision() > r.Request.AddressRevision {
		if o.GetShippingAddress() == nil {
			return nil, fmt.Errorf("%w: order %s has no address", ErrImpossible, r.ID)
		}
		r.Request.Address, r.Request.AddressRevision = addressOf(o.GetShippingAddress()), o.GetAddressRevision()
		says = append(says, events.ShipmentUpdateRequested)
	}
	underWay := r.Status == Held || r.Status == ShippedOut
	if o.GetCancellation() != nil && underWay && !r.Request.CancelRequested {
		r.Request.CancelRequested = true
		says = append(says, events.ShipmentCancelRequested)
	}
	return says, nil
}

// ShippingSays takes in a snapshot of shipping: the goods move to the bucket that it implies.
// changed is false when they are there already.
func (r *Reservation) ShippingSays(s *eventspb.Shipment, shelf *Shelf) (says []events.Type, changed bool, err error) {
	if r.Request == nil {
		return nil, false, fmt.Errorf("%w: shipping was never asked to ship order %s", ErrImpossible, r.ID)
	}
	if s.GetCustomerId() != r.CustomerID {
		return nil, false, fmt.Errorf("%w: order %s belongs to another customer", ErrImpossible, r.ID)
	}
	status, cause, err := implied(s)
	if err != nil {
		return nil, false, err
	}
	if status == r.Status && cause == r.Cause {
		return nil, false, nil
	}
	if !mayBecome(r.Status, status, cause) {
		return nil, false, fmt.Errorf("%w: order %s is %s (%s) and cannot become %s (%s)", ErrImpossible, r.ID, r.Status, r.Cause, status, cause)
	}
	shelf.move(r.Items, r.Status.bucket(), status.bucket())
	r.Status, r.Cause = status, cause
	if status == Released || status == WrittenOffGoods {
		says = []events.Type{events.StockReleased}
	}
	return says, true, nil
}

// implied tells what a shipment's state means for the goods in it.
func implied(s *eventspb.Shipment) (Status, Cause, error) {
	switch s.GetStatus() {
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED:
		return Held, NoCause, nil
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED, eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED:
		return ShippedOut, NoCause, nil
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED:
		return Released, Cancelled, nil
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED:
		switch s.GetFailureReason() {
		case eventspb.FailureReason_FAILURE_REASON_REFUSED:
			return Released, Failed, nil
		case eventspb.FailureReason_FAILURE_REASON_LOST:
			return WrittenOffGoods, Failed, nil
		default:
		}
	default:
	}
	return "", NoCause, fmt.Errorf("%w: shipment %s is %s with failure reason %s", ErrImpossible, s.GetId(), s.GetStatus(), s.GetFailureReason())
}

// mayBecome guards the states that are final, and what has left from being cancelled.
func mayBecome(from, to Status, cause Cause) bool {
	switch from {
	case Held:
		return true
	case ShippedOut:
		return cause == Failed && (to == Released || to == WrittenOffGoods)
	default:
		return false
	}
}

// itemsOf gives the items of an order: at least one, each SKU once, of each at least one piece.
func itemsOf(o *eventspb.Order) ([]Item, error) {
	if len(o.GetItems()) == 0 {
		return nil, fmt.Errorf("%w: order %s has no items", ErrImpossible, o.GetId())
	}
	items := make([]Item, 0, len(o.GetItems()))
	seen := make(map[string]bool, len(o.GetItems()))
	for _, i := range o.GetItems() {
		if i.GetQuantity() < 1 || !ValidSKU(i.GetSku()) || seen[i.GetSku()] {
			return nil, fmt.Errorf("%w: order %s has %d of %q, or has it twice", ErrImpossible, o.GetId(), i.GetQuantity(), i.GetSku())
		}
		seen[i.GetSku()] = true
		items = append(items, Item{SKU: i.GetSku(), Quantity: i.GetQuantity()})
	}
	return items, nil
}

func addressOf(a *eventspb.Address) Address {
	return Address{
		Name: a.GetName(), Street: a.GetStreet(), City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
	}
}
