package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// loginTTL is how long a development token lasts.
const loginTTL = 12 * time.Hour

// DevelopmentLogin gives a token to anybody who asks; it exists with DEV_LOGIN only.
func (a *API) DevelopmentLogin(c echo.Context) error {
	if a.login == nil {
		return echo.ErrNotFound
	}
	if err := web.QueryOnly(c); err != nil {
		return err
	}
	var body Login
	if err := web.DecodeJSON(c, &body); err != nil {
		return err
	}
	if err := order.CheckCustomer("/customer", body.Customer); err != nil {
		return refuse(err)
	}
	p := auth.Principal{Customer: body.Customer, Operator: body.Operator != nil && *body.Operator}
	expires := time.Now().Add(loginTTL).UTC().Truncate(time.Second)
	token, err := a.login.Sign(p, loginTTL)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, Token{Token: token, ExpiresAt: expires})
}
