package api

import (
	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// DeliverShipment notes that the parcel has arrived.
func (a *API) DeliverShipment(c echo.Context, id ShipmentID) error {
	return act(a, c, id, func(struct{}) (shipment.Step, error) { return (*shipment.Shipment).Deliver, nil })
}
