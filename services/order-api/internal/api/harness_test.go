package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	"github.com/orderwire/orderwire/pkg/web"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/api"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

// harness is order-api without Kafka: a real database, the real relay, and a publisher that keeps what it gets.
type harness struct {
	t        *testing.T
	db       *mongo.Database
	store    *store.Store
	server   *httptest.Server
	verifier *auth.Verifier
	topic    *topic
	spec     *openapi3.T
	router   routers.Router
}

func start(t *testing.T) *harness {
	t.Helper()
	h := serve(t, testbackend.Mongo(t))
	require.NoError(t, h.store.EnsureIndexes(t.Context()))
	h.price("mug-blue", 1250)
	h.price("mug-red", 1300)
	return h
}

// serve starts the API over a database, which may be away.
func serve(t *testing.T, db *mongo.Database) *harness {
	t.Helper()
	h := &harness{t: t, db: db, topic: &topic{changed: make(chan struct{}, 1)}}
	log := slog.New(slog.DiscardHandler)
	reg := prometheus.NewRegistry()
	relay := outbox.NewRelay(store.Orders(h.db), h.topic, log, reg)
	h.store = store.New(h.db, relay)

	var err error
	h.verifier, err = auth.NewVerifier(t.Context(), auth.Config{
		Secret: "a secret of at least thirty-two bytes", Issuer: "orderwire", Audience: "orderwire",
	})
	require.NoError(t, err)
	conf := web.Config{}
	e := web.New(conf, log, reg, noop.NewTracerProvider().Tracer(""))
	api.New(h.store, h.store, h.verifier).Register(e, api.Access{
		Anybody:  []echo.MiddlewareFunc{web.Authenticate(h.verifier, false)},
		Customer: []echo.MiddlewareFunc{web.Authenticate(h.verifier, true)},
		Operator: []echo.MiddlewareFunc{web.Authenticate(h.verifier, true), web.RequireOperator},
	})
	h.server = httptest.NewServer(e)
	h.spec, h.router = contract(t)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{relay.Run, h.store.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		h.server.Close()
		cancel()
		running.Wait()
	})
	return h
}

// contract loads openapi.yaml as it is served.
func contract(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	loader := openapi3.NewLoader()
	spec, err := loader.LoadFromFile("openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, spec.Validate(loader.Context))
	router, err := legacy.NewRouter(spec)
	require.NoError(t, err)
	return spec, router
}

func (h *harness) price(sku string, amount int64) {
	h.t.Helper()
	_, err := h.store.PutProduct(h.t.Context(), order.Product{SKU: sku, Name: "A " + sku, UnitPrice: order.Money{Amount: amount, Currency: "EUR"}})
	require.NoError(h.t, err)
}

func (h *harness) token(customer string, operator bool) string {
	h.t.Helper()
	token, err := h.verifier.Sign(auth.Principal{Customer: customer, Operator: operator}, time.Hour)
	require.NoError(h.t, err)
	return token
}

// reply is an answer that was checked against openapi.yaml.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// as gives the calls of one caller.
func (h *harness) as(customer string) *client { return &client{h: h, token: h.token(customer, false)} }

func (h *harness) operator() *client { return &client{h: h, token: h.token("boss", true)} }

func (h *harness) nobody() *client { return &client{h: h} }

type client struct {
	h     *harness
	token string
}

// do sends a request with header pairs and checks the answer against the contract.
func (c *client) do(method, path, body string, header ...string) reply {
	c.h.t.Helper()
	r, err := c.try(method, path, body, header...)
	require.NoError(c.h.t, err)
	return r
}

// try is do for other goroutines than the test's.
func (c *client) try(method, path, body string, header ...string) (reply, error) {
	req, err := http.NewRequestWithContext(c.h.t.Context(), method, c.h.server.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return reply{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.h.server.Client().Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{resp.StatusCode, resp.Header, content}, c.h.valid(req, resp, content)
}

func (h *harness) valid(req *http.Request, resp *http.Response, body []byte) error {
	plain := req.Clone(req.Context())
	plain.URL.Scheme, plain.URL.Host, plain.Host = "", "", ""
	route, params, err := h.router.FindRoute(plain)
	if err != nil {
		return nil //nolint:nilerr // not a route of the contract: the test looks at the answer itself
	}
	return openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

// orderJSON is what tests look at of an order.
type orderJSON struct {
	ID           string `json:"id"`
	CustomerID   string `json:"customerId"`
	Status       string `json:"status"`
	Version      int64  `json:"version"`
	Revision     int64  `json:"revision"`
	Note         string `json:"note"`
	Total        order.Money
	Address      order.Address `json:"shippingAddress"`
	Cancellation *struct{ Outcome string }
	Change       *struct{ Outcome string } `json:"addressChange"`
}

func (r reply) order(t *testing.T) orderJSON {
	t.Helper()
	var o orderJSON
	require.NoError(t, json.Unmarshal(r.body, &o), string(r.body))
	return o
}

// refusal checks that the answer is this problem, pointing at these fields.
func (r reply) refusal(t *testing.T, status int, code string, pointers ...string) {
	t.Helper()
	require.Equal(t, status, r.status, string(r.body))
	require.Equal(t, "application/problem+json", r.header.Get("Content-Type"))
	var p struct {
		Status int
		Code   string
		Errors []struct{ Pointer string }
	}
	require.NoError(t, json.Unmarshal(r.body, &p))
	require.Equal(t, status, p.Status)
	if code != "" {
		require.Equal(t, code, p.Code, string(r.body))
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Pointer)
	}
	require.Equal(t, pointers, got, string(r.body))
	if status == http.StatusUnauthorized {
		require.Contains(t, r.header.Get("WWW-Authenticate"), "Bearer")
	}
	if status == http.StatusServiceUnavailable {
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
}

const address = `{"name":"Alice","street":"Ring 1","city":"Köln","postalCode":"50667","country":"DE"}`

const newOrder = `{"items":[{"sku":"mug-blue","quantity":2}],"shippingAddress":` + address + `}`

func (c *client) place(header ...string) orderJSON {
	c.h.t.Helper()
	r := c.do(http.MethodPost, "/v1/orders", newOrder, header...)
	require.Equal(c.h.t, http.StatusCreated, r.status, string(r.body))
	return r.order(c.h.t)
}

// topic is a publisher that keeps what it gets, and can be away.
type topic struct {
	mu      sync.Mutex
	away    bool
	all     []*kafka.Message
	changed chan struct{}
}

func (p *topic) Publish(m *kafka.Message, done func(error)) {
	p.mu.Lock()
	away := p.away
	if !away {
		p.all = append(p.all, m)
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	p.mu.Unlock()
	if away {
		go done(kafkaAway{})
		return
	}
	go done(nil)
}

type kafkaAway struct{}

func (kafkaAway) Error() string { return "kafka is away" }

func (p *topic) goAway() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
}

// of gives the events of an order once there are n; each is checked against the contract's Order.
func (h *harness) events(id string, n int) []*events.Event {
	h.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		if got := h.published(id); len(got) >= n {
			require.Len(h.t, got, n)
			return got
		}
		select {
		case <-h.topic.changed:
		case <-deadline:
			require.Len(h.t, h.published(id), n, "events of order %s", id)
		}
	}
}

func (h *harness) published(id string) []*events.Event {
	h.t.Helper()
	h.topic.mu.Lock()
	defer h.topic.mu.Unlock()
	var out []*events.Event
	seen := map[string]bool{}
	for _, m := range h.topic.all {
		if m.Key != id {
			continue
		}
		e, err := events.Decode(func(name string) string {
			for _, hd := range m.Headers {
				if hd.Key == name {
					return hd.Value
				}
			}
			return ""
		}, []byte(m.Key), m.Value)
		require.NoError(h.t, err)
		require.Equal(h.t, e.Topic(), m.Topic)
		if seen[e.ID] { // a repeat is allowed, and identical by its id
			continue
		}
		seen[e.ID] = true
		h.isOrder(events.AppendJSON(nil, e.Data))
		out = append(out, e)
	}
	return out
}

func (h *harness) isOrder(raw []byte) {
	h.t.Helper()
	var v any
	require.NoError(h.t, json.Unmarshal(raw, &v))
	require.NoError(h.t, h.spec.Components.Schemas["Order"].Value.VisitJSON(v), string(raw))
}

func data(e *events.Event) *eventspb.Order { return e.Data.(*eventspb.Order) }
