package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// act takes in what a carrier says. The shipment is looked up before the body is read, so that the order of refusals is
// that of RFC 9110; whether it is the shipment's turn is decided by the write.
func act[Body any](a *API, c echo.Context, id string, read func(Body) (shipment.Step, error)) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	if _, err := a.own(c, id); err != nil {
		return refuse(err)
	}
	var body *Body
	if err := web.DecodeJSON(c, &body); err != nil {
		return err
	}
	if body == nil { // null
		return unprocessable("", "wrong_type", "must be an object")
	}
	step, err := read(*body)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(c)
	defer cancel()
	s, err := a.shipments.Act(ctx, id, service.TraceParent(c.Request().Context()), step)
	if err != nil {
		return refuse(err)
	}
	return answer(c, http.StatusOK, s)
}
