package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusals sends what clients get wrong; each has its own precise answer, and none is a 5xx.
func refusals(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice := s.customer(t)
	at := `"shippingAddress":{"name":"A","street":"1 Lane","city":"Dublin","postalCode":"D02","country":"IE"}`
	items := func(list string) string { return `{"items":` + list + `,` + at + `}` }
	one := fmt.Sprintf(`[{"sku":%q,"quantity":1}]`, sku)
	many := "[" + strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"sku":%q,"quantity":1},`, sku), 101), ",") + "]"
	for name, c := range map[string]struct {
		body    string
		status  int
		code    string
		pointer string
	}{
		"unknown SKU":          {items(`[{"sku":"no-such-thing","quantity":1}]`), 422, "unknown_sku", "/items/0/sku"},
		"a SKU twice":          {items(fmt.Sprintf(`[{"sku":%q,"quantity":1},{"sku":%q,"quantity":1}]`, sku, sku)), 422, "duplicate_sku", "/items/1/sku"},
		"SKU with an operator": {items(`[{"sku":{"$gt":""},"quantity":1}]`), 422, "wrong_type", "/items/0/sku"},
		"quantity 0":           {items(fmt.Sprintf(`[{"sku":%q,"quantity":0}]`, sku)), 422, "quantity", "/items/0/quantity"},
		"quantity -1":          {items(fmt.Sprintf(`[{"sku":%q,"quantity":-1}]`, sku)), 422, "quantity", "/items/0/quantity"},
		"quantity 1001":        {items(fmt.Sprintf(`[{"sku":%q,"quantity":1001}]`, sku)), 422, "quantity", "/items/0/quantity"},
		"quantity 2^63":        {items(fmt.Sprintf(`[{"sku":%q,"quantity":9223372036854775808}]`, sku)), 422, "out_of_range", "/items/0/quantity"},
		"quantity 1.5":         {items(fmt.Sprintf(`[{"sku":%q,"quantity":1.5}]`, sku)), 422, "not_an_integer", "/items/0/quantity"},
		"no items":             {items(`[]`), 422, "items", "/items"},
		"101 items":            {items(many), 422, "items", "/items"},
		"items missing":        {`{` + at + `}`, 422, "items", "/items"},
		"another total":        {`{"items":` + one + `,"total":{"amount":1,"currency":"EUR"},` + at + `}`, 422, "total_mismatch", "/total"},
		"another currency":     {`{"items":` + one + `,"total":{"amount":1250,"currency":"USD"},` + at + `}`, 422, "total_mismatch", "/total"},
		"a price of one's own": {items(fmt.Sprintf(`[{"sku":%q,"quantity":1,"unitPrice":{"amount":1,"currency":"EUR"}}]`, sku)), 422, "unknown_field", "/items/0/unitPrice"},
		"unknown field":        {`{"coupon":"FREE","items":` + one + `,` + at + `}`, 422, "unknown_field", "/coupon"},
		"country":              {strings.Replace(items(one), `"IE"`, `"Ireland"`, 1), 422, "country", "/shippingAddress/country"},
		"malformed JSON":       {`{"items":`, 400, "malformed_json", ""},
		"trailing data":        {items(one) + `{}`, 400, "malformed_json", ""},
		"duplicate key":        {`{"items":` + one + `,"items":` + one + `,` + at + `}`, 400, "duplicate_key", ""},
		"not JSON":             {"\x00\x01", 400, "malformed_json", ""},
		"empty":                {"", 400, "malformed_json", ""},
		"64 KiB and more":      {items(one)[:len(items(one))-1] + `,"note":"` + strings.Repeat("x", 70<<10) + `"}`, 413, "body_too_large", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := alice.do("POST", "/v1/orders", c.body, nil)
			p := a.refused(c.status)
			require.Equal(t, c.code, p.Code)
			if c.pointer == "" {
				return
			}
			var pointers []string
			for _, e := range p.Errors {
				pointers = append(pointers, e.Pointer)
			}
			require.Contains(t, pointers, c.pointer)
		})
	}

	t.Run("media type", func(t *testing.T) {
		alice.do("POST", "/v1/orders", items(one), header{"Content-Type": "text/plain"}).refused(415)
	})
	t.Run("method", func(t *testing.T) {
		a := alice.do("DELETE", "/v1/orders", nil, nil)
		a.refused(405)
		require.Contains(t, a.header.Get("Allow"), "POST")
	})
	t.Run("path", func(t *testing.T) { alice.do("GET", "/v1/nowhere", nil, nil).refused(404) })
	t.Run("query", func(t *testing.T) {
		for _, q := range []string{"limit=0", "limit=101", "limit=x", "status=lost", "after=%21", "colour=red"} {
			alice.do("GET", "/v1/orders?"+q, nil, nil).refused(400)
		}
	})
	t.Run("idempotency key", func(t *testing.T) {
		for _, key := range []string{strings.Repeat("k", 256), "k\u00fc"} {
			alice.do("POST", "/v1/orders", items(one), header{"Idempotency-Key": key}).refused(400)
		}
	})
	t.Run("token", func(t *testing.T) {
		for _, token := range []string{"", "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.", alice.token + "x"} {
			c := &client{t: t, sys: s, token: token}
			a := c.do("POST", "/v1/orders", items(one), nil)
			a.refused(401)
			require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")
		}
	})
	t.Run("stock below zero", func(t *testing.T) {
		op := s.operator(t)
		op.do("POST", "/v1/stock/"+sku+"/adjustments", map[string]any{"quantity": -11, "reason": "x"}, nil).refused(409)
		for _, quantity := range []any{0, 1_000_001, -1_000_001, 1.5, "7"} {
			op.do("POST", "/v1/stock/"+sku+"/adjustments", map[string]any{"quantity": quantity, "reason": "x"}, nil).refused(422)
		}
	})
	t.Run("carrier out of turn", func(t *testing.T) {
		o := alice.place(item{sku, 1})
		alice.awaitThat(o.ID, "scheduled", func(o order) bool { return o.Shipment != nil })
		op := s.operator(t)
		op.do("POST", "/v1/shipments/"+o.ID+"/deliver", struct{}{}, nil).refused(409)
		s.carrier(t, o.ID, "dispatch", nil)
		s.carrier(t, o.ID, "dispatch", nil) // the same again is the same
		s.carrier(t, o.ID, "deliver", nil)
		op.do("POST", "/v1/shipments/"+o.ID+"/fail", map[string]string{"reason": "lost"}, nil).refused(409)
		op.do("POST", "/v1/shipments/"+o.ID+"/fail", map[string]string{"reason": "bored"}, nil).refused(422)
	})
	require.Equal(t, int64(9), s.stock(t, sku).Available, "nothing that was refused took stock")
}
