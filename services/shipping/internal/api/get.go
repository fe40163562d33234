package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
)

// GetShipment gives the shipment of an order.
func (a *API) GetShipment(c echo.Context, id ShipmentID) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	s, err := a.own(c, id)
	if err != nil {
		return refuse(err)
	}
	return answer(c, http.StatusOK, s)
}
