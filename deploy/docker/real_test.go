package docker

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/orderwiretest"
)

// TestGateway_InFrontOfTheRealServices sends an order on its way through Caddy and sees it confirmed over a WebSocket.
func TestGateway_InFrontOfTheRealServices(t *testing.T) {
	if os.Getenv("ORDERWIRE_BIN") == "" && !isThere(filepath.Join(root, "bin", "orderctl")) {
		if os.Getenv("REQUIRE_BACKENDS") == "1" {
			t.Fatal("REQUIRE_BACKENDS=1: nothing is built: make build, or ORDERWIRE_BIN names the directory")
		}
		t.Skip("SKIP: nothing is built: make build, or ORDERWIRE_BIN names the directory")
	}
	o := orderwiretest.Start(t)
	port := func(name string) string {
		u, err := url.Parse(o.Services[name].URL)
		require.NoError(t, err)
		return u.Port()
	}
	g := startGateway(t, "ORDER_API_PORT="+port("order-api"), "INVENTORY_PORT="+port("inventory"),
		"SHIPPING_PORT="+port("shipping"), "NOTIFIER_PORT="+port("notifier"))
	for _, name := range []string{"order-api", "inventory", "shipping", "notifier"} {
		g.dns.set(name, "127.0.0.1")
	}
	call := func(method, path, token, body string, status int) []byte {
		header := http.Header{"Content-Type": {"application/json"}}
		if token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		resp, raw := g.do(t, method, path, header, []byte(body))
		require.Equal(t, status, resp.StatusCode, "%s %s: %s", method, path, raw)
		return raw
	}
	var login struct{ Token string }
	require.NoError(t, json.Unmarshal(call(http.MethodPost, "/dev/token", "", `{"customer":"alice"}`, http.StatusOK), &login))
	call(http.MethodPut, "/v1/products/mug", o.OperatorToken, `{"name":"Mug","unitPrice":{"amount":1250,"currency":"EUR"}}`, http.StatusCreated)
	call(http.MethodPost, "/v1/stock/mug/adjustments", o.OperatorToken, `{"quantity":10,"reason":"test"}`, http.StatusCreated)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, g.url+"/v1/events", &websocket.DialOptions{ //nolint:bodyclose // the library closes it
		Subprotocols: []string{"cloudevents.json"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + login.Token}},
	})
	require.NoError(t, err)
	defer conn.CloseNow() //nolint:errcheck // the test is over
	next := func() (e struct{ Type, Subject string }) {
		_, raw, err := conn.Read(ctx)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &e), string(raw))
		return e
	}
	require.Equal(t, "notifier.subscribed", next().Type)
	var order struct{ ID string }
	require.NoError(t, json.Unmarshal(call(http.MethodPost, "/v1/orders", login.Token, `{"items":[{"sku":"mug","quantity":2}],
		"shippingAddress":{"name":"Alice","street":"1 Main Street","city":"Berlin","postalCode":"10115","country":"DE"}}`, http.StatusCreated), &order))
	for e := next(); e.Type != "shipment-scheduled"; e = next() {
		if e.Subject != "" {
			require.Equal(t, order.ID, e.Subject)
		}
	}
	call(http.MethodGet, "/v1/shipments/"+order.ID, login.Token, "", http.StatusOK)
}
