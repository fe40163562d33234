package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/api"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
	"github.com/orderwire/orderwire/services/shipping/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is shipping without Kafka, on a real database.
type harness struct {
	t        *testing.T
	db       *mongo.Database
	store    *store.Store
	server   *httptest.Server
	verifier *auth.Verifier
	router   routers.Router
}

func start(t *testing.T) *harness {
	t.Helper()
	return startOn(t, testbackend.Mongo(t))
}

func startOn(t *testing.T, db *mongo.Database) *harness {
	t.Helper()
	h := &harness{t: t, db: db}
	log := slog.New(slog.DiscardHandler)
	relay := outbox.NewRelay(store.Shipments(h.db), nowhere{}, log, nil)
	h.store = store.New(h.db, relay, shipment.Timers{}, nil)
	require.NoError(t, h.store.EnsureIndexes(t.Context()))
	var err error
	h.verifier, err = auth.NewVerifier(t.Context(), auth.Config{
		Secret: "a secret of at least thirty-two bytes", Issuer: "orderwire", Audience: "orderwire",
	})
	require.NoError(t, err)
	e := web.New(web.Config{}, log, nil, noop.NewTracerProvider().Tracer(""))
	api.New(h.store).Register(e, api.Access{
		Customer: []echo.MiddlewareFunc{web.Authenticate(h.verifier, true)},
		Operator: []echo.MiddlewareFunc{web.Authenticate(h.verifier, true), web.RequireOperator},
	})
	h.server = httptest.NewServer(e)
	t.Cleanup(h.server.Close)
	h.router = contract(t)
	return h
}

type nowhere struct{}

func (nowhere) Publish(_ *kafka.Message, done func(error)) { go done(nil) }

// contract loads openapi.yaml.
func contract(t *testing.T) routers.Router {
	t.Helper()
	loader := openapi3.NewLoader()
	spec, err := loader.LoadFromFile("openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, spec.Validate(loader.Context))
	router, err := legacy.NewRouter(spec)
	require.NoError(t, err)
	return router
}

// scheduled gives the id of a customer's order whose parcel is ready.
func (h *harness) scheduled(customer string) string {
	h.t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	h.tell(id, customer, 1, 0, false)
	return id
}

// tell is what inventory asks for of an order: its sequence, the address by its revision, a cancellation.
func (h *harness) tell(id, customer string, sequence, revision int64, cancelled bool) {
	h.t.Helper()
	r := &eventspb.Reservation{
		Id: id, CustomerId: customer, Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 2}},
		Request: &eventspb.ShippingRequest{
			Address: &eventspb.Address{
				Name: "Alice", Street: fmt.Sprintf("Ring %d", revision), City: "Köln", PostalCode: "50667", Country: "DE",
			},
			AddressRevision: revision, CancelRequested: cancelled,
		},
	}
	outcomes := h.store.Fold(h.t.Context(), map[string][]shipment.News{id: {{Sequence: sequence, Reservation: r}}})
	require.Equal(h.t, []error{nil}, outcomes[id])
}

type client struct {
	h     *harness
	token string
}

func (h *harness) nobody() *client { return &client{h: h} }

func (h *harness) operator() *client { return h.as("boss", true) }

func (h *harness) as(customer string, operator bool) *client {
	h.t.Helper()
	token, err := h.verifier.Sign(auth.Principal{Customer: customer, Operator: operator}, time.Hour)
	require.NoError(h.t, err)
	return &client{h: h, token: token}
}

type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request with header pairs and checks the answer against the contract.
func (c *client) do(method, path, body string, header ...string) reply {
	c.h.t.Helper()
	req, err := http.NewRequestWithContext(c.h.t.Context(), method, c.h.server.URL+path, bytes.NewReader([]byte(body)))
	require.NoError(c.h.t, err)
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
	require.NoError(c.h.t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(c.h.t, err)
	c.h.valid(req, resp, content)
	return reply{c.h.t, resp.StatusCode, resp.Header, content}
}

func (h *harness) valid(req *http.Request, resp *http.Response, body []byte) {
	h.t.Helper()
	plain := req.Clone(req.Context())
	plain.URL.Scheme, plain.URL.Host, plain.Host = "", "", ""
	route, params, err := h.router.FindRoute(plain)
	if err != nil {
		return // not a route of the contract: the test looks at the answer itself
	}
	require.NoError(h.t, openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}), "%s %s: %d %s", req.Method, req.URL.Path, resp.StatusCode, body)
}

// shipment checks that it is one, and gives it.
func (r reply) shipment() api.Shipment {
	r.t.Helper()
	require.Equal(r.t, http.StatusOK, r.status, string(r.body))
	var s api.Shipment
	require.NoError(r.t, json.Unmarshal(r.body, &s))
	return s
}

// list checks that it is a page and gives its ids and the next one's cursor.
func (r reply) list() (ids []string, next string) {
	r.t.Helper()
	require.Equal(r.t, http.StatusOK, r.status, string(r.body))
	var page api.ShipmentList
	require.NoError(r.t, json.Unmarshal(r.body, &page))
	for _, s := range page.Items {
		ids = append(ids, s.Id)
	}
	if page.Next != nil {
		next = *page.Next
	}
	return ids, next
}

// refusal checks that the answer is this problem, pointing at these fields.
func (r reply) refusal(status int, code string, pointers ...string) {
	r.t.Helper()
	require.Equal(r.t, status, r.status, string(r.body))
	require.Equal(r.t, "application/problem+json", r.header.Get("Content-Type"))
	var p struct {
		Status int
		Code   string
		Errors []struct{ Pointer string }
	}
	require.NoError(r.t, json.Unmarshal(r.body, &p))
	require.Equal(r.t, status, p.Status)
	if code != "" {
		require.Equal(r.t, code, p.Code, string(r.body))
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Pointer)
	}
	require.Equal(r.t, pointers, got, string(r.body))
}
