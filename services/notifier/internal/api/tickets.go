package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
)

// ticketLife is how long a ticket may be used; the connection that it opens lives as long as the token it was given for.
const ticketLife = 30 * time.Second

// CreateTicket is POST /v1/tickets: for clients that can neither set a header nor offer a subprotocol.
func (a *API) CreateTicket(c echo.Context) error {
	who, _ := auth.FromContext(c.Request().Context())
	ticket, err := a.tokens.Ticket(who, ticketLife)
	if errors.Is(err, auth.ErrCannotSign) {
		return &web.Problem{Status: http.StatusNotImplemented, Code: "no_tickets", Detail: "tokens are signed elsewhere, so there are no tickets here"}
	}
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusCreated, Ticket{Ticket: ticket, ExpiresAt: time.Now().Add(ticketLife).UTC()})
}
