package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
)

// bearerProtocol begins the entry of Sec-WebSocket-Protocol that carries a token: browsers can set no other header.
const bearerProtocol = "bearer."

// authenticate puts the principal into the request's context. It looks at the header Authorization, at the
// subprotocols, and at the ticket, in this order; what it finds first counts.
func (a *API) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		p, err := a.principal(c)
		if err != nil {
			return err
		}
		c.SetRequest(c.Request().WithContext(auth.WithPrincipal(c.Request().Context(), p)))
		return next(c)
	}
}

func (a *API) principal(c echo.Context) (auth.Principal, error) {
	r := c.Request()
	if header := r.Header.Get(echo.HeaderAuthorization); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return auth.Principal{}, invalidToken("the scheme is not Bearer")
		}
		return verified(a.tokens.Verify, strings.TrimSpace(token))
	}
	for _, protocol := range protocols(r) {
		if token, ok := strings.CutPrefix(protocol, bearerProtocol); ok {
			return verified(a.tokens.Verify, token)
		}
	}
	if ticket := c.QueryParam("ticket"); ticket != "" {
		return verified(a.tokens.Redeem, ticket)
	}
	return auth.Principal{}, &web.Problem{
		Status: http.StatusUnauthorized, Code: "unauthenticated",
		Detail: "send Authorization: Bearer and a token, or the subprotocol bearer.<token>, or a ticket",
	}
}

func verified(verify func(string) (auth.Principal, error), token string) (auth.Principal, error) {
	p, err := verify(token)
	if err != nil {
		return auth.Principal{}, invalidToken(err.Error())
	}
	return p, nil
}

func invalidToken(detail string) *web.Problem {
	return &web.Problem{Status: http.StatusUnauthorized, Code: "invalid_token", Detail: detail, Challenge: `Bearer error="invalid_token"`}
}

// protocols lists what a WebSocket handshake offers.
func protocols(r *http.Request) []string { return list(r.Header, "Sec-WebSocket-Protocol") }

// list gives the entries of a header that holds a comma-separated list, and may come several times.
func list(h http.Header, name string) []string {
	var entries []string
	for _, line := range h.Values(name) {
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.TrimSpace(entry); entry != "" {
				entries = append(entries, entry)
			}
		}
	}
	return entries
}

// hasToken tells whether such a header has an entry, whatever its case.
func hasToken(h http.Header, name, token string) bool {
	for _, entry := range list(h, name) {
		if strings.EqualFold(entry, token) {
			return true
		}
	}
	return false
}
