package api

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

// ListOrders gives a page of orders, newest first: one's own, or for operators everybody's.
func (a *API) ListOrders(c echo.Context, params ListOrdersParams) error {
	if err := web.QueryOnly(c, "status", "customer", "limit", "after"); err != nil {
		return err
	}
	who := caller(c)
	f := store.Filter{Customer: who.Customer}
	if who.Operator {
		f.Customer = ""
	}
	if params.Customer != nil {
		if *params.Customer == "" {
			return badRequest("bad_parameter", "customer must not be empty")
		}
		if *params.Customer != who.Customer && !who.Operator {
			return forbidden("only operators see the orders of somebody else")
		}
		f.Customer = *params.Customer
	}
	if params.Status != nil {
		if f.Status = statusOf(*params.Status); f.Status == 0 {
			return badRequest("bad_parameter", fmt.Sprintf("%q is no status of an order", *params.Status))
		}
	}
	var err error
	if f.Limit, err = web.Limit(c); err != nil {
		return err
	}
	if f.Before, err = after(c); err != nil {
		return err
	}
	if f.Before != "" && uuid.Validate(f.Before) != nil {
		return badCursor()
	}
	ctx, cancel := bounded(c)
	defer cancel()
	page, more, err := a.orders.List(ctx, f)
	if err != nil {
		return refuse(err)
	}
	return web.JSON(c, http.StatusOK, appendList(nil, page, more))
}

// appendList writes a page with the same bytes for an order as everywhere else.
func appendList(dst []byte, page []*order.Order, more bool) []byte {
	dst = append(dst, `{"items":[`...)
	for i, o := range page {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = events.AppendJSON(dst, o.Snapshot())
	}
	dst = append(dst, ']')
	if more {
		dst = append(dst, `,"next":"`...) // a cursor needs no escaping
		dst = append(dst, next(page[len(page)-1].ID)...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// statusOf reads a status as JSON spells it; 0 for anything else.
func statusOf(word OrderStatus) order.Status {
	for n := range eventspb.OrderStatus_name {
		if s := eventspb.OrderStatus(n); n != 0 && events.Word(s) == string(word) {
			return s
		}
	}
	return 0
}
