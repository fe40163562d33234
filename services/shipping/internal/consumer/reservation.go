package consumer

import (
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// reservation takes in shipment-requested, shipment-update-requested and shipment-cancel-requested. The first one that
// is seen of an order starts its shipment, whichever type it is; a later one may bring another address or a
// cancellation.
func reservation(e *events.Event) shipment.News {
	return shipment.News{Sequence: e.Sequence, TraceParent: e.TraceParent, Reservation: e.Data.(*eventspb.Reservation)}
}
