package order

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// Snapshot is all that order-api has to say about the order: the body of its events and, as JSON, the answer to a
// client.
func (o *Order) Snapshot() *eventspb.Order {
	s := &eventspb.Order{
		Id: o.ID, CustomerId: o.CustomerID, Status: o.Status(), Version: o.Version, Revision: o.Revision,
		Items: make([]*eventspb.OrderItem, 0, len(o.Items)), Total: o.Total.proto(), ShippingAddress: o.ShippingAddress.proto(),
		AddressRevision: o.AddressRevision, Note: o.Note, CreatedAt: timestamp(o.CreatedAt), UpdatedAt: timestamp(o.UpdatedAt),
	}
	for _, i := range o.Items {
		s.Items = append(s.Items, &eventspb.OrderItem{
			Sku: i.SKU, Name: i.Name, Quantity: i.Quantity, UnitPrice: i.UnitPrice.proto(), LineTotal: i.LineTotal().proto(),
		})
	}
	if o.Shipment != nil {
		s.Shipment = o.Shipment.snapshot()
	}
	if s.Status == eventspb.OrderStatus_ORDER_STATUS_REJECTED {
		s.Rejection = &eventspb.Rejection{}
		for _, i := range o.Stock.Short {
			s.Rejection.Items = append(s.Rejection.Items, &eventspb.ShortItem{Sku: i.SKU, Wanted: i.Wanted, Available: i.Available})
		}
	}
	if o.CancelRequestedAt != nil {
		s.Cancellation = &eventspb.Cancellation{RequestedAt: timestamp(*o.CancelRequestedAt), Outcome: o.cancellationOutcome()}
	}
	if o.AddressRevision > 0 {
		s.AddressChange = &eventspb.AddressChange{Outcome: o.addressOutcome()}
	}
	if s.Status == eventspb.OrderStatus_ORDER_STATUS_FAILED {
		s.Failure = &eventspb.Failure{Reason: o.failureReason()}
	}
	return s
}

func (s *Shipment) snapshot() *eventspb.OrderShipment {
	out := &eventspb.OrderShipment{
		Id: s.ID, Status: s.Status, Carrier: s.Carrier, Service: s.Service, Cost: s.Cost.proto(),
		EstimatedDelivery: timestamp(s.EstimatedDelivery), Address: s.Address.proto(),
	}
	if s.TrackingNumber != "" {
		out.TrackingNumber = &s.TrackingNumber
	}
	return out
}

func (m Money) proto() *eventspb.Money {
	return &eventspb.Money{Amount: m.Amount, Currency: m.Currency}
}

func (a Address) proto() *eventspb.Address {
	return &eventspb.Address{Name: a.Name, Street: a.Street, City: a.City, PostalCode: a.PostalCode, Country: a.Country}
}

func addressFrom(a *eventspb.Address) Address {
	return Address{
		Name: a.GetName(), Street: a.GetStreet(), City: a.GetCity(), PostalCode: a.GetPostalCode(), Country: a.GetCountry(),
	}
}

func timestamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
