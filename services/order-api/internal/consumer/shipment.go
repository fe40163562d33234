package consumer

import (
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// shipment takes in every event of shipping, from shipment-scheduled to shipment-failed: the state of the parcel and
// shipping's answers to a changed address and to a cancellation.
func shipment(e *events.Event) order.News {
	return order.News{Event: e, Apply: func(o *order.Order) (bool, error) {
		return o.ShippingSays(e.Data.(*eventspb.Shipment))
	}}
}
