package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

func TestPlace_IsStoredAnsweredAndSaid(t *testing.T) {
	h := start(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	r := h.as("alice").do(http.MethodPost, "/v1/orders", `{"items":[{"sku":"mug-blue","quantity":2}],"shippingAddress":`+address+
		`,"note":"ring twice","total":{"amount":2500,"currency":"EUR"},"customerId":"alice"}`, "traceparent", trace)
	require.Equal(t, http.StatusCreated, r.status, string(r.body))
	o := r.order(t)
	require.Equal(t, "/v1/orders/"+o.ID, r.header.Get("Location"))
	require.Equal(t, `"1.1"`, r.header.Get("ETag"))
	require.NotEmpty(t, r.header.Get("X-Request-Id"))
	require.Equal(t, "pending", o.Status)

	e := h.events(o.ID, 1)[0]
	require.Equal(t, events.OrderCreated, e.Type)
	require.EqualValues(t, 1, e.Sequence)
	require.Contains(t, e.TraceParent, "4bf92f3577b34da6a3ce929d0e0e4736", "the event continues the request's trace")
	require.JSONEq(t, string(r.body), string(events.AppendJSON(nil, e.Data)), "event and answer are the same order")

	got := h.as("alice").do(http.MethodGet, "/v1/orders/"+o.ID, "")
	require.Equal(t, r.body, got.body)
}

func TestPlace_Refusals(t *testing.T) {
	h := start(t)
	items := func(items string) string { return `{"items":[` + items + `],"shippingAddress":` + address + `}` }
	many := strings.TrimSuffix(strings.Repeat(`{"sku":"mug-blue","quantity":1},`, 101), ",")
	for name, c := range map[string]struct {
		body     string
		status   int
		code     string
		pointers []string
	}{
		"syntax":           {`{"items":`, 400, "", nil},
		"duplicate key":    {`{"note":"a","note":"b"}`, 400, "", nil},
		"trailing data":    {newOrder + `{}`, 400, "", nil},
		"unknown field":    {`{"price":1,` + newOrder[1:], 422, "", []string{"/price"}},
		"unknown nested":   {items(`{"sku":"mug-blue","quantity":1,"price":1}`), 422, "", []string{"/items/0/price"}},
		"an operator":      {items(`{"sku":{"$gt":""},"quantity":1}`), 422, "", []string{"/items/0/sku"}},
		"fraction":         {items(`{"sku":"mug-blue","quantity":1.5}`), 422, "", []string{"/items/0/quantity"}},
		"2^63":             {items(`{"sku":"mug-blue","quantity":9223372036854775808}`), 422, "", []string{"/items/0/quantity"}},
		"zero":             {items(`{"sku":"mug-blue","quantity":0}`), 422, "quantity", []string{"/items/0/quantity"}},
		"negative":         {items(`{"sku":"mug-blue","quantity":-1}`), 422, "quantity", []string{"/items/0/quantity"}},
		"no items":         {items(``), 422, "items", []string{"/items"}},
		"101 items":        {items(many), 422, "items", []string{"/items"}},
		"unknown SKU":      {items(`{"sku":"teapot","quantity":1}`), 422, "unknown_sku", []string{"/items/0/sku"}},
		"wrong total":      {newOrder[:len(newOrder)-1] + `,"total":{"amount":1,"currency":"EUR"}}`, 422, "total_mismatch", []string{"/total"}},
		"somebody else's":  {newOrder[:len(newOrder)-1] + `,"customerId":"bob"}`, 403, "forbidden", nil},
		"not an object":    {`[]`, 422, "", []string{""}},
		"more than 64 KiB": {`{"note":"` + strings.Repeat("x", 65<<10) + `"}`, 413, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			h.as("alice").do(http.MethodPost, "/v1/orders", c.body).refusal(t, c.status, c.code, c.pointers...)
		})
	}
	alice := h.as("alice")
	h.nobody().do(http.MethodPost, "/v1/orders", newOrder).refusal(t, 401, "")
	alice.do(http.MethodPost, "/v1/orders", newOrder, "Content-Type", "text/plain").refusal(t, 415, "")
	alice.do(http.MethodPost, "/v1/orders?dry=1", newOrder).refusal(t, 400, "")
	alice.do(http.MethodPost, "/v1/orders", newOrder, "Idempotency-Key", strings.Repeat("k", 256)).refusal(t, 400, "")
	alice.do(http.MethodPost, "/v1/orders", newOrder, "Idempotency-Key", "ключ").refusal(t, 400, "")
	require.Empty(t, h.topic.all)
}

func TestPlace_OperatorsOrderForSomebodyElse(t *testing.T) {
	h := start(t)
	r := h.operator().do(http.MethodPost, "/v1/orders", newOrder[:len(newOrder)-1]+`,"customerId":"bob"}`)
	require.Equal(t, http.StatusCreated, r.status)
	require.Equal(t, "bob", r.order(t).CustomerID)
	require.Equal(t, "bob", h.events(r.order(t).ID, 1)[0].Customer)
}

func TestPlace_APriceIsInForceOnceAnswered(t *testing.T) {
	h := start(t)
	before := h.as("alice").place()
	r := h.operator().do(http.MethodPut, "/v1/products/mug-blue", `{"name":"Blue mug","unitPrice":{"amount":1500,"currency":"EUR"}}`)
	require.Equal(t, http.StatusOK, r.status)
	require.EqualValues(t, 3000, h.as("alice").place().Total.Amount)
	require.EqualValues(t, 2500, h.as("alice").do(http.MethodGet, "/v1/orders/"+before.ID, "").order(t).Total.Amount)
}

func TestPlace_SameKeySameBodyIsTheSameOrder(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	first := alice.place("Idempotency-Key", `"k-1"`)
	alice.do(http.MethodPost, "/v1/orders/"+first.ID+"/cancel", "")
	h.price("mug-blue", 9999) // the request would be priced otherwise now, with a total even refused

	again := alice.do(http.MethodPost, "/v1/orders", " "+newOrder, "Idempotency-Key", "k-1")
	require.Equal(t, http.StatusCreated, again.status)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.Equal(t, "/v1/orders/"+first.ID, again.header.Get("Location"))
	require.Equal(t, first.ID, again.order(t).ID)
	require.Equal(t, "cancelling", again.order(t).Status, "the order as it is now")
	require.Equal(t, `"2.2"`, again.header.Get("ETag"))

	other := strings.Replace(newOrder, `"quantity":2`, `"quantity":3`, 1)
	alice.do(http.MethodPost, "/v1/orders", other, "Idempotency-Key", "k-1").refusal(t, 422, "idempotency_key_reused")

	bobs := h.as("bob").place("Idempotency-Key", "k-1")
	require.NotEqual(t, first.ID, bobs.ID, "a key is its customer's")
}

func TestPlace_ARefusedRequestDoesNotBurnItsKey(t *testing.T) {
	h := start(t)
	teapot := strings.Replace(newOrder, "mug-blue", "teapot", 1)
	h.as("alice").do(http.MethodPost, "/v1/orders", teapot, "Idempotency-Key", "k").refusal(t, 422, "unknown_sku", "/items/0/sku")
	h.price("teapot", 1)
	r := h.as("alice").do(http.MethodPost, "/v1/orders", teapot, "Idempotency-Key", "k")
	require.Equal(t, http.StatusCreated, r.status)
	require.Empty(t, r.header.Get("Idempotency-Replayed"))
}

func TestPlace_OneKeyAHundredTimesAtOnceIsOneOrder(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	replies := together(100, func(int) (reply, error) {
		return alice.try(http.MethodPost, "/v1/orders", newOrder, "Idempotency-Key", "k")
	})
	ids, fresh := map[string]int{}, 0
	for _, r := range replies {
		require.NoError(t, r.err)
		require.Equal(t, http.StatusCreated, r.status, string(r.body))
		ids[r.order(t).ID]++
		if r.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	require.Len(t, ids, 1)
	require.Equal(t, 1, fresh, "one placed it, the others were told")
	n, err := store.Orders(h.db).CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func TestPlace_TwoBodiesUnderOneKeyAtOnce(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	replies := together(40, func(i int) (reply, error) {
		body := strings.Replace(newOrder, `"quantity":2`, fmt.Sprintf(`"quantity":%d`, 1+i%2), 1)
		return insist(func() (reply, error) {
			return alice.try(http.MethodPost, "/v1/orders", body, "Idempotency-Key", "k")
		})
	})
	count := map[int]int{}
	for _, r := range replies {
		require.NoError(t, r.err)
		count[r.status]++
	}
	require.Equal(t, map[int]int{201: 20, 422: 20}, count)
}

func TestPlace_ManyAtOnceAllGetTheirOwn(t *testing.T) {
	h := start(t)
	replies := together(200, func(i int) (reply, error) {
		body := strings.Replace(newOrder, `"quantity":2`, fmt.Sprintf(`"quantity":%d`, i+1), 1)
		someone := &client{h: h, token: h.token(fmt.Sprintf("c-%d", i%7), false)}
		return insist(func() (reply, error) {
			return someone.try(http.MethodPost, "/v1/orders", body, "Idempotency-Key", fmt.Sprintf("k-%d", i))
		})
	})
	for i, r := range replies {
		require.NoError(t, r.err)
		require.Equal(t, http.StatusCreated, r.status, string(r.body))
		o := r.order(t)
		require.EqualValues(t, (i+1)*1250, o.Total.Amount)
		require.Equal(t, fmt.Sprintf("c-%d", i%7), o.CustomerID)
		require.Len(t, h.events(o.ID, 1), 1)
	}
}

// insist asks again after a 503, as a careful client does: a busy machine may not answer in time.
func insist(call func() (reply, error)) (reply, error) {
	for try := 0; ; try++ {
		r, err := call()
		if err != nil || r.status != http.StatusServiceUnavailable || try == 20 {
			return r, err
		}
	}
}

type outcome struct {
	reply
	err error
}

// together makes n calls at the same time.
func together(n int, call func(i int) (reply, error)) []outcome {
	out := make([]outcome, n)
	var ready, all sync.WaitGroup
	ready.Add(n)
	for i := range n {
		all.Go(func() {
			ready.Done()
			ready.Wait()
			out[i].reply, out[i].err = call(i)
		})
	}
	all.Wait()
	return out
}

func TestPlace_GoesOnWithoutKafka(t *testing.T) {
	h := start(t)
	h.topic.goAway()
	o := h.as("alice").place()
	require.Equal(t, "pending", o.Status)
	require.Empty(t, h.published(o.ID))
}

func TestAPI_WithoutItsDatabaseSaysTryLater(t *testing.T) {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Disconnect(context.WithoutCancel(t.Context()))) })
	h := serve(t, client.Database("orders"))
	calls := []struct{ method, path, body string }{
		{http.MethodPost, "/v1/orders", newOrder},
		{http.MethodGet, "/v1/orders", ""},
		{http.MethodGet, "/v1/orders/x", ""},
		{http.MethodGet, "/v1/orders/x/history", ""},
		{http.MethodPatch, "/v1/orders/x", `{}`},
		{http.MethodPost, "/v1/orders/x/cancel", ""},
		{http.MethodGet, "/v1/products", ""},
		{http.MethodGet, "/v1/products/x", ""},
	}
	alice := h.as("alice")
	for i, r := range together(len(calls), func(i int) (reply, error) {
		return alice.try(calls[i].method, calls[i].path, calls[i].body, "If-Match", "*")
	}) {
		require.NoError(t, r.err, calls[i])
		r.refusal(t, 503, "unavailable")
	}
}

func TestOpenAPI_IsServed(t *testing.T) {
	h := start(t)
	r := h.nobody().do(http.MethodGet, "/openapi.yaml", "")
	require.Equal(t, http.StatusOK, r.status)
	require.Contains(t, string(r.body), "openapi: 3.1.0")
}

func TestLogin_GivesATokenThatWorks(t *testing.T) {
	h := start(t)
	r := h.nobody().do(http.MethodPost, "/dev/token", `{"customer":"carol","operator":false}`)
	require.Equal(t, http.StatusOK, r.status, string(r.body))
	var token struct {
		Token     string
		ExpiresAt time.Time
	}
	require.NoError(t, json.Unmarshal(r.body, &token))
	p, err := h.verifier.Verify(token.Token)
	require.NoError(t, err)
	require.Equal(t, "carol", p.Customer)
	require.False(t, p.Operator)
	require.Equal(t, "carol", (&client{h: h, token: token.Token}).place().CustomerID)
	h.nobody().do(http.MethodPost, "/dev/token", `{"customer":""}`).refusal(t, 422, "customer", "/customer")
}
