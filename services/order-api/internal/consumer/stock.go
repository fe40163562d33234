package consumer

import (
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// stock takes in stock-reserved, stock-rejected and stock-released: inventory's state for the order.
func stock(e *events.Event) order.News {
	return order.News{Event: e, Apply: func(o *order.Order) (bool, error) {
		return o.InventorySays(e.Data.(*eventspb.Reservation))
	}}
}
