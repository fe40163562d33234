package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/web"
)

func FuzzDecodeJSON(f *testing.F) {
	f.Add(`{"sku":"a","quantity":2,"items":[{"name":"x"}]}`)
	f.Add(`{"sku":{"$gt":""}}`)
	e := newEcho(web.Config{})
	e.POST("/", func(c echo.Context) error {
		var b body
		return web.DecodeJSON(c, &b)
	})
	f.Fuzz(func(t *testing.T, body string) {
		if w := send(e, "POST", "/", body, "Content-Type", "application/json"); w.Code >= 500 {
			t.Fatalf("%d for %q: %s", w.Code, body, w.Body)
		}
	})
}

// FuzzQuery: a query is 400, or its limit is within bounds and its cursor the one that is written for its place.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=7", "limit=%2B7", "limit=0", "limit=99999999999999999999", "limit=1&limit=2", "limit=%zz", "a;b", "colour=red",
		"after=eyJBdCI6IngifQ", "after=eyJBdCI6IngifR", "after=eyJBdCI6%0AIngifQ", "after=bnVsbA", "after=e30", "after=e30x", "after=!",
	} {
		f.Add(seed)
	}
	type place struct{ At string }
	var limit int
	var at place
	e := newEcho(web.Config{})
	e.GET("/", func(c echo.Context) (err error) {
		if err = web.QueryOnly(c, "limit", "after"); err != nil {
			return err
		}
		if limit, err = web.Limit(c); err != nil {
			return err
		}
		if !c.QueryParams().Has("after") {
			return nil
		}
		at = place{}
		return web.DecodeCursor(c.QueryParam("after"), &at)
	})
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = raw
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			problem(t, w, http.StatusBadRequest)
			return
		}
		q := r.URL.Query()
		if q.Has("after") {
			require.Equal(t, q.Get("after"), web.EncodeCursor(at), "there is one cursor of a place")
		}
		require.LessOrEqual(t, 1, limit)
		require.LessOrEqual(t, limit, 100)
	})
}

// FuzzHeaders: what the two readers of headers take means the same when it is written again in its other form.
func FuzzHeaders(f *testing.F) {
	for _, seed := range []string{
		"", "*", "k 1", `"k 1"`, `"1.2"`, `W/"1.2"`, `"1.2-gzip"`, `"1.1", W/"1.2-gzip"`, `"a",,"b"`, `, "a"`, `"a" "b"`, `"a`, `W/W/"a"`, `""`, `"`, "ü", "a\tb",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Idempotency-Key", header)
		r.Header.Set("If-Match", header)
		key, err := web.IdempotencyKey(echo.New().NewContext(r, nil))
		if err != nil {
			refused(t, err)
		} else {
			require.Regexp(t, `^[ -~]{1,255}$`, key)
			r.Header.Set("Idempotency-Key", `"`+key+`"`)
			again, err := web.IdempotencyKey(echo.New().NewContext(r, nil))
			require.NoError(t, err)
			require.Equal(t, key, again)
		}

		tags, any, ok, err := web.EntityTags(r, "If-Match")
		require.True(t, ok)
		if err != nil {
			refused(t, err)
			return
		}
		require.NotEqual(t, any, len(tags) > 0)
		if any {
			return
		}
		r.Header.Del("If-Match")
		for _, tag := range tags {
			r.Header.Add("If-Match", `W/"`+tag+`-gzip"`)
		}
		again, _, _, err := web.EntityTags(r, "If-Match")
		require.NoError(t, err)
		require.Equal(t, tags, again)
	})
}

// refused checks that an error is the client's fault and says so.
func refused(t *testing.T, err error) {
	t.Helper()
	var p *web.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, http.StatusBadRequest, p.Status)
}
