package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// patience is how long anything that must happen may take; nothing asserts how quick it is.
const (
	patience  = 60 * time.Second
	pollEvery = 50 * time.Millisecond
)

// client is one person at the front end.
type client struct {
	t     *testing.T
	sys   *system
	name  string
	token string
}

// customer gives a client with a name that no other test uses.
func (s *system) customer(t *testing.T) *client {
	t.Helper()
	return s.client(t, "customer-"+uuid.NewString(), false)
}

func (s *system) operator(t *testing.T) *client {
	t.Helper()
	return s.client(t, "operator", true)
}

func (s *system) client(t *testing.T, name string, operator bool) *client {
	t.Helper()
	return &client{t: t, sys: s, name: name, token: s.token(t, name, operator)}
}

// answer is what came back over HTTP.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// problem is RFC 9457 with our extensions.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Errors []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

type header = map[string]string

// try sends a request and gives the transport's error, for tests in which the system is being broken.
func (c *client) try(method, path string, body any, headers header) (*answer, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewBufferString(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.sys.GatewayURL+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &answer{c.t, res.StatusCode, res.Header, raw}, nil
}

func (c *client) do(method, path string, body any, headers header) *answer {
	c.t.Helper()
	a, err := c.try(method, path, body, headers)
	require.NoError(c.t, err)
	return a
}

// as checks the status and decodes the body.
func as[T any](a *answer, status int) T {
	a.t.Helper()
	require.Equal(a.t, status, a.status, string(a.body))
	var v T
	require.NoError(a.t, json.Unmarshal(a.body, &v), string(a.body))
	return v
}

// refused checks that the answer is a problem of this status.
func (a *answer) refused(status int) problem {
	a.t.Helper()
	require.Equal(a.t, status, a.status, string(a.body))
	require.Equal(a.t, "application/problem+json", a.header.Get("Content-Type"))
	p := as[problem](a, status)
	require.Equal(a.t, status, p.Status)
	require.NotEmpty(a.t, p.Code)
	return p
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

var home = address{"Ada", "1 Long Lane", "Dublin", "D02 X285", "IE"}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

type newOrder struct {
	Items           []item  `json:"items"`
	ShippingAddress address `json:"shippingAddress"`
	Note            string  `json:"note,omitempty"`
	Total           *money  `json:"total,omitempty"`
}

type order struct {
	ID              string  `json:"id"`
	CustomerID      string  `json:"customerId"`
	Status          string  `json:"status"`
	Version         int64   `json:"version"`
	Total           money   `json:"total"`
	ShippingAddress address `json:"shippingAddress"`
	Note            string  `json:"note"`
	Shipment        *struct {
		Status         string  `json:"status"`
		Carrier        string  `json:"carrier"`
		TrackingNumber string  `json:"trackingNumber"`
		Address        address `json:"address"`
	} `json:"shipment"`
	Rejection *struct {
		Items []struct {
			SKU       string `json:"sku"`
			Wanted    int    `json:"wanted"`
			Available int    `json:"available"`
		} `json:"items"`
	} `json:"rejection"`
	Cancellation  *struct{ Outcome string } `json:"cancellation"`
	AddressChange *struct{ Outcome string } `json:"addressChange"`
	Failure       *struct{ Reason string }  `json:"failure"`
}

type stockRow struct {
	SKU        string `json:"sku"`
	Available  int64  `json:"available"`
	Reserved   int64  `json:"reserved"`
	Shipped    int64  `json:"shipped"`
	WrittenOff int64  `json:"writtenOff"`
}

// product adds a product of its own with so much stock, and gives its SKU.
func (s *system) product(t *testing.T, stock int) string {
	t.Helper()
	op := s.operator(t)
	sku := "item-" + uuid.NewString()
	a := op.do("PUT", "/v1/products/"+sku, map[string]any{"name": "A thing", "unitPrice": money{1250, "EUR"}}, nil)
	require.Contains(t, []int{200, 201}, a.status, string(a.body))
	if stock > 0 {
		as[stockRow](op.do("POST", "/v1/stock/"+sku+"/adjustments", map[string]any{"quantity": stock, "reason": "opening"}, nil), 201)
	}
	return sku
}

// stock reads a row with all its counters.
func (s *system) stock(t *testing.T, sku string) stockRow {
	t.Helper()
	return as[stockRow](s.operator(t).do("GET", "/v1/stock/"+sku, nil, nil), 200)
}

func (s *system) awaitStock(t *testing.T, want stockRow) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assertT) {
		equal(c, want, s.stock(t, want.SKU))
	}, patience, 50*time.Millisecond)
}

func (c *client) place(items ...item) order {
	c.t.Helper()
	return as[order](c.do("POST", "/v1/orders", newOrder{Items: items, ShippingAddress: home}, nil), 201)
}

func (c *client) order(id string) order {
	c.t.Helper()
	return as[order](c.do("GET", "/v1/orders/"+id, nil, nil), 200)
}

// await reads the order until it has the status.
func (c *client) await(id, status string) order {
	c.t.Helper()
	return c.awaitThat(id, status, func(o order) bool { return o.Status == status })
}

func (c *client) awaitThat(id, what string, holds func(order) bool) order {
	c.t.Helper()
	var (
		last   order
		answer string
	)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		a, err := c.try("GET", "/v1/orders/"+id, nil, nil)
		if err != nil { // the system is being broken; the deadline decides
			answer = err.Error()
			continue
		}
		answer = string(a.body)
		if a.status == 200 && json.Unmarshal(a.body, &last) == nil && holds(last) {
			return last
		}
	}
	require.FailNow(c.t, "an order never became "+what, answer)
	return last
}

// carrier lets the simulated carrier act, as an operator.
func (s *system) carrier(t *testing.T, order, step string, body any) {
	t.Helper()
	if body == nil {
		body = struct{}{}
	}
	a := s.operator(t).do("POST", "/v1/shipments/"+order+"/"+step, body, nil)
	require.Equal(t, 200, a.status, string(a.body))
}
