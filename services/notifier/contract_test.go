package main

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"
)

// Every answer that is not a stream is one that openapi.yaml knows, and the file that is served is that file.
func TestContract_AnswersAreThoseOfOpenAPI(t *testing.T) {
	w := fake(t)
	n := w.start("MAX_CONNECTIONS_PER_CUSTOMER=1", "RATE_LIMIT=0.001", "RATE_BURST=8")
	busy := n.dial(w.token("busy"), nil)
	busy.untilType("notifier.subscribed")

	loader := openapi3.NewLoader()
	served, err := plain.Get(n.url + "/openapi.yaml")
	require.NoError(t, err)
	defer served.Body.Close()
	raw, err := io.ReadAll(served.Body)
	require.NoError(t, err)
	spec, err := loader.LoadFromData(raw)
	require.NoError(t, err)
	require.NoError(t, spec.Validate(loader.Context))
	router, err := legacy.NewRouter(spec)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		method, path, token, accept string
		status                      int
	}{
		"a ticket":             {http.MethodPost, "/v1/tickets", w.token("alice"), "", 201},
		"no ticket":            {http.MethodPost, "/v1/tickets", "", "", 401},
		"no token":             {http.MethodGet, "/v1/events", "", "text/event-stream", 401},
		"a bad query":          {http.MethodGet, "/v1/events?after=nonsense", w.token("bob"), "text/event-stream", 400},
		"a broken query":       {http.MethodGet, "/v1/events?after=%zz", w.token("bob"), "text/event-stream", 400},
		"another's events":     {http.MethodGet, "/v1/events?customer=bob", w.token("carol"), "text/event-stream", 403},
		"neither way":          {http.MethodGet, "/v1/events", w.token("dave"), "application/json", 406},
		"too many connections": {http.MethodGet, "/v1/events", w.token("busy"), "text/event-stream", 429},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, n.url+c.path, nil)
			require.NoError(t, err)
			if c.token != "" {
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			if c.accept != "" {
				req.Header.Set("Accept", c.accept)
			}
			res, err := plain.Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, res.StatusCode, string(body))
			require.NotEmpty(t, res.Header.Get("X-Request-Id"))

			asked := req.Clone(t.Context())
			asked.URL = &url.URL{Path: req.URL.Path, RawQuery: req.URL.RawQuery}
			asked.Host = ""
			route, params, err := router.FindRoute(asked)
			require.NoError(t, err)
			require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
				Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)),
				Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
			}), string(body))
		})
	}
}
