package consumer

import (
	"github.com/orderwire/orderwire/pkg/chaos"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// order takes in order-created, order-updated and order-cancel-requested. The first one that is seen of an order
// starts it, whichever type it is; a later one may bring another address or a cancellation.
func order(e *events.Event) stock.News {
	snapshot := e.Data.(*eventspb.Order)
	if chaos.On(chaos.TrustType) && e.Type != events.OrderCancelRequested {
		snapshot.Cancellation = nil
	}
	return stock.News{Sequence: e.Sequence, TraceParent: e.TraceParent, Order: snapshot}
}
