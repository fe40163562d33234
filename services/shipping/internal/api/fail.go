package api

import (
	"github.com/labstack/echo/v4"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// FailShipment notes that the parcel will not arrive.
func (a *API) FailShipment(c echo.Context, id ShipmentID) error {
	return act(a, c, id, func(body Failure) (shipment.Step, error) {
		if !body.Reason.Valid() {
			return nil, unprocessable("/reason", "bad_reason", "must be refused or lost")
		}
		reason := shipment.Reason(body.Reason)
		return func(s *shipment.Shipment) ([]events.Type, error) { return s.Fail(reason) }, nil
	})
}
