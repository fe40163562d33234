package order

import (
	"errors"
	"fmt"
	"slices"
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// ErrImpossible says that news cannot be true of this order.
var ErrImpossible = errors.New("impossible news")

// News is one event of another service with the rule that takes it in. Apply is false when the order knows it already.
type News struct {
	Event *events.Event
	Apply func(*Order) (changed bool, err error)
}

// Stock is what inventory last said.
type Stock struct {
	Status eventspb.ReservationStatus `bson:"status"`
	Cause  eventspb.ReleaseCause      `bson:"cause"`
	Short  []ShortItem                `bson:"short"`
}

// ShortItem is an item that inventory could not hold, with what there was.
type ShortItem struct {
	SKU       string `bson:"sku"`
	Wanted    int32  `bson:"wanted"`
	Available int64  `bson:"available"`
}

func (s *Stock) status() eventspb.ReservationStatus {
	if s == nil {
		return eventspb.ReservationStatus_RESERVATION_STATUS_UNSPECIFIED
	}
	return s.Status
}

// cause of a release or write-off; the field means nothing in another state.
func (s *Stock) cause() eventspb.ReleaseCause {
	switch s.status() {
	case eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED, eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF:
		return s.Cause
	default:
		return eventspb.ReleaseCause_RELEASE_CAUSE_UNSPECIFIED
	}
}

func (s *Stock) equal(other *Stock) bool {
	return s != nil && s.Status == other.Status && s.Cause == other.Cause && slices.Equal(s.Short, other.Short)
}

// Shipment is what shipping last said.
type Shipment struct {
	ID                string                  `bson:"id"`
	Status            eventspb.ShipmentStatus `bson:"status"`
	Carrier           string                  `bson:"carrier"`
	Service           string                  `bson:"service"`
	Cost              Money                   `bson:"cost"`
	EstimatedDelivery time.Time               `bson:"estimatedDelivery"`
	TrackingNumber    string                  `bson:"trackingNumber"`
	Address           Address                 `bson:"address"`
	AddressRevision   int64                   `bson:"addressRevision"`
	AddressRefused    bool                    `bson:"addressRefused"`
	CancelRefused     bool                    `bson:"cancelRefused"`
	Failure           eventspb.FailureReason  `bson:"failure"`
}

func (s *Shipment) status() eventspb.ShipmentStatus {
	if s == nil {
		return eventspb.ShipmentStatus_SHIPMENT_STATUS_UNSPECIFIED
	}
	return s.Status
}

func (s *Shipment) equal(other *Shipment) bool {
	if s == nil {
		return false
	}
	a, b := *s, *other
	sameDay := a.EstimatedDelivery.Equal(b.EstimatedDelivery)
	a.EstimatedDelivery, b.EstimatedDelivery = time.Time{}, time.Time{}
	return sameDay && a == b
}

// InventorySays takes in a snapshot of inventory that is newer than the one known.
func (o *Order) InventorySays(r *eventspb.Reservation) (changed bool, err error) {
	if r.GetCustomerId() != o.CustomerID {
		return false, fmt.Errorf("%w: the reservation belongs to another customer", ErrImpossible)
	}
	if from, to := o.Stock.status(), r.GetStatus(); !slices.Contains(stockMoves[from], to) {
		return false, fmt.Errorf("%w: the reservation was %s and cannot be %s", ErrImpossible, from, to)
	}
	next := &Stock{Status: r.GetStatus(), Cause: r.GetReleaseCause()}
	for _, i := range r.GetRejection().GetItems() {
		next.Short = append(next.Short, ShortItem{SKU: i.GetSku(), Wanted: i.GetWanted(), Available: i.GetAvailable()})
	}
	if o.Stock.equal(next) {
		return false, nil
	}
	o.Stock = next
	return true, nil
}

// ShippingSays takes in a snapshot of shipping that is newer than the one known.
func (o *Order) ShippingSays(s *eventspb.Shipment) (changed bool, err error) {
	if s.GetCustomerId() != o.CustomerID {
		return false, fmt.Errorf("%w: the shipment belongs to another customer", ErrImpossible)
	}
	if from, to := o.Shipment.status(), s.GetStatus(); !slices.Contains(shipmentMoves[from], to) {
		return false, fmt.Errorf("%w: the shipment was %s and cannot be %s", ErrImpossible, from, to)
	}
	next := &Shipment{
		ID: s.GetId(), Status: s.GetStatus(), Carrier: s.GetCarrier(), Service: s.GetService(),
		Cost:              Money{Amount: s.GetCost().GetAmount(), Currency: s.GetCost().GetCurrency()},
		EstimatedDelivery: Now(s.GetEstimatedDelivery().AsTime()),
		TrackingNumber:    s.GetTrackingNumber(), Address: addressFrom(s.GetAddress()),
		AddressRevision: s.GetAddressRevision(), AddressRefused: s.GetAddressRefused(),
		CancelRefused: s.GetCancelRefused(), Failure: s.GetFailureReason(),
	}
	if o.Shipment.equal(next) {
		return false, nil
	}
	o.Shipment = next
	return true, nil
}

// Where a source's state may have got to since its last news. Events between may have been missed, so these are all
// states within reach, not the next ones only.
var (
	stockMoves = map[eventspb.ReservationStatus][]eventspb.ReservationStatus{
		eventspb.ReservationStatus_RESERVATION_STATUS_UNSPECIFIED: {
			eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
			eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED,
			eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED,
			eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED,
			eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF,
		},
		eventspb.ReservationStatus_RESERVATION_STATUS_HELD: {
			eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
			eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED,
			eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED,
			eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF,
		},
		eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED: {
			eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED,
			eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED,
			eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF,
		},
		eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED:    {eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED},
		eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED:    {eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED},
		eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF: {eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF},
	}
	shipmentMoves = map[eventspb.ShipmentStatus][]eventspb.ShipmentStatus{
		eventspb.ShipmentStatus_SHIPMENT_STATUS_UNSPECIFIED: {
			eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED,
		},
		eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED: {
			eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED,
		},
		eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED: {
			eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED,
			eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED,
		},
		eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED: {eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED},
		eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED: {eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED},
		eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED:    {eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED},
	}
)
