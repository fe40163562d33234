package api

import (
	"errors"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/push"
)

// tellSockets tells refusals over the WebSocket where the client speaks cloudevents.json: a browser shows its page
// nothing of a refused handshake. Only an instance that drains answers with a plain 503, which the gateway understands.
func (a *API) tellSockets(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if errors.Is(err, push.ErrDraining) {
			// Thereby the gateway tells a drain, where it tries another instance, from any other 503, which it passes on.
			c.Response().Header().Set("X-Draining", "true")
		}
		var p *web.Problem
		if err == nil || c.Response().Committed || !errors.As(err, &p) || errors.Is(err, push.ErrDraining) {
			return err
		}
		if !isSocket(c.Request()) || !slices.Contains(protocols(c.Request()), push.Subprotocol) {
			return err
		}
		return push.Refuse(c.Response(), c.Request(), p, a.slow)
	}
}
