package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// ChangeOrder applies a merge patch. The precondition is checked before the body is read, so that the order of
// refusals is that of RFC 9110, and again by the write, on the very order that it changes.
func (a *API) ChangeOrder(c echo.Context, id OrderID, _ ChangeOrderParams) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	o, err := a.own(c, id)
	if err != nil {
		return refuse(err)
	}
	unchanged, err := ifMatch(c, true)
	if err != nil {
		return err
	}
	if err := unchanged(o); err != nil {
		return err
	}
	var body mergePatch
	if err := web.DecodeJSON(c, &body); err != nil {
		return err
	}
	patch := body.patch()
	if err := patch.Check(); err != nil {
		return refuse(err)
	}
	who := caller(c)
	ctx, cancel := bounded(c)
	defer cancel()
	o, err = a.orders.Edit(ctx, id, func(o *order.Order) error {
		if err := mayKnow(who, o); err != nil {
			return err
		}
		return unchanged(o)
	}, patch, service.TraceParent(c.Request().Context()))
	if err != nil {
		return refuse(err)
	}
	return answer(c, http.StatusOK, o)
}
