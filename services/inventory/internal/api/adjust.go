package api

import (
	"net/http"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
	"github.com/orderwire/orderwire/services/inventory/internal/store"
)

// Limits of an adjustment.
const (
	maxQuantity = 1_000_000
	maxReason   = 200
)

// AdjustStock brings goods in or takes available ones out.
func (a *API) AdjustStock(c echo.Context, sku SKU, _ AdjustStockParams) error {
	if !stock.ValidSKU(sku) {
		return refuse(stock.ErrNotFound) // no such row could ever be
	}
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	key, err := web.IdempotencyKey(c)
	if err != nil {
		return err
	}
	var body NewAdjustment
	if err := web.DecodeJSON(c, &body); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	who, _ := auth.FromContext(c.Request().Context())
	ctx, cancel := bounded(c)
	defer cancel()
	level, replayed, err := a.levels.Adjust(ctx, store.Adjustment{
		SKU: sku, Quantity: body.Quantity, Reason: body.Reason, By: who.Customer, Key: key,
	})
	if err != nil {
		return refuse(err)
	}
	if replayed {
		c.Response().Header().Set("Idempotency-Replayed", "true")
	}
	return answer(c, http.StatusCreated, show(c, level))
}

// check points at every wrong field.
func (a NewAdjustment) check() error {
	var wrong []web.FieldError
	if a.Quantity == 0 || a.Quantity < -maxQuantity || a.Quantity > maxQuantity {
		wrong = append(wrong, web.FieldError{
			Pointer: "/quantity", Code: "out_of_range", Detail: "must be within -1000000 and 1000000, and not 0",
		})
	}
	if n := utf8.RuneCountInString(a.Reason); n == 0 || n > maxReason {
		wrong = append(wrong, web.FieldError{Pointer: "/reason", Code: "out_of_range", Detail: "must have 1 to 200 characters"})
	}
	if wrong == nil {
		return nil
	}
	return &web.Problem{
		Status: http.StatusUnprocessableEntity, Code: "out_of_range", Detail: "this is no adjustment", Errors: wrong,
	}
}
