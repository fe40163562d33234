package api

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
	"github.com/orderwire/orderwire/services/shipping/internal/store"
)

// position is what a cursor holds: the id of the last shipment of a page. The list goes on behind it, whatever was
// added since.
type position struct {
	After string `json:"a"`
}

// ListShipments gives a page of shipments, those of the newest orders first: one's own, or for operators everybody's.
func (a *API) ListShipments(c echo.Context, params ListShipmentsParams) error {
	if err := web.QueryOnly(c, "order", "status", "limit", "after"); err != nil {
		return err
	}
	var f store.Filter
	if who := caller(c); !who.Operator {
		f.Customer = who.Customer
	}
	if params.Order != nil {
		f.Order = params.Order.String()
	}
	if params.Status != nil {
		if !params.Status.Valid() {
			return badRequest("bad_parameter", fmt.Sprintf("%q is no status of a shipment", *params.Status))
		}
		f.Status = shipment.Status(*params.Status)
	}
	var err error
	if f.Limit, err = web.Limit(c); err != nil {
		return err
	}
	if f.Before, err = after(c); err != nil {
		return err
	}
	ctx, cancel := bounded(c)
	defer cancel()
	page, more, err := a.shipments.List(ctx, f)
	if err != nil {
		return refuse(err)
	}
	return web.JSON(c, http.StatusOK, appendList(nil, page, more))
}

// after reads the cursor of a request; "" without one.
func after(c echo.Context) (string, error) {
	if !c.QueryParams().Has("after") {
		return "", nil
	}
	var p position
	if err := web.DecodeCursor(c.QueryParam("after"), &p); err != nil || uuid.Validate(p.After) != nil {
		return "", badRequest("bad_cursor", "after must be the next of an earlier page")
	}
	return p.After, nil
}
