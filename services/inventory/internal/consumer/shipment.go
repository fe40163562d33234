package consumer

import (
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// shipment takes in shipping's outcomes, from shipment-dispatched to shipment-failed: they say where the goods are.
func shipment(e *events.Event) stock.News {
	return stock.News{Sequence: e.Sequence, TraceParent: e.TraceParent, Shipment: e.Data.(*eventspb.Shipment)}
}
