package api_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/testbackend"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

const blue = "/v1/stock/mug-blue"

// adjust brings goods in.
func (h *harness) adjust(sku string, quantity int) reply {
	h.t.Helper()
	r := h.operator().do(http.MethodPost, "/v1/stock/"+sku+"/adjustments", fmt.Sprintf(`{"quantity":%d,"reason":"PO-7"}`, quantity))
	require.Equal(h.t, http.StatusCreated, r.status, string(r.body))
	return r
}

// hold reserves one piece.
func (h *harness) hold(sku string) {
	h.t.Helper()
	o := &eventspb.Order{
		Id: "order-1", CustomerId: "alice", ShippingAddress: &eventspb.Address{},
		Items: []*eventspb.OrderItem{{Sku: sku, Quantity: 1}},
	}
	outcomes := h.store.Apply(h.t.Context(), []stock.Dossier{{OrderID: o.Id, News: []stock.News{{Sequence: 1, Order: o}}}})
	require.NoError(h.t, outcomes[0][0])
}

func TestStock_AllMayReadOperatorsSeeMore(t *testing.T) {
	h := start(t)
	h.adjust("mug-blue", 10).is(201, `{"sku":"mug-blue","available":10,"reserved":0,"shipped":0,"writtenOff":0}`)
	h.hold("mug-blue")
	for _, c := range []*client{h.nobody(), h.customer()} {
		c.do(http.MethodGet, blue, "").is(200, `{"sku":"mug-blue","available":9}`)
		c.do(http.MethodGet, "/v1/stock", "").is(200, `{"items":[{"sku":"mug-blue","available":9}]}`)
	}
	h.operator().do(http.MethodGet, blue, "").is(200, `{"sku":"mug-blue","available":9,"reserved":1,"shipped":0,"writtenOff":0}`)
	(&client{h: h, token: "forged"}).do(http.MethodGet, blue, "").refusal(401, "")
}

func TestStock_Pages(t *testing.T) {
	h := start(t)
	for _, sku := range []string{"c", "a", "b"} {
		h.adjust(sku, 1)
	}
	h.nobody().do(http.MethodGet, "/v1/stock?limit=3", "").is(200, `{"items":[{"sku":"a","available":1},{"sku":"b","available":1},{"sku":"c","available":1}]}`)
	first := string(h.nobody().do(http.MethodGet, "/v1/stock?limit=2", "").body)
	_, next, found := strings.Cut(first, `"next":"`)
	require.True(t, found, first)
	next, _, _ = strings.Cut(next, `"`)
	h.nobody().do(http.MethodGet, "/v1/stock?limit=2&after="+next, "").is(200, `{"items":[{"sku":"c","available":1}]}`)

	for _, query := range []string{"limit=0", "limit=101", "limit=x", "after=", "after=nonsense", "page=2", "limit=1&limit=2"} {
		h.nobody().do(http.MethodGet, "/v1/stock?"+query, "").refusal(400, "")
	}
	h.nobody().do(http.MethodGet, blue+"?fields=all", "").refusal(400, "")
}

func TestStock_ETagTellsWhatTheCallerSees(t *testing.T) {
	h := start(t)
	h.adjust("mug-blue", 10)
	for _, path := range []string{blue, "/v1/stock"} {
		seen := h.nobody().do(http.MethodGet, path, "").header.Get("ETag")
		require.NotEmpty(t, seen)
		require.NotEqual(t, seen, h.operator().do(http.MethodGet, path, "").header.Get("ETag"))
		r := h.nobody().do(http.MethodGet, path, "", "If-None-Match", `"other", W/`+strings.TrimSuffix(seen, `"`)+`-gzip"`)
		require.Equal(t, http.StatusNotModified, r.status)
		require.Empty(t, r.body)
		require.Equal(t, seen, r.header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, h.nobody().do(http.MethodGet, path, "", "If-None-Match", "*").status)
		h.nobody().do(http.MethodGet, path, "", "If-None-Match", "bare").refusal(400, "bad_header")
	}
	seen := h.nobody().do(http.MethodGet, blue, "").header.Get("ETag")
	h.adjust("mug-blue", 1)
	h.nobody().do(http.MethodGet, blue, "", "If-None-Match", seen).is(200, `{"sku":"mug-blue","available":11}`)
}

func TestAdjust_RefusesPrecisely(t *testing.T) {
	h := start(t)
	h.adjust("mug-blue", 3)
	post := blue + "/adjustments"
	h.nobody().do(http.MethodPost, post, `{`).refusal(401, "unauthenticated")
	h.customer().do(http.MethodPost, post, `{`).refusal(403, "forbidden")
	h.operator().do(http.MethodPost, "/v1/stock/Mug_Blue/adjustments", `{`).refusal(404, "stock_not_found")
	h.operator().do(http.MethodPost, "/v1/stock/"+strings.Repeat("a", 65)+"/adjustments", `{}`).refusal(404, "stock_not_found")

	for body, want := range map[string]struct {
		status   int
		pointers []string
	}{
		`{`:                             {400, nil},
		`{"quantity":1,"reason":"a"}{}`: {400, nil},
		`{"quantity":1,"quantity":2,"reason":"a"}`:                   {400, nil},
		`{"quantity":0,"reason":"a"}`:                                {422, []string{"/quantity"}},
		`{"reason":"a"}`:                                             {422, []string{"/quantity"}},
		`{"quantity":1000001,"reason":"a"}`:                          {422, []string{"/quantity"}},
		`{"quantity":-1000001,"reason":"a"}`:                         {422, []string{"/quantity"}},
		`{"quantity":1.5,"reason":"a"}`:                              {422, []string{"/quantity"}},
		`{"quantity":9223372036854775808,"reason":"a"}`:              {422, []string{"/quantity"}},
		`{"quantity":{"$gt":""},"reason":"a"}`:                       {422, []string{"/quantity"}},
		`{"quantity":1}`:                                             {422, []string{"/reason"}},
		`{"quantity":0,"reason":""}`:                                 {422, []string{"/quantity", "/reason"}},
		`{"quantity":1,"reason":"` + strings.Repeat("ä", 201) + `"}`: {422, []string{"/reason"}},
		`{"quantity":1,"reason":"a","price":3}`:                      {422, []string{"/price"}},
	} {
		t.Run(body[:min(len(body), 60)], func(t *testing.T) {
			r := h.operator().do(http.MethodPost, post, body)
			r.t = t
			r.refusal(want.status, "", want.pointers...)
		})
	}
	h.operator().do(http.MethodPost, post, `{"quantity":1,"reason":"a"}`, "Content-Type", "text/plain").refusal(415, "")
	h.operator().do(http.MethodPost, post, `{"quantity":1,"reason":"`+strings.Repeat("a", 70_000)+`"}`).refusal(413, "")
	h.operator().do(http.MethodPost, post, `{"quantity":1,"reason":"a"}`, "Idempotency-Key", "ü").refusal(400, "bad_idempotency_key")
	h.operator().do(http.MethodPost, post, `{"quantity":-4,"reason":"a"}`).refusal(409, "stock_below_zero")

	wrong := h.operator().do(http.MethodDelete, blue, "")
	wrong.refusal(405, "")
	require.Contains(t, wrong.header.Get("Allow"), "GET")
	h.nobody().do(http.MethodGet, "/v1/stock/unknown", "").refusal(404, "stock_not_found")
	h.nobody().do(http.MethodGet, blue, "").is(200, `{"sku":"mug-blue","available":3}`)
}

func TestAdjust_TheSameKeyIsDoneOnce(t *testing.T) {
	h := start(t)
	post := func(sku, body, key string) reply {
		return h.operator().do(http.MethodPost, "/v1/stock/"+sku+"/adjustments", body, "Idempotency-Key", key)
	}
	first := post("mug-blue", `{"quantity":5,"reason":"PO-7"}`, `k-1`)
	require.Equal(t, http.StatusCreated, first.status)
	require.Empty(t, first.header.Get("Idempotency-Replayed"))
	again := post("mug-blue", ` {"reason":"PO-7", "quantity":5}`, `"k-1"`).is(201, `{"sku":"mug-blue","available":5,"reserved":0,"shipped":0,"writtenOff":0}`)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	post("mug-blue", `{"quantity":6,"reason":"PO-7"}`, `k-1`).refusal(422, "idempotency_key_reused")
	post("mug-red", `{"quantity":6,"reason":"PO-7"}`, `k-1`).is(201, `{"sku":"mug-red","available":6,"reserved":0,"shipped":0,"writtenOff":0}`)
}

func TestDatabaseAway_IsServiceUnavailable(t *testing.T) {
	name := testbackend.Mongo(t).Name()
	db, err := mongodb.Connect(t.Context(), mongodb.Config{URI: os.Getenv("TEST_MONGODB_URI"), Database: name}, "test", nil)
	require.NoError(t, err)
	h := startOn(t, db)
	require.NoError(t, mongodb.Disconnect(t.Context(), db))
	for _, r := range []reply{
		h.nobody().do(http.MethodGet, blue, ""),
		h.nobody().do(http.MethodGet, "/v1/stock", ""),
		h.operator().do(http.MethodPost, blue+"/adjustments", `{"quantity":5,"reason":"PO-7"}`),
	} {
		r.refusal(503, "unavailable")
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
}

func TestContract_IsServed(t *testing.T) {
	h := start(t)
	want, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	require.Equal(t, string(want), string(h.nobody().do(http.MethodGet, "/openapi.yaml", "").body))
}
