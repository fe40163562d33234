package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

func (c *client) sayBinary() {
	c.t.Helper()
	require.NoError(c.t, c.socket.Write(c.t.Context(), websocket.MessageBinary, []byte("{}")))
}

func count(all []message, typ string) int {
	n := 0
	for _, m := range all {
		if m.Type == typ {
			n++
		}
	}
	return n
}

func TestSubscribe_ReplacesTheSubscription(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice, order := someone(), uuid.NewString()
	c := n.dial(w.token(alice), url.Values{"type": {"order-created"}})
	c.untilType("notifier.subscribed")
	witness := n.dial(w.token(alice), nil)
	witness.untilType("notifier.subscribed")
	w.history(order, alice)
	witness.untilEvents(4) // the instance is that far
	require.Equal(t, []string{"order-created " + order + " 0000000001"}, c.untilEvents(1))

	// From where it is: nothing of the past comes.
	c.say("notifier.subscribe", map[string]any{"type": []string{"order-*"}, "order": []string{order}})
	c.until("subscribed again", func(all []message) bool { return count(all, "notifier.subscribed") == 2 })
	w.publish(events.OrderUpdated, order, alice, 5)
	w.publish(events.OrderUpdated, uuid.NewString(), alice, 1)
	w.publish(events.OrderUpdated, order, alice, 6)
	got := c.untilEvents(3)
	require.Equal(t, []string{"order-updated " + order + " 0000000005", "order-updated " + order + " 0000000006"}, got[1:])

	// From the beginning.
	c.say("notifier.subscribe", map[string]any{"type": []string{"order-created"}, "after": "earliest"})
	c.until("subscribed a third time", func(all []message) bool { return count(all, "notifier.subscribed") == 3 })
	c.untilType("notifier.caught-up")
	require.Equal(t, []string{"order-created " + order + " 0000000001"}, c.untilEvents(4)[3:])

	// Live again.
	c.say("notifier.subscribe", map[string]any{"after": "latest"})
	c.until("subscribed a fourth time", func(all []message) bool { return count(all, "notifier.subscribed") == 4 })
	w.publish(events.StockReserved, order, alice, 1)
	require.Equal(t, []string{"stock-reserved " + order + " 0000000001"}, c.untilEvents(5)[4:])
}

func TestToken_EndsTheSessionUnlessItIsRefreshed(t *testing.T) {
	w := fake(t)
	n := w.start()
	token := func() string { return w.tokenFor("alice", false, 3*time.Second) }
	lapsing, stream, refreshed := n.dial(token(), nil), n.stream(token(), nil, ""), n.dial(token(), nil)
	refreshed.untilType("notifier.subscribed")
	refreshed.say("notifier.refresh", map[string]any{"token": w.token("alice")})
	refreshed.untilType("notifier.heartbeat") // it was taken

	require.Equal(t, 4401, lapsing.ends())
	status, code := problem(t, lapsing.untilType("notifier.error").Data)
	require.Equal(t, 401, status)
	require.Equal(t, "token_expired", code)
	stream.ends()
	status, _ = problem(t, stream.untilType("notifier.error").Data)
	require.Equal(t, 401, status)

	w.publish(events.OrderCreated, uuid.NewString(), "alice", 1)
	refreshed.untilEvents(1)
}

func (n *notifier) ticket(token string) (ticket string, status int) {
	n.w.t.Helper()
	req, err := http.NewRequestWithContext(n.w.t.Context(), http.MethodPost, n.url+"/v1/tickets", nil)
	require.NoError(n.w.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := plain.Do(req)
	require.NoError(n.w.t, err)
	defer res.Body.Close()
	require.Equal(n.w.t, "no-store", res.Header.Get("Cache-Control"))
	body, err := io.ReadAll(res.Body)
	require.NoError(n.w.t, err)
	var answer struct {
		Ticket    string
		ExpiresAt time.Time
	}
	require.NoError(n.w.t, json.Unmarshal(body, &answer))
	if res.StatusCode == http.StatusCreated {
		require.WithinDuration(n.w.t, time.Now().Add(30*time.Second), answer.ExpiresAt, 5*time.Second)
	}
	return answer.Ticket, res.StatusCode
}

func TestTicket_OpensAStreamOfItsOwner(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice := someone()
	ticket, status := n.ticket(w.token(alice))
	require.Equal(t, http.StatusCreated, status)
	stream := n.stream("", url.Values{"ticket": {ticket}}, "")
	socket := n.dial("", url.Values{"ticket": {ticket}})
	for _, c := range []*client{stream, socket} {
		c.untilType("notifier.subscribed")
	}
	w.publish(events.OrderCreated, uuid.NewString(), someone(), 1)
	w.publish(events.OrderCreated, uuid.NewString(), alice, 1)
	for _, c := range []*client{stream, socket} {
		c.untilEvents(1)
		for _, m := range c.seen() {
			require.True(t, m.own() || m.Customer == alice)
		}
	}
	// A ticket is no token, and nobody has one without a token.
	res := n.get(t.Context(), ticket, nil, "")
	defer res.Body.Close()
	require.Equal(t, 401, res.StatusCode)
	_, status = n.ticket(ticket)
	require.Equal(t, 401, status)
	_, status = n.ticket("")
	require.Equal(t, 401, status)
}

func TestAge_SendsClientsElsewhere(t *testing.T) {
	w := fake(t)
	n := w.start("MAX_CONNECTION_AGE=50ms")
	socket, stream := n.dial(w.token("alice"), nil), n.stream(w.token("alice"), nil, "")
	require.Equal(t, 1012, socket.ends())
	require.Contains(t, string(socket.untilType("notifier.draining").Data), "retryAfterMs")
	require.NotEmpty(t, socket.untilType("notifier.draining").Cursor)
	stream.ends()
	stream.untilType("notifier.draining")
	require.Regexp(t, `retry: \d+\n\n$`, stream.text)
}

func TestPing_ASilentClientIsNoticed(t *testing.T) {
	w := fake(t)
	n := w.start("PING_INTERVAL=20ms", "PONG_TIMEOUT=1s")
	deaf := n.open(w.token("deaf"), nil) // nobody reads, so nobody answers pings
	defer deaf.CloseNow()                //nolint:errcheck // it may have ended
	answering := n.dial(w.token("alice"), nil)
	answering.untilType("notifier.subscribed")
	require.Eventually(t, func() bool {
		return contains(n.metrics(), `notifier_connections_closed_total{code="1006",transport="websocket"} 1`)
	}, patience, 10*time.Millisecond)
	w.publish(events.OrderCreated, uuid.NewString(), "alice", 1)
	answering.untilEvents(1)
}

// A connection on which a stream has ended is as good as any other: the stream leaves no deadline behind.
func TestStream_LeavesItsConnectionAsItWas(t *testing.T) {
	w := fake(t)
	n := w.start("MAX_CONNECTION_AGE=20ms", "SLOW_CLIENT_TIMEOUT=50ms")
	kept := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer kept.CloseIdleConnections()
	reused := false
	for range 2 {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/v1/events", nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/event-stream")
		req.Header.Set("Authorization", "Bearer "+w.token("alice"))
		res, err := kept.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), "notifier.draining")
		res.Body.Close()
		<-time.After(100 * time.Millisecond) // any deadline would be over
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/openapi.yaml", nil)
		require.NoError(t, err)
		res, err = kept.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		res.Body.Close()
	}
	require.True(t, reused, "the test must use one connection")
}
