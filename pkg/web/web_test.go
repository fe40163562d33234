package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newEcho(c web.Config) *echo.Echo {
	return web.New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), noop.NewTracerProvider().Tracer(""))
}

func send(e *echo.Echo, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func problem(t *testing.T, w *httptest.ResponseRecorder, status int) web.Problem {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body.String())
	require.Equal(t, web.ContentTypeProblem, w.Header().Get("Content-Type"))
	require.NotEmpty(t, w.Header().Get("X-Request-Id"))
	var p web.Problem
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Code)
	require.NotEmpty(t, p.Title)
	return p
}

func TestRefusals_AreProblems(t *testing.T) {
	e := newEcho(web.Config{})
	e.GET("/thing", func(echo.Context) error { return fmt.Errorf("look: %w", errors.New("a secret of the inside")) })
	e.GET("/panic", func(echo.Context) error { panic("boom") })
	e.GET("/late", func(echo.Context) error { return fmt.Errorf("read: %w", context.DeadlineExceeded) })
	e.GET("/taken", func(echo.Context) error { return &web.Problem{Status: 409, Code: "taken", Detail: "it is"} })

	problem(t, send(e, "GET", "/nowhere", ""), 404)
	w := send(e, "POST", "/thing", "")
	problem(t, w, 405)
	require.Contains(t, w.Header().Get("Allow"), "GET")
	p := problem(t, send(e, "GET", "/thing", ""), 500)
	require.NotContains(t, p.Detail, "secret")
	problem(t, send(e, "GET", "/panic", ""), 500)
	w = send(e, "GET", "/late", "")
	problem(t, w, 503)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, "taken", problem(t, send(e, "GET", "/taken", ""), 409).Code)
}

// A database may fail at text that is none: it is never asked.
func TestRefusals_WhatIsNotUTF8IsTheClientsMistake(t *testing.T) {
	e := newEcho(web.Config{})
	e.GET("/things/:id", func(c echo.Context) error {
		if err := web.QueryOnly(c, "name"); err != nil {
			return err
		}
		return c.NoContent(204)
	})
	require.Equal(t, 204, send(e, "GET", "/things/%C3%BC?name=%C3%BC", "").Code)
	for _, id := range []string{"%FF", "a%C3", "%ED%A0%80", "%2F%FF"} {
		problem(t, send(e, "GET", "/things/"+id, ""), 404)
	}
	for _, query := range []string{"name=%FF", "name=\xff", "%FF=1"} {
		require.Equal(t, "bad_query", problem(t, send(e, "GET", "/things/1?"+query, ""), 400).Code, query)
	}
}

// The log says why, the answer does not.
func TestRefusals_KeepTheirCauseForTheLog(t *testing.T) {
	var log strings.Builder
	e := web.New(web.Config{}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry(), noop.NewTracerProvider().Tracer(""))
	cause := errors.New("a secret of the inside")
	e.GET("/thing", func(echo.Context) error {
		return &web.Problem{Status: 503, Code: "unavailable", Detail: "try again", Cause: cause}
	})
	w := send(e, "GET", "/thing", "")
	require.Equal(t, "try again", problem(t, w, 503).Detail)
	require.NotContains(t, w.Body.String(), "secret")
	require.Contains(t, log.String(), cause.Error())
}

// A client that leaves is no failure of ours: no alert is to count it as a 500.
func TestRefusals_OfAClientThatIsGoneAreNoErrors(t *testing.T) {
	var log strings.Builder
	e := web.New(web.Config{}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry(), noop.NewTracerProvider().Tracer(""))
	e.GET("/thing", func(c echo.Context) error { return fmt.Errorf("read: %w", c.Request().Context().Err()) })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/thing", nil))
	problem(t, w, 503)
	require.Contains(t, log.String(), "a request failed")
	require.NotContains(t, log.String(), "ERROR")
}

func TestRequestID_IsKeptWhereSane(t *testing.T) {
	e := newEcho(web.Config{})
	e.GET("/", func(c echo.Context) error { return c.NoContent(204) })
	require.Equal(t, "abc-1", send(e, "GET", "/", "", "X-Request-Id", "abc-1").Header().Get("X-Request-Id"))
	for _, id := range []string{"", "a b", "ü", strings.Repeat("x", 129)} {
		got := send(e, "GET", "/", "", "X-Request-Id", id).Header().Get("X-Request-Id")
		require.Len(t, got, 36, "a new one instead of %q", id)
	}
}

type body struct {
	SKU      string `json:"sku"`
	Quantity int32  `json:"quantity"`
	Items    []struct {
		Name string `json:"name"`
	} `json:"items"`
}

func TestDecodeJSON_IsStrict(t *testing.T) {
	e := newEcho(web.Config{})
	e.POST("/", func(c echo.Context) error {
		var b body
		if err := web.DecodeJSON(c, &b); err != nil {
			return err
		}
		return c.JSON(200, b)
	})
	post := func(body string, headers ...string) *httptest.ResponseRecorder {
		return send(e, "POST", "/", body, append([]string{"Content-Type", "application/json"}, headers...)...)
	}
	require.Equal(t, 200, post(`{"sku":"a","quantity":2,"items":[{"name":"x"}]}`).Code)
	for name, c := range map[string]struct {
		body    string
		status  int
		code    string
		pointer string
	}{
		"syntax":              {`{"sku":`, 400, "malformed_json", ""},
		"empty":               {``, 400, "malformed_json", ""},
		"trailing":            {`{} {}`, 400, "malformed_json", ""},
		"duplicate":           {`{"sku":"a","sku":"b"}`, 400, "duplicate_key", ""},
		"duplicate inside":    {`{"items":[{"name":"a","name":"b"}]}`, 400, "duplicate_key", ""},
		"broken behind wrong": {`{"sku":1,`, 400, "malformed_json", ""},
		"bad UTF-8":           {"{\"sku\":\"\xff\"}", 400, "malformed_json", ""},
		"unknown":             {`{"coupon":1}`, 422, "unknown_field", "/coupon"},
		"unknown inside":      {`{"items":[{"name":"a"},{"nam":"b"}]}`, 422, "unknown_field", "/items/1/nam"},
		"other case":          {`{"SKU":"a"}`, 422, "unknown_field", "/SKU"},
		"type":                {`{"sku":{"$gt":""}}`, 422, "wrong_type", "/sku"},
		"fraction":            {`{"quantity":1.5}`, 422, "not_an_integer", "/quantity"},
		"2^63":                {`{"quantity":9223372036854775808}`, 422, "out_of_range", "/quantity"},
		"a number for text":   {`{"sku":7}`, 422, "wrong_type", "/sku"},
		"not an object":       {`[]`, 422, "wrong_type", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := problem(t, post(c.body), c.status)
			require.Equal(t, c.code, p.Code)
			if c.status == 422 {
				require.Equal(t, c.pointer, p.Errors[0].Pointer)
			}
		})
	}
	problem(t, send(e, "POST", "/", `{}`, "Content-Type", "text/plain"), 415)
	problem(t, send(e, "POST", "/", `{}`), 415)
	problem(t, post(`{}`, "Content-Encoding", "gzip"), 415)
	require.Equal(t, 200, send(e, "POST", "/", `{}`, "Content-Type", "application/merge-patch+json; charset=utf-8").Code)

	long := `{"sku":"` + strings.Repeat("x", 70<<10) + `"}`
	problem(t, post(long), 413)
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(long))) // no length told
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	problem(t, w, 413)
}

func TestQuery_RefusesWhatIsNotThere(t *testing.T) {
	e := newEcho(web.Config{})
	e.GET("/", func(c echo.Context) error {
		if err := web.QueryOnly(c, "limit", "after"); err != nil {
			return err
		}
		n, err := web.Limit(c)
		if err != nil {
			return err
		}
		var place struct{ At string }
		if after := c.QueryParam("after"); after != "" {
			if err := web.DecodeCursor(after, &place); err != nil {
				return err
			}
		}
		return c.String(200, fmt.Sprint(n, place.At))
	})
	require.Equal(t, "50", send(e, "GET", "/", "").Body.String())
	require.Equal(t, "100", send(e, "GET", "/?limit=100", "").Body.String())
	cursor := web.EncodeCursor(struct{ At string }{"x"})
	require.Equal(t, "50 x", strings.ReplaceAll(send(e, "GET", "/?after="+cursor, "").Body.String(), "50x", "50 x"))
	for _, q := range []string{"limit=0", "limit=101", "limit=", "limit=1e1", "limit=1&limit=2", "colour=red", "after=!", "after=e30x", "after=eyJCIjoxfQ", "limit=%zz", "a;b"} {
		problem(t, send(e, "GET", "/?"+q, ""), 400)
	}
}

func TestIdempotencyKey_QuotedOrBareIsTheSame(t *testing.T) {
	e := newEcho(web.Config{})
	e.POST("/", func(c echo.Context) error {
		key, err := web.IdempotencyKey(c)
		if err != nil {
			return err
		}
		return c.String(200, "key="+key)
	})
	require.Equal(t, "key=", send(e, "POST", "/", "").Body.String())
	for _, header := range []string{"k 1", `"k 1"`} {
		require.Equal(t, "key=k 1", send(e, "POST", "/", "", "Idempotency-Key", header).Body.String())
	}
	for _, header := range []string{"", `""`, "ü", "a\tb", strings.Repeat("k", 256)} {
		problem(t, send(e, "POST", "/", "", "Idempotency-Key", header), 400)
	}
	problem(t, send(e, "POST", "/", "", "Idempotency-Key", "a", "Idempotency-Key", "b"), 400)
}

func TestEntityTags(t *testing.T) {
	for header, want := range map[string][]string{
		`"1.2"`:               {"1.2"},
		`W/"1.2"`:             {"1.2"},
		`"1.2-gzip"`:          {"1.2"},
		`"1.1", W/"1.2-gzip"`: {"1.1", "1.2"},
		`*`:                   nil,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-Match", header)
		tags, any, ok, err := web.EntityTags(r, "If-Match")
		require.NoError(t, err, header)
		require.True(t, ok)
		require.Equal(t, header == "*", any)
		require.Equal(t, want, tags, header)
	}
	for _, header := range []string{"", "1.2", `"1.2`, `"a" "b"`, `*, "a"`} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-Match", header)
		_, _, ok, err := web.EntityTags(r, "If-Match")
		require.True(t, ok, header)
		require.Error(t, err, header)
	}
	_, _, ok, err := web.EntityTags(httptest.NewRequest(http.MethodGet, "/", nil), "If-Match")
	require.False(t, ok)
	require.NoError(t, err)
}

func verifier(t *testing.T) *auth.Verifier {
	t.Helper()
	v, err := auth.NewVerifier(t.Context(), auth.Config{Secret: strings.Repeat("s", 32), Issuer: "i", Audience: "a"})
	require.NoError(t, err)
	return v
}

func TestAuthenticate(t *testing.T) {
	v := verifier(t)
	e := newEcho(web.Config{})
	who := func(c echo.Context) error {
		p, ok := auth.FromContext(c.Request().Context())
		return c.String(200, fmt.Sprint(p.Customer, p.Operator, ok))
	}
	e.GET("/own", who, web.Authenticate(v, true))
	e.GET("/all", who, web.Authenticate(v, false))
	e.GET("/operators", who, web.Authenticate(v, true), web.RequireOperator)
	token, err := v.Sign(auth.Principal{Customer: "alice"}, time.Hour)
	require.NoError(t, err)
	op, err := v.Sign(auth.Principal{Customer: "oz", Operator: true}, time.Hour)
	require.NoError(t, err)

	require.Equal(t, "alicefalse true", send(e, "GET", "/own", "", "Authorization", "bearer "+token).Body.String())
	require.Equal(t, "false false", send(e, "GET", "/all", "").Body.String())
	for _, path := range []string{"/own", "/operators"} {
		w := send(e, "GET", path, "")
		problem(t, w, 401)
		require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
	}
	for _, header := range []string{"Bearer x", "Basic abc", "Bearer", "Bearer " + token + "x"} {
		for _, path := range []string{"/own", "/all"} {
			w := send(e, "GET", path, "", "Authorization", header)
			problem(t, w, 401)
			require.Contains(t, w.Header().Get("WWW-Authenticate"), "invalid_token")
		}
	}
	problem(t, send(e, "GET", "/operators", "", "Authorization", "Bearer "+token), 403)
	require.Equal(t, 200, send(e, "GET", "/operators", "", "Authorization", "Bearer "+op).Code)
}

func TestRateLimit_IsPerCustomer(t *testing.T) {
	v := verifier(t)
	conf := web.Config{RateLimit: 0.001, RateBurst: 3}
	e := newEcho(conf)
	e.GET("/", func(c echo.Context) error { return c.NoContent(204) }, web.Authenticate(v, true), web.RateLimit(conf))
	header := func(customer string) string {
		token, err := v.Sign(auth.Principal{Customer: customer}, time.Hour)
		require.NoError(t, err)
		return "Bearer " + token
	}
	for range 3 {
		w := send(e, "GET", "/", "", "Authorization", header("alice"))
		require.Equal(t, 204, w.Code)
		require.Contains(t, w.Header().Get("RateLimit-Policy"), "q=3")
	}
	w := send(e, "GET", "/", "", "Authorization", header("alice"))
	problem(t, w, 429)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Contains(t, w.Header().Get("RateLimit"), "r=0")
	require.Equal(t, 204, send(e, "GET", "/", "", "Authorization", header("bob")).Code)
}

func TestCORS_AnswersListedOriginsOnly(t *testing.T) {
	e := newEcho(web.Config{CORSOrigins: []string{"http://localhost:5173"}})
	e.POST("/", func(c echo.Context) error { return c.NoContent(204) })
	w := send(e, "OPTIONS", "/", "", "Origin", "http://localhost:5173", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "Idempotency-Key")
	require.Equal(t, 204, w.Code)
	require.Equal(t, "http://localhost:5173", w.Header().Get("Access-Control-Allow-Origin"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Idempotency-Key")
	require.Contains(t, w.Header().Values("Vary"), "Origin")
	w = send(e, "POST", "/", "", "Origin", "http://localhost:5173")
	require.Contains(t, w.Header().Get("Access-Control-Expose-Headers"), "ETag")
	require.Empty(t, send(e, "POST", "/", "", "Origin", "http://evil.example").Header().Get("Access-Control-Allow-Origin"))
}

func TestClientIP_BelievesTrustedProxiesOnly(t *testing.T) {
	for _, c := range []struct {
		trusted []string
		want    string
	}{{nil, "192.0.2.1"}, {[]string{"192.0.2.0/24"}, "203.0.113.9"}, {[]string{"10.0.0.0/8"}, "192.0.2.1"}} {
		e := newEcho(web.Config{TrustedProxies: c.trusted})
		e.GET("/", func(ctx echo.Context) error { return ctx.String(200, ctx.RealIP()) })
		require.Equal(t, c.want, send(e, "GET", "/", "", "X-Forwarded-For", "203.0.113.9").Body.String())
	}
}

// freeAddress gives one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, probe.Close())
	return probe.Addr().String()
}

// dial connects as soon as somebody listens.
func dial(t *testing.T, addr string) (conn net.Conn) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		conn, err = net.Dial("tcp", addr)
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// within is how long a process has to end.
const within = 20 * time.Second

// TestServe_FinishesWhatItHasTaken stops a server while a request is under way.
func TestServe_FinishesWhatItHasTaken(t *testing.T) {
	addr := freeAddress(t)

	e := newEcho(web.Config{})
	begun, finish := make(chan struct{}), make(chan struct{})
	e.GET("/slow", func(c echo.Context) error {
		close(begun)
		<-finish
		return c.String(200, "whole")
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- web.Serve(web.Config{Addr: addr}, within, e)(ctx) }()

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	answered := make(chan string, 1)
	go func() {
		var res *http.Response
		for {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/slow", nil)
			var err error
			if res, err = client.Do(req); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond) // not listening yet
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		answered <- fmt.Sprint(res.StatusCode, string(raw), err)
	}()
	<-begun
	stop()
	select {
	case err := <-served:
		t.Fatalf("the server ended with a request under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	require.Equal(t, "200whole<nil>", strings.ReplaceAll(<-answered, " ", ""))
	require.NoError(t, <-served)
}

// TestServe_ASlowClientDoesNotKeepTheProcess has one that sends its body byte by byte, and one that reads nothing of its
// answer: the parts that end after this one need their time, too, however little the process has.
func TestServe_ASlowClientDoesNotKeepTheProcess(t *testing.T) {
	for _, little := range []time.Duration{within, time.Second} {
		t.Run(little.String(), func(t *testing.T) { slowClients(t, little) })
	}
}

func slowClients(t *testing.T, within time.Duration) {
	t.Helper()
	addr := freeAddress(t)
	e := newEcho(web.Config{})
	begun := make(chan struct{}, 2)
	e.POST("/in", func(c echo.Context) error {
		begun <- struct{}{}
		_, err := io.Copy(io.Discard, c.Request().Body)
		return err
	})
	e.GET("/out", func(c echo.Context) error {
		begun <- struct{}{}
		return c.Blob(200, "text/plain", make([]byte, 64<<20))
	})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- web.Serve(web.Config{Addr: addr}, within, e)(ctx) }()
	for _, request := range []string{"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", "GET /out HTTP/1.1\r\nHost: x\r\n\r\n"} {
		_, err := fmt.Fprint(dial(t, addr), request)
		require.NoError(t, err)
		<-begun
	}
	stop()
	select {
	case err := <-served:
		require.NoError(t, err)
	case <-time.After(max(within, 4*time.Second)): // without a limit they have 5 s
		t.Fatal("the server still waits for them")
	}
}

// TestServe_AConnectionThatIsKeptHasOneMoreRequest sends one on a kept connection to a server that takes no new ones.
func TestServe_AConnectionThatIsKeptHasOneMoreRequest(t *testing.T) {
	addr := freeAddress(t)
	e := newEcho(web.Config{})
	e.GET("/", func(c echo.Context) error { return c.String(200, "here") })
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- web.Serve(web.Config{Addr: addr}, within, e)(ctx) }()
	conn := dial(t, addr)
	r := bufio.NewReader(conn)
	ask := func() (last bool) {
		_, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		res, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.Close
	}
	require.False(t, ask())
	stop()
	for !ask() { // none is cut off, and the last one is told that it is
	}
	_, err := net.Dial("tcp", addr)
	require.Error(t, err, "new ones are not taken")
	require.NoError(t, <-served)
}

func TestConfig_NamesTheVariable(t *testing.T) {
	good := web.Config{Addr: ":8081", RateBurst: 1}
	require.NoError(t, good.Validate())
	for variable, spoil := range map[string]func(*web.Config){
		"HTTP_ADDR":       func(c *web.Config) { c.Addr = "8081" },
		"CORS_ORIGINS":    func(c *web.Config) { c.CORSOrigins = []string{"*"} },
		"TRUSTED_PROXIES": func(c *web.Config) { c.TrustedProxies = []string{"10.0.0.1"} },
		"RATE_LIMIT":      func(c *web.Config) { c.RateLimit = -1 },
		"RATE_BURST":      func(c *web.Config) { c.RateBurst = 0 },
	} {
		c := good
		spoil(&c)
		require.ErrorContains(t, c.Validate(), variable)
	}
}
