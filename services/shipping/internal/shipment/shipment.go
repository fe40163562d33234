package shipment

import (
	"errors"
	"fmt"
	"slices"
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

var (
	// ErrNotFound says that there is no shipment of that order.
	ErrNotFound = errors.New("no such shipment")
	// ErrImpossible says that a snapshot cannot be true of its order, now or later.
	ErrImpossible = errors.New("impossible")
)

// StateError says that the carrier cannot do this now.
type StateError struct {
	Status Status
	Step   string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("a shipment that is %s cannot be %s", e.Status, e.Step)
}

// Status of a shipment.
type Status string

// The states; the last three are final.
const (
	Scheduled  Status = "scheduled"
	Dispatched Status = "dispatched"
	Delivered  Status = "delivered"
	Cancelled  Status = "cancelled"
	Failed     Status = "failed"
)

// Reason of a failure.
type Reason string

// The reasons: refused goods come back to stock, lost ones are written off.
const (
	NoReason Reason = ""
	Refused  Reason = "refused"
	Lost     Reason = "lost"
)

// Address is where the parcel goes.
type Address struct {
	Name       string `bson:"name"`
	Street     string `bson:"street"`
	City       string `bson:"city"`
	PostalCode string `bson:"postalCode"`
	Country    string `bson:"country"`
}

// Line is one thing that happened.
type Line struct {
	Time     time.Time   `bson:"time"`
	Type     events.Type `bson:"type"`
	Sequence int64       `bson:"sequence"`
	Version  int64       `bson:"version"`
}

// Shipment is what shipping has to say about one order. Its id is the order's.
type Shipment struct {
	ID                string    `bson:"-"` // the envelope's, where it is stored
	CustomerID        string    `bson:"customerId"`
	Status            Status    `bson:"status"`
	Pieces            int64     `bson:"pieces"`
	Rate              Rate      `bson:"rate"`
	EstimatedDelivery time.Time `bson:"estimatedDelivery"`
	TrackingNumber    string    `bson:"trackingNumber"`
	Address           Address   `bson:"address"`
	// AddressRevision is the last one that was answered, AddressRefused how.
	AddressRevision int64     `bson:"addressRevision"`
	AddressRefused  bool      `bson:"addressRefused"`
	CancelRefused   bool      `bson:"cancelRefused"`
	FailureReason   Reason    `bson:"failureReason"`
	CreatedAt       time.Time `bson:"createdAt"`
	UpdatedAt       time.Time `bson:"updatedAt"`
	History         []Line    `bson:"history"`
}

// Start makes a shipment of what inventory asks for at first sight, whichever event it comes with. One that comes with
// its cancellation is cancelled from the start.
func Start(r *eventspb.Reservation, now time.Time) (*Shipment, []events.Type, error) {
	request, err := requestOf(r)
	if err != nil {
		return nil, nil, err
	}
	s := &Shipment{
		ID: r.GetId(), CustomerID: r.GetCustomerId(), Status: Scheduled, Pieces: pieces(r),
		Address: addressOf(request.GetAddress()), AddressRevision: request.GetAddressRevision(), CreatedAt: now,
	}
	s.quote(now)
	if request.GetCancelRequested() {
		s.Status = Cancelled
		return s, []events.Type{events.ShipmentCancelled}, nil
	}
	return s, []events.Type{events.ShipmentScheduled}, nil
}

// quote picks carrier, service and price for where the parcel goes.
func (s *Shipment) quote(now time.Time) {
	s.Rate = RateFor(s.Address.Country, s.Pieces)
	s.EstimatedDelivery = now.AddDate(0, 0, s.Rate.Days)
}

// Asks takes in a snapshot of inventory and answers what is new in it: another address, a cancellation.
func (s *Shipment) Asks(r *eventspb.Reservation, now time.Time) (says []events.Type, err error) {
	request, err := requestOf(r)
	if err != nil {
		return nil, err
	}
	if r.GetCustomerId() != s.CustomerID || pieces(r) != s.Pieces {
		return nil, fmt.Errorf("%w: shipment %s has another customer or other items than it was asked for", ErrImpossible, s.ID)
	}
	if request.GetAddressRevision() > s.AddressRevision {
		s.AddressRevision = request.GetAddressRevision()
		if s.AddressRefused = s.Status != Scheduled; s.AddressRefused {
			says = append(says, events.ShipmentUpdateRefused)
		} else {
			s.Address = addressOf(request.GetAddress())
			s.quote(now)
			says = append(says, events.ShipmentUpdated)
		}
	}
	switch {
	case !request.GetCancelRequested() || s.Status == Cancelled || s.CancelRefused:
	case s.Status == Scheduled:
		s.Status = Cancelled
		says = append(says, events.ShipmentCancelled)
	default:
		s.CancelRefused = true
		says = append(says, events.ShipmentCancelRefused)
	}
	return says, nil
}

// Step is one that a carrier takes: it changes the shipment and gives the events that tell of it, none where nothing
// changes.
type Step func(*Shipment) ([]events.Type, error)

// Dispatch notes that the parcel has left. The same again changes nothing.
func (s *Shipment) Dispatch(trackingNumber string) ([]events.Type, error) {
	switch {
	case s.Status == Dispatched && (trackingNumber == "" || trackingNumber == s.TrackingNumber):
		return nil, nil
	case s.Status != Scheduled:
		return nil, &StateError{s.Status, "dispatched"}
	}
	if trackingNumber == "" {
		trackingNumber = TrackingNumber(s.ID)
	}
	s.Status, s.TrackingNumber = Dispatched, trackingNumber
	return []events.Type{events.ShipmentDispatched}, nil
}

// Deliver notes that the parcel has arrived. The same again changes nothing.
func (s *Shipment) Deliver() ([]events.Type, error) {
	switch s.Status {
	case Delivered:
		return nil, nil
	case Dispatched:
		s.Status = Delivered
		return []events.Type{events.ShipmentDelivered}, nil
	default:
		return nil, &StateError{s.Status, "delivered"}
	}
}

// Fail notes that the parcel was refused or lost on its way. The same again changes nothing.
func (s *Shipment) Fail(reason Reason) ([]events.Type, error) {
	switch {
	case s.Status == Failed && s.FailureReason == reason:
		return nil, nil
	case s.Status == Dispatched:
		s.Status, s.FailureReason = Failed, reason
		return []events.Type{events.ShipmentFailed}, nil
	default:
		return nil, &StateError{s.Status, string(reason)}
	}
}

// Touch dates a change. Clocks differ between instances: time never goes backwards here.
func (s *Shipment) Touch(at time.Time) {
	if at.After(s.UpdatedAt) {
		s.UpdatedAt = at
	}
}

// Clone lets a shipment be changed without touching the one that was read.
func (s *Shipment) Clone() *Shipment {
	c := *s
	c.History = slices.Clone(s.History)
	return &c
}

func requestOf(r *eventspb.Reservation) (*eventspb.ShippingRequest, error) {
	request := r.GetRequest()
	switch {
	case request == nil:
		return nil, fmt.Errorf("%w: inventory asks for nothing for order %s", ErrImpossible, r.GetId())
	case request.GetAddress() == nil:
		return nil, fmt.Errorf("%w: order %s has no address", ErrImpossible, r.GetId())
	case pieces(r) < 1:
		return nil, fmt.Errorf("%w: order %s has no items", ErrImpossible, r.GetId())
	}
	return request, nil
}

// pieces counts what is in the parcel; 0 where an item has none.
func pieces(r *eventspb.Reservation) (n int64) {
	for _, i := range r.GetItems() {
		if i.GetQuantity() < 1 {
			return 0
		}
		n += int64(i.GetQuantity())
	}
	return n
}

func addressOf(a *eventspb.Address) Address {
	return Address{
		Name: a.GetName(), Street: a.GetStreet(), City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
	}
}
