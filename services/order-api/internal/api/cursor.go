package api

import (
	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
)

// position is what a cursor holds: the id of the last item of a page. A list goes on behind it, whatever was added or
// removed since.
type position struct {
	After string `json:"a"`
}

// next gives the cursor of the page behind the item of that id.
func next(id string) string { return web.EncodeCursor(position{id}) }

// after reads the cursor of a request; "" without one.
func after(c echo.Context) (string, error) {
	cursor := c.QueryParam("after")
	if cursor == "" {
		if c.QueryParams().Has("after") {
			return "", badCursor()
		}
		return "", nil
	}
	var p position
	if err := web.DecodeCursor(cursor, &p); err != nil || p.After == "" {
		return "", badCursor()
	}
	return p.After, nil
}
