package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
)

// GetOrderHistory lists what happened to the order, oldest first.
func (a *API) GetOrderHistory(c echo.Context, id OrderID) error {
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	o, err := a.own(c, id)
	if err != nil {
		return refuse(err)
	}
	h := History{Items: make([]HistoryLine, 0, len(o.History))}
	for _, l := range o.History {
		h.Items = append(h.Items, HistoryLine{
			Time: l.Time.UTC(), Source: HistoryLineSource(l.Source), Type: string(l.Type), Sequence: l.Sequence, Version: l.Version,
		})
	}
	return c.JSON(http.StatusOK, h)
}
