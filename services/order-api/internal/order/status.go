package order

import (
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// Status is a pure function of the facts, by precedence: what is irrevocable and further along wins. Each line may be
// learned from either service, because Kafka promises no order between the two topics: shipping's dispatch may be
// here before inventory's reservation.
func (o *Order) Status() Status {
	var (
		shipment = o.Shipment.status()
		stock    = o.Stock.status()
		cause    = o.Stock.cause()
	)
	switch {
	case shipment == eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED:
		return eventspb.OrderStatus_ORDER_STATUS_DELIVERED
	case shipment == eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED,
		cause == eventspb.ReleaseCause_RELEASE_CAUSE_FAILED:
		return eventspb.OrderStatus_ORDER_STATUS_FAILED
	case shipment == eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
		stock == eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED:
		return eventspb.OrderStatus_ORDER_STATUS_SHIPPED
	case shipment == eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED,
		cause == eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED:
		return eventspb.OrderStatus_ORDER_STATUS_CANCELLED
	case stock == eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED:
		return eventspb.OrderStatus_ORDER_STATUS_REJECTED
	case o.CancelRequestedAt != nil:
		return eventspb.OrderStatus_ORDER_STATUS_CANCELLING
	case stock == eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
		shipment == eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED:
		return eventspb.OrderStatus_ORDER_STATUS_CONFIRMED
	default:
		return eventspb.OrderStatus_ORDER_STATUS_PENDING
	}
}

// cancellationOutcome follows from the status alone: the cancellation is done if the order is cancelled, and was
// refused if the order went another way.
func (o *Order) cancellationOutcome() eventspb.CancellationOutcome {
	switch o.Status() {
	case eventspb.OrderStatus_ORDER_STATUS_CANCELLING:
		return eventspb.CancellationOutcome_CANCELLATION_OUTCOME_PENDING
	case eventspb.OrderStatus_ORDER_STATUS_CANCELLED:
		return eventspb.CancellationOutcome_CANCELLATION_OUTCOME_DONE
	default:
		return eventspb.CancellationOutcome_CANCELLATION_OUTCOME_REFUSED
	}
}

// addressOutcome is what shipping answered to the customer's last change of the address. An order that ended before
// shipping could answer takes no address any more.
func (o *Order) addressOutcome() eventspb.AddressChangeOutcome {
	if s := o.Shipment; s != nil && s.AddressRevision >= o.AddressRevision {
		if s.AddressRefused {
			return eventspb.AddressChangeOutcome_ADDRESS_CHANGE_OUTCOME_REFUSED
		}
		return eventspb.AddressChangeOutcome_ADDRESS_CHANGE_OUTCOME_ACCEPTED
	}
	switch o.Status() {
	case eventspb.OrderStatus_ORDER_STATUS_REJECTED, eventspb.OrderStatus_ORDER_STATUS_CANCELLED, eventspb.OrderStatus_ORDER_STATUS_FAILED:
		return eventspb.AddressChangeOutcome_ADDRESS_CHANGE_OUTCOME_REFUSED
	default:
		return eventspb.AddressChangeOutcome_ADDRESS_CHANGE_OUTCOME_PENDING
	}
}

// failureReason tells what became of the goods; inventory's bucket says it too, if its news are here first.
func (o *Order) failureReason() eventspb.FailureReason {
	switch {
	case o.Shipment.status() == eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED:
		return o.Shipment.Failure
	case o.Stock.status() == eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF:
		return eventspb.FailureReason_FAILURE_REASON_LOST
	default:
		return eventspb.FailureReason_FAILURE_REASON_REFUSED
	}
}
