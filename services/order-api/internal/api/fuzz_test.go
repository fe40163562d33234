package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/web"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

func body(raw string) echo.Context {
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(raw))
	req.Header.Set("Content-Type", "application/json")
	return echo.New().NewContext(req, httptest.NewRecorder())
}

// refused checks that an error is the client's fault and says so.
func refused(t *testing.T, err error) {
	t.Helper()
	var problem *web.Problem
	require.ErrorAs(t, refuse(err), &problem)
	require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge}, problem.Status)
}

// FuzzMergePatch: a patch is refused with a reason, or does what RFC 7396 says.
func FuzzMergePatch(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"note":null}`, `{"note":"x"}`, `{"shippingAddress":{"city":"Bonn","country":"FR"}}`, `{"shippingAddress":null}`,
		`{"shippingAddress":{"city":null}}`, `{"note":"a","note":"b"}`, `[]`, `null`, `"x"`, `{"note":"\ud800"}`, `{{`, `{} {}`, "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var b mergePatch
		if err := web.DecodeJSON(body(raw), &b); err != nil {
			refused(t, err)
			return
		}
		o := &order.Order{
			ShippingAddress: order.Address{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"}, Note: "as placed",
		}
		before := visible(o)
		if _, err := o.Edit(b.patch()); err != nil {
			refused(t, err)
			require.Equal(t, before, visible(o))
			return
		}
		var patch any
		require.NoError(t, json.Unmarshal([]byte(raw), &patch))
		want, ok := merge(before, patch).(map[string]any)
		require.True(t, ok)
		if want["note"] == nil {
			want["note"] = "" // an order without a note has an empty one
		}
		require.Equal(t, want, visible(o))
	})
}

func visible(o *order.Order) map[string]any {
	a := o.ShippingAddress
	return map[string]any{"note": o.Note, "shippingAddress": map[string]any{
		"name": a.Name, "street": a.Street, "city": a.City, "postalCode": a.PostalCode, "country": a.Country,
	}}
}

// merge is the pseudocode of RFC 7396 §2.
func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if t, ok := target.(map[string]any); ok {
		for k, v := range t {
			out[k] = v
		}
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
			continue
		}
		out[k] = merge(out[k], v)
	}
	return out
}

// FuzzNewOrder: a body is refused with a reason, or becomes an order that can be said.
func FuzzNewOrder(f *testing.F) {
	const address = `{"name":"A","street":"B","city":"C","postalCode":"D","country":"DE"}`
	for _, seed := range []string{
		`{"items":[{"sku":"mug","quantity":2}],"shippingAddress":` + address + `,"note":"n","total":{"amount":20,"currency":"EUR"}}`,
		`{"items":[{"sku":"mug","quantity":9223372036854775808}],"shippingAddress":` + address + `}`,
		`{"items":[{"sku":"mug","quantity":1.5}]}`, `{"items":null}`, `{"items":[null]}`, `{"customerId":"bob"}`, `null`, `[`, `{"items":[{"sku":{"$gt":""}}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var b NewOrder
		c := body(raw)
		if err := web.DecodeJSON(c, &b); err != nil {
			refused(t, err)
			return
		}
		d, err := draftFor(c, b)
		if err != nil {
			var problem *web.Problem
			require.ErrorAs(t, err, &problem)
			return
		}
		d.CustomerID = "alice"
		prices := map[string]order.Product{}
		for _, i := range d.Items {
			prices[i.SKU] = order.Product{SKU: i.SKU, Name: "n", UnitPrice: order.Money{Amount: 10, Currency: "EUR"}}
		}
		o, err := order.Place("o-1", d, prices, time.Now())
		if err != nil {
			refused(t, err)
			return
		}
		_, err = fingerprint(b)
		require.NoError(t, err)
		_, _, err = events.Encode(&events.Event{
			ID: "e", Type: events.OrderCreated, Subject: o.ID, Time: time.Now(), Sequence: 1, Customer: "alice", Data: o.Snapshot(),
		})
		require.NoError(t, err)
	})
}
