package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// TestRefusals_EachWaySaysTheSame tries each refusal three ways: SSE, a WebSocket that offers cloudevents.json, and a
// handshake that does not.
func TestRefusals_EachWaySaysTheSame(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice := w.token("alice")
	many := url.Values{"type": {}, "order": {}}
	for range 101 {
		many.Add("order", "o")
	}
	values := func(name, value string) url.Values { return url.Values{name: {value}} }
	for name, c := range map[string]struct {
		token  string
		query  url.Values
		status int
		code   string
		close  int
	}{
		"no token":                    {"", nil, 401, "unauthenticated", 4401},
		"a token of nobody":           {"nonsense", nil, 401, "invalid_token", 4401},
		"an expired token":            {w.tokenFor("alice", false, -time.Minute), nil, 401, "invalid_token", 4401},
		"a long-lived token in a URL": {"", values("ticket", alice), 401, "invalid_token", 4401},
		"an unknown parameter":        {alice, values("colour", "red"), 400, "bad_query", 4400},
		"a bad cursor":                {alice, values("after", "nonsense"), 400, "bad_query", 4400},
		"two beginnings":              {alice, url.Values{"after": {"latest", "earliest"}}, 400, "bad_query", 4400},
		"an unknown type":             {alice, values("type", "no-such-type"), 400, "bad_query", 4400},
		"an unknown prefix":           {alice, values("type", "nothing-*"), 400, "bad_query", 4400},
		"an asterisk in the middle":   {alice, values("type", "order-*d"), 400, "bad_query", 4400},
		"too many values":             {alice, many, 400, "bad_query", 4400},
		"an empty value":              {alice, values("order", ""), 400, "bad_query", 4400},
		"a flag that is none":         {alice, values("strict", "perhaps"), 400, "bad_query", 4400},
		"another's events":            {alice, values("customer", "bob"), 403, "forbidden", 4403},
		"customer is for operators":   {alice, values("customer", "alice"), 403, "forbidden", 4403},
	} {
		t.Run(name, func(t *testing.T) {
			res := n.get(t.Context(), c.token, c.query, "")
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, res.StatusCode, string(body))
			require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
			status, code := problem(t, body)
			require.Equal(t, c.status, status)
			require.Equal(t, c.code, code)
			require.Equal(t, c.status == 401, res.Header.Get("WWW-Authenticate") != "")

			socket := n.dial(c.token, c.query)
			require.Equal(t, c.close, socket.ends())
			told := socket.seen()
			require.Len(t, told, 1)
			require.Equal(t, "notifier.error", told[0].Type)
			status, code = problem(t, told[0].Data)
			require.Equal(t, c.status, status)
			require.Equal(t, c.code, code)

			status, _ = n.handshake(t, c.token, c.query)
			require.Equal(t, c.status, status, "without the subprotocol nobody could read why")
		})
	}
}

// handshake asks for a WebSocket without the subprotocol, and gives the answer.
func (n *notifier) handshake(t *testing.T, token string, query url.Values) (status int, code string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/v1/events?"+query.Encode(), nil)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		req.Header.Set(name, value)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := plain.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	_, code = problem(t, body)
	return res.StatusCode, code
}

func TestRefusals_OfOneWayOnly(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice := w.token("alice")

	status, code := n.handshake(t, alice, nil)
	require.Equal(t, 400, status)
	require.Equal(t, "no_subprotocol", code)

	res := n.get(t.Context(), alice, nil, "nonsense")
	defer res.Body.Close()
	require.Equal(t, 400, res.StatusCode, "a Last-Event-ID that is no cursor")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/v1/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+alice)
	res, err = plain.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 406, res.StatusCode, "neither a WebSocket nor a stream")

	req.Header.Set("Accept", "text/html, text/event-stream;q=0.9")
	ctx, leave := contextOf(t)
	res, err = plain.Do(req.WithContext(ctx))
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	leave()
	res.Body.Close()

	req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/v1/events", strings.NewReader("{}"))
	require.NoError(t, err)
	res, err = plain.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 405, res.StatusCode)
	require.Contains(t, res.Header.Get("Allow"), "GET")
}

func TestLimits_OfConnections(t *testing.T) {
	w := fake(t)
	n := w.start("MAX_CONNECTIONS=3", "MAX_CONNECTIONS_PER_CUSTOMER=1")
	first := n.dial(w.token("alice"), nil)
	first.untilType("notifier.subscribed")

	second := n.dial(w.token("alice"), nil)
	require.Equal(t, 4429, second.ends())
	status, code := problem(t, second.seen()[0].Data)
	require.Equal(t, 429, status)
	require.Equal(t, "too_many_connections", code)
	require.Contains(t, string(second.seen()[0].Data), `"retryAfterMs":5000`)
	res := n.get(t.Context(), w.token("alice"), nil, "")
	defer res.Body.Close()
	require.Equal(t, 429, res.StatusCode)
	require.Equal(t, "5", res.Header.Get("Retry-After"))

	for range 2 { // operators are limited by the sum only
		c := n.dial(w.tokenFor("boss", true, time.Hour), nil)
		c.untilType("notifier.subscribed")
	}
	require.Equal(t, 1013, n.dial(w.token("bob"), nil).ends())
	res = n.get(t.Context(), w.token("bob"), nil, "")
	defer res.Body.Close()
	require.Equal(t, 503, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))

	first.close()
	require.Eventually(t, func() bool { // a place is given back
		again := n.dial(w.token("alice"), nil)
		again.until("an answer", func(all []message) bool { return len(all) > 0 })
		return again.seen()[0].Type == "notifier.subscribed"
	}, patience, 10*time.Millisecond)
}

func TestLimits_OfHandshakes(t *testing.T) {
	w := fake(t)
	n := w.start("RATE_LIMIT=0.001", "RATE_BURST=2")
	for range 2 {
		n.dial(w.token("alice"), nil).untilType("notifier.subscribed")
	}
	require.Equal(t, 4429, n.dial(w.token("alice"), nil).ends())
	n.dial(w.token("bob"), nil).untilType("notifier.subscribed")
}

func TestLimits_OfWhatAClientSays(t *testing.T) {
	w := fake(t)
	n := w.start()
	for name, c := range map[string]struct {
		say  func(c *client)
		code int
	}{
		"no JSON":           {func(c *client) { c.sayRaw([]byte("hello")) }, 4400},
		"a key twice":       {func(c *client) { c.sayRaw([]byte(`{"type":"a","type":"b"}`)) }, 4400},
		"no CloudEvent":     {func(c *client) { c.sayRaw([]byte(`{"type":"notifier.subscribe","data":{}}`)) }, 4400},
		"an unknown type":   {func(c *client) { c.say("notifier.dance", nil) }, 4400},
		"an unknown member": {func(c *client) { c.say("notifier.subscribe", map[string]any{"colour": "red"}) }, 4400},
		"no data": {func(c *client) {
			c.sayRaw([]byte(`{"specversion":"1.0","id":"1","source":"t","type":"notifier.subscribe"}`))
		}, 4400},
		"a bad filter":     {func(c *client) { c.say("notifier.subscribe", map[string]any{"type": []string{"nothing"}}) }, 4400},
		"a bad cursor":     {func(c *client) { c.say("notifier.subscribe", map[string]any{"after": "nonsense"}) }, 4400},
		"another's events": {func(c *client) { c.say("notifier.subscribe", map[string]any{"customer": []string{"bob"}}) }, 4403},
		"a bad token":      {func(c *client) { c.say("notifier.refresh", map[string]any{"token": "nonsense"}) }, 4401},
		"another's token":  {func(c *client) { c.say("notifier.refresh", map[string]any{"token": w.token("bob")}) }, 4403},
		"an operator's": {func(c *client) {
			c.say("notifier.refresh", map[string]any{"token": w.tokenFor("alice", true, time.Hour)})
		}, 4403},
		"too long":  {func(c *client) { c.sayRaw([]byte(strings.Repeat("x", 20<<10))) }, 1009},
		"not UTF-8": {func(c *client) { c.sayRaw([]byte{'"', 0xff, '"'}) }, 1007},
		"binary":    {func(c *client) { c.sayBinary() }, 1003},
		"too much": {func(c *client) {
			message := fmt.Appendf(nil, `{"specversion":"1.0","id":"1","source":"t","type":"notifier.refresh","data":{"token":%q}}`, w.token("alice"))
			for range 40 {
				if c.socket.Write(t.Context(), websocket.MessageText, message) != nil {
					return // the end has come already
				}
			}
		}, 1008},
	} {
		t.Run(name, func(t *testing.T) {
			client := n.dial(w.token("alice"), nil)
			client.untilType("notifier.subscribed")
			c.say(client)
			require.Equal(t, c.code, client.ends())
			last := client.seen()[len(client.seen())-1]
			require.Equal(t, c.code >= 4400, last.Type == "notifier.error", "the reason is told where there is a problem")
		})
	}
}
