// Package api is the HTTP face of the notifier: the event stream, as WebSocket and as Server-Sent Events, and tickets.
//
// openapi.yaml says what can be asked; PROTOCOL.md, beside the service's main.go, what is spoken then. Each route has a
// file of its own. access.go finds the token, refusal.go tells a WebSocket's client why it is refused.
package api

import (
	_ "embed"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/push"
)

//go:generate env GOWORK=off go tool -modfile=../../../../deploy/tools/go.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

//go:embed openapi.yaml
var openAPI []byte

// tokens tells who tokens and tickets are about, and makes tickets.
type tokens interface {
	Verify(token string) (auth.Principal, error)
	Ticket(p auth.Principal, ttl time.Duration) (string, error)
	Redeem(ticket string) (auth.Principal, error)
}

// API answers requests.
type API struct {
	hub    *push.Hub
	tokens tokens
	slow   time.Duration
}

// New makes the API.
func New(h *push.Hub, t tokens, slow time.Duration) *API { return &API{hub: h, tokens: t, slow: slow} }

var _ ServerInterface = (*API)(nil)

// Register adds the routes. rate limits handshakes and tickets; it stands behind authentication.
func (a *API) Register(e *echo.Echo, rate echo.MiddlewareFunc) {
	RegisterHandlersWithOptions(e, a, RegisterHandlersOptions{OperationMiddlewares: map[string][]echo.MiddlewareFunc{
		"createTicket": {web.Authenticate(a.tokens, true), rate}, // tickets.go
	}})
	e.GET("/v1/events", a.events, a.tellSockets, a.notWhileDraining, a.authenticate, rate) // events.go
	e.GET("/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", openAPI)
	})
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
