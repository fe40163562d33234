package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
)

// FuzzHandshake: whatever is in the query and the headers of GET /v1/events, it is refused for a reason of the client's,
// or a subscription of the one whose token or ticket it is.
func FuzzHandshake(f *testing.F) {
	v, err := auth.NewVerifier(f.Context(), auth.Config{Secret: strings.Repeat("s", 32), Issuer: "orderwire", Audience: "orderwire"})
	require.NoError(f, err)
	who := auth.Principal{Customer: "alice", Expires: time.Now().Add(24 * time.Hour)}
	token, err := v.Sign(who, 24*time.Hour)
	require.NoError(f, err)
	ticket, err := v.Ticket(who, 24*time.Hour)
	require.NoError(f, err)
	for _, seed := range []struct{ query, authorization, protocols string }{
		{"", "", ""},
		{"", "Bearer " + token, ""},
		{"type=order-*&order=a&order=b&after=earliest&strict=true", "bearer  " + token, ""},
		{"after=0001-01-01T00:00:00Z&named=false", "", "cloudevents.json, bearer." + token},
		{"ticket=" + ticket, "", ", ,"},
		{"ticket=" + ticket + "&customer=bob", "", "bearer."},
		{"ticket=" + token, "", ""},
		{"ticket=a&ticket=" + ticket, "", ""},
		{"strict=1", "Bearer " + token, ""},
		{"after=latest&after=earliest", "Bearer " + token, ""},
		{"type=", "Basic " + token, ""},
		{"colour=red&%zz", "Bearer", "bearer"},
	} {
		f.Add(seed.query, seed.authorization, seed.protocols)
	}
	a := New(nil, v, time.Second)
	f.Fuzz(func(t *testing.T, query, authorization, protocols string) {
		r := httptest.NewRequest(http.MethodGet, "/v1/events", nil)
		r.URL.RawQuery = query
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Sec-WebSocket-Protocol", protocols)
		c := echo.New().NewContext(r, nil)
		who, err := a.principal(c)
		if err != nil {
			refused(t, err, http.StatusUnauthorized)
			who = auth.Principal{Customer: "bob"}
		} else {
			require.Equal(t, "alice", who.Customer)
			require.False(t, who.Operator)
		}
		q, err := web.Query(c)
		if err != nil {
			refused(t, err, http.StatusBadRequest)
			return
		}
		request, err := parseQuery(q, who)
		if err != nil {
			refused(t, err, http.StatusBadRequest, http.StatusForbidden)
			return
		}
		require.Equal(t, who, request.Who)
		require.Equal(t, who.Customer, request.Filter.Viewer)
		require.False(t, request.Filter.Operator)
		require.Empty(t, request.Filter.Customers, "that is for operators")
	})
}

// refused checks that an error is the client's fault and says so.
func refused(t *testing.T, err error, statuses ...int) {
	t.Helper()
	var p *web.Problem
	require.ErrorAs(t, err, &p)
	require.Contains(t, statuses, p.Status)
}
