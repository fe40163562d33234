// Package api is the HTTP face of the notifier: the event stream, as WebSocket and as Server-Sent Events, and tickets.
//
// openapi.yaml says what can be asked; PROTOCOL.md, beside the service's main.go, what is spoken then. Each route has a
// file of its own. access.go finds the token, refusal.go tells a WebSocket's client why it is refused.
package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/services/notifier/internal/push"
)

// tokens tells who tokens are about.
type tokens interface {
	Verify(token string) (auth.Principal, error)
}

// API answers requests.
type API struct {
	hub    *push.Hub
	tokens tokens
	slow   time.Duration
}

// New makes the API.
func New(h *push.Hub, t tokens, slow time.Duration) *API { return &API{hub: h, tokens: t, slow: slow} }

// Register adds the routes. rate limits handshakes; it stands behind authentication.
func (a *API) Register(e *echo.Echo, rate echo.MiddlewareFunc) {
	e.GET("/v1/events", a.events, a.tellSockets, a.notWhileDraining, a.authenticate, rate)
}

// notWhileDraining sends new clients to another instance.
func (a *API) notWhileDraining(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.hub.Draining() {
			return push.ErrDraining
		}
		return next(c)
	}
}

// isSocket tells whether a request is a WebSocket handshake.
func isSocket(r *http.Request) bool {
	return hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}
