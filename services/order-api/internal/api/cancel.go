package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// CancelOrder asks for the order to be stopped. Whether it still can be is decided further down the chain; the answer
// only says that the wish is on its way. If-Match is honoured, not required.
func (a *API) CancelOrder(c echo.Context, id OrderID, _ CancelOrderParams) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	unchanged, badHeader := ifMatch(c, false)
	who := caller(c)
	ctx, cancel := bounded(c)
	defer cancel()
	o, err := a.orders.Cancel(ctx, id, func(o *order.Order) error {
		if err := mayKnow(who, o); err != nil {
			return err
		}
		if badHeader != nil {
			return badHeader
		}
		return unchanged(o)
	}, service.TraceParent(c.Request().Context()))
	if err != nil {
		return refuse(err)
	}
	return answer(c, http.StatusAccepted, o)
}
