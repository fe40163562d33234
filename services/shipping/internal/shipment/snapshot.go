package shipment

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderwire/orderwire/proto-events/eventspb"
)

var statuses = map[Status]eventspb.ShipmentStatus{
	Scheduled:  eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED,
	Dispatched: eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
	Delivered:  eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED,
	Cancelled:  eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED,
	Failed:     eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED,
}

var reasons = map[Reason]eventspb.FailureReason{
	NoReason: eventspb.FailureReason_FAILURE_REASON_UNSPECIFIED,
	Refused:  eventspb.FailureReason_FAILURE_REASON_REFUSED,
	Lost:     eventspb.FailureReason_FAILURE_REASON_LOST,
}

// Snapshot is all that shipping has to say about the order: the body of its events and of its answers.
func (s *Shipment) Snapshot() *eventspb.Shipment {
	p := &eventspb.Shipment{
		Id: s.ID, OrderId: s.ID, CustomerId: s.CustomerID, Status: statuses[s.Status],
		Carrier: s.Rate.Carrier, Service: s.Rate.Service,
		Cost:              &eventspb.Money{Amount: s.Rate.Cost, Currency: s.Rate.Currency},
		EstimatedDelivery: timestamppb.New(s.EstimatedDelivery),
		Address: &eventspb.Address{
			Name: s.Address.Name, Street: s.Address.Street, City: s.Address.City, PostalCode: s.Address.PostalCode, Country: s.Address.Country,
		},
		AddressRevision: s.AddressRevision, AddressRefused: s.AddressRefused, CancelRefused: s.CancelRefused,
		FailureReason: reasons[s.FailureReason],
		CreatedAt:     timestamppb.New(s.CreatedAt), UpdatedAt: timestamppb.New(s.UpdatedAt),
	}
	if s.TrackingNumber != "" {
		p.TrackingNumber = &s.TrackingNumber
	}
	return p
}
