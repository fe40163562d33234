package api

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/push"
)

// events is GET /v1/events: the query is the subscription.
func (a *API) events(c echo.Context) error {
	r := c.Request()
	who, _ := auth.FromContext(r.Context())
	request, err := parseQuery(c.QueryParams(), who)
	if err != nil {
		return err
	}
	if isSocket(r) {
		return a.socket(c, request)
	}
	return &web.Problem{Status: http.StatusNotAcceptable, Code: "not_acceptable", Detail: "ask for a WebSocket"}
}

func (a *API) socket(c echo.Context, request push.Request) error {
	if !slices.Contains(protocols(c.Request()), push.Subprotocol) {
		return &web.Problem{Status: http.StatusBadRequest, Code: "no_subprotocol", Detail: "offer the subprotocol " + push.Subprotocol}
	}
	entry, err := a.hub.Enter(c.Request().Context(), request)
	if err != nil {
		return err
	}
	return entry.ServeSocket(c.Response(), c.Request())
}
