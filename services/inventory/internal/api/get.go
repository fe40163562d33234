package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// GetStock gives what there is of a SKU.
func (a *API) GetStock(c echo.Context, sku SKU, _ GetStockParams) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	if !stock.ValidSKU(sku) {
		return refuse(stock.ErrNotFound)
	}
	ctx, cancel := bounded(c)
	defer cancel()
	level, err := a.levels.Level(ctx, sku)
	if err != nil {
		return refuse(err)
	}
	return answer(c, http.StatusOK, show(c, level))
}
