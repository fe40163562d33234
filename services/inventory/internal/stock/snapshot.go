package stock

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderwire/orderwire/proto-events/eventspb"
)

var statuses = map[Status]eventspb.ReservationStatus{
	Held:            eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
	Rejected:        eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED,
	Released:        eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED,
	ShippedOut:      eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED,
	WrittenOffGoods: eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF,
}

var causes = map[Cause]eventspb.ReleaseCause{
	NoCause:   eventspb.ReleaseCause_RELEASE_CAUSE_UNSPECIFIED,
	Cancelled: eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED,
	Failed:    eventspb.ReleaseCause_RELEASE_CAUSE_FAILED,
}

// Snapshot is all that inventory has to say about the order: the body of its events.
func (r *Reservation) Snapshot() *eventspb.Reservation {
	s := &eventspb.Reservation{
		Id: r.ID, CustomerId: r.CustomerID, Status: statuses[r.Status], ReleaseCause: causes[r.Cause],
		Items:     make([]*eventspb.ReservedItem, 0, len(r.Items)),
		CreatedAt: timestamppb.New(r.CreatedAt), UpdatedAt: timestamppb.New(r.UpdatedAt),
	}
	for _, i := range r.Items {
		s.Items = append(s.Items, &eventspb.ReservedItem{Sku: i.SKU, Quantity: i.Quantity})
	}
	if r.Status == Rejected {
		s.Rejection = &eventspb.Rejection{}
		for _, i := range r.Short {
			s.Rejection.Items = append(s.Rejection.Items, &eventspb.ShortItem{Sku: i.SKU, Wanted: i.Wanted, Available: i.Available})
		}
	}
	if r.Request != nil {
		a := r.Request.Address
		s.Request = &eventspb.ShippingRequest{
			Address: &eventspb.Address{
				Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country,
			},
			AddressRevision: r.Request.AddressRevision, CancelRequested: r.Request.CancelRequested,
		}
	}
	return s
}
