package api

import (
	"mime"
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
	query, err := web.Query(c)
	if err != nil {
		return err
	}
	request, err := parseQuery(query, who)
	if err != nil {
		return err
	}
	switch {
	case isSocket(r):
		return a.socket(c, request)
	case wantsStream(r):
		return a.stream(c, request)
	}
	return &web.Problem{
		Status: http.StatusNotAcceptable, Code: "not_acceptable",
		Detail: "ask for a WebSocket (Upgrade: websocket), or for Server-Sent Events (Accept: text/event-stream)",
	}
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

// stream answers with Server-Sent Events. Last-Event-ID wins over the query: a browser that comes back by itself uses the
// address that it was given at first.
func (a *API) stream(c echo.Context, request push.Request) error {
	if id := c.Request().Header.Get("Last-Event-ID"); id != "" {
		origin, err := push.ParseOrigin(id)
		if err != nil {
			return badQuery("Last-Event-ID is no cursor")
		}
		request.Origin = origin
	}
	entry, err := a.hub.Enter(c.Request().Context(), request)
	if err != nil {
		return err
	}
	return entry.ServeStream(c.Response(), c.Request())
}

// wantsStream tells whether a request accepts Server-Sent Events by name.
func wantsStream(r *http.Request) bool {
	for _, accepted := range list(r.Header, echo.HeaderAccept) {
		if media, _, err := mime.ParseMediaType(accepted); err == nil && media == "text/event-stream" {
			return true
		}
	}
	return false
}
