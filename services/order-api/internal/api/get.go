package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// GetOrder gives one order, or 304 when the client has it already.
func (a *API) GetOrder(c echo.Context, id OrderID, _ GetOrderParams) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	o, err := a.own(c, id)
	if err != nil {
		return refuse(err)
	}
	have, err := ifNoneMatch(c, o)
	if err != nil {
		return err
	}
	if have {
		c.Response().Header().Set("ETag", etag(o))
		return c.NoContent(http.StatusNotModified)
	}
	return answer(c, http.StatusOK, o)
}

// answer is an order as its events show it, with its ETag.
func answer(c echo.Context, status int, o *order.Order) error {
	c.Response().Header().Set("ETag", etag(o))
	return web.JSON(c, status, events.AppendJSON(nil, o.Snapshot()))
}
