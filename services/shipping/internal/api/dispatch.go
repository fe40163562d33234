package api

import (
	"regexp"

	"github.com/labstack/echo/v4"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// trackingNumber is what one may look like; openapi.yaml says the same.
var trackingNumber = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 -]{0,63}$`)

// DispatchShipment notes that the parcel has left.
func (a *API) DispatchShipment(c echo.Context, id ShipmentID) error {
	return act(a, c, id, func(body Dispatch) (shipment.Step, error) {
		number := ""
		if body.TrackingNumber != nil {
			if number = *body.TrackingNumber; !trackingNumber.MatchString(number) {
				return nil, unprocessable("/trackingNumber", "bad_tracking_number",
					"must be 1 to 64 letters, digits, spaces and hyphens, and start with a letter or digit")
			}
		}
		return func(s *shipment.Shipment) ([]events.Type, error) { return s.Dispatch(number) }, nil
	})
}
