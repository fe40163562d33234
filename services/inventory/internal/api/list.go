package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
)

// position is what a cursor holds: the last SKU of a page. The list goes on behind it, whatever was added since.
type position struct {
	After string `json:"a"`
}

// ListStock gives a page of the stock, by SKU.
func (a *API) ListStock(c echo.Context, _ ListStockParams) error {
	if err := web.QueryOnly(c, "limit", "after"); err != nil {
		return err
	}
	limit, err := web.Limit(c)
	if err != nil {
		return err
	}
	after, err := after(c)
	if err != nil {
		return err
	}
	ctx, cancel := bounded(c)
	defer cancel()
	page, more, err := a.levels.Levels(ctx, after, limit)
	if err != nil {
		return refuse(err)
	}
	list := StockList{Items: make([]Stock, 0, len(page))}
	for _, l := range page {
		list.Items = append(list.Items, show(c, l))
	}
	if more {
		next := web.EncodeCursor(position{page[len(page)-1].SKU})
		list.Next = &next
	}
	return answer(c, http.StatusOK, list)
}

// after reads the cursor of a request; "" without one.
func after(c echo.Context) (string, error) {
	if !c.QueryParams().Has("after") {
		return "", nil
	}
	var p position
	if err := web.DecodeCursor(c.QueryParam("after"), &p); err != nil || p.After == "" {
		return "", &web.Problem{
			Status: http.StatusBadRequest, Code: "bad_cursor", Detail: "after must be the next of an earlier page",
		}
	}
	return p.After, nil
}
