package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	events "github.com/orderwire/orderwire/proto-events"
)

var contains = strings.Contains

// A drain: not ready, nobody new, each connection ends in its own moment with all that was queued, and goes on
// elsewhere without a hole.
func TestDrain_NobodyLosesAnything(t *testing.T) {
	w := fake(t)
	n, other := w.start("DRAIN_WINDOW=1s"), w.start()
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	var clients []*client
	for range 20 {
		clients = append(clients, n.dial(token, nil), n.stream(token, nil, ""))
	}
	for _, c := range clients {
		c.untilType("notifier.subscribed")
	}
	w.publish(events.OrderCreated, order, alice, 1)
	for _, c := range clients {
		c.untilEvents(1)
	}
	n.stop()
	require.Eventually(t, func() bool { return n.ready() == http.StatusServiceUnavailable }, patience, time.Millisecond)
	require.Eventually(t, func() bool { // a new client is told plainly, so that the gateway sends it elsewhere
		status, code := n.handshake(t, token, nil)
		return status == 503 && code == "draining"
	}, patience, time.Millisecond)
	_, res, err := websocket.Dial(t.Context(), strings.Replace(n.url, "http", "ws", 1)+"/v1/events",
		&websocket.DialOptions{Subprotocols: []string{"cloudevents.json", "bearer." + token}, HTTPClient: plain})
	require.Error(t, err, "also who could be told in band")
	res.Body.Close()
	require.Equal(t, 503, res.StatusCode)
	res = n.get(t.Context(), token, nil, "")
	defer res.Body.Close()
	require.Equal(t, 503, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))

	for i := 2; i < 30; i++ { // while they leave, one by one
		w.publish(events.OrderUpdated, order, alice, int64(i))
	}
	for i, c := range clients {
		if code := c.ends(); c.socket != nil {
			require.Equal(t, 1012, code)
		}
		all := c.seen()
		require.Equal(t, "notifier.draining", all[len(all)-1].Type, "it is the last word")
		rest := other.dial(token, url.Values{"after": {c.cursor()}})
		want := 29 - len(told(all))
		got := rest.until(fmt.Sprint("the rest of client ", i), func(all []message) bool { return len(told(all)) >= want })
		rest.close()
		require.Equal(t, wholeHistory(order), slices.Concat(told(all), told(got)), "exactly once, in order")
	}
	require.NoError(t, <-n.ended)
	n.ended <- nil
}

func wholeHistory(order string) []string {
	all := []string{"order-created " + order + " 0000000001"}
	for i := 2; i < 30; i++ {
		all = append(all, fmt.Sprintf("order-updated %s %010d", order, i))
	}
	return all
}

// Kafka is away: not ready, and the connections stay with heartbeats; it is away for long, and they end.
func TestKafkaAway_ConnectionsStayForAWhile(t *testing.T) {
	w := fake(t)
	n := w.start("HEARTBEAT_INTERVAL=50ms", "KAFKA_LOST_AFTER=7s")
	socket, stream := n.dial(w.token("alice"), nil), n.stream(w.token("alice"), nil, "")
	socket.untilType("notifier.subscribed")
	w.cluster.Close()
	require.Eventually(t, func() bool { return n.ready() == http.StatusServiceUnavailable }, patience, 10*time.Millisecond)
	beats := count(socket.seen(), "notifier.heartbeat")
	socket.until("more heartbeats", func(all []message) bool { return count(all, "notifier.heartbeat") > beats+1 })

	history := n.dial(w.token("alice"), url.Values{"after": {"earliest"}})
	require.Equal(t, 1013, history.ends(), "history cannot be read now")

	require.Equal(t, 4509, socket.ends())
	stream.ends()
	require.Equal(t, 1013, n.dial(w.token("alice"), nil).ends(), "a new one is refused")
}

// A session that is sent elsewhere in the middle of its replay, again and again, while events come: nothing is lost and
// nothing comes twice, whichever way it speaks.
func TestDrain_InTheMiddleOfAReplay(t *testing.T) {
	w := fake(t)
	age := 4 * time.Millisecond
	n := w.start("MAX_CONNECTION_AGE=" + age.String())
	alice := someone()
	token := w.token(alice)
	const orders, each = 10, 150
	var records []*kgo.Record
	for i := 1; i <= each; i++ {
		for o := range orders {
			records = append(records, record(t, events.OrderUpdated, fmt.Sprintf("order-%02d", o), alice, int64(i)))
		}
	}
	w.produce(records[:orders*each/2]...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, r := range records[orders*each/2:] {
			w.produce(r)
		}
	}()
	for name, open := range map[string]func(after string) *client{
		"WebSocket": func(after string) *client { return n.dial(token, url.Values{"after": {after}}) },
		"SSE":       func(after string) *client { return n.stream(token, url.Values{"after": {after}}, "") },
	} {
		var got []string
		after, connections, idle := "earliest", 0, 0
		for len(got) < orders*each {
			c := open(after)
			c.ends()
			connections++
			more := told(c.seen())
			got = append(got, more...)
			if at := c.cursor(); at != "" {
				after = at
			}
			if idle++; len(more) > 0 {
				idle = 0
			}
			if idle == 10 { // the machine is busy: connections live too short to get anywhere
				age, idle = 2*age, 0
				require.Less(t, age, patience, "%s: it gets nowhere: %d of %d", name, len(got), orders*each)
				n = w.start("MAX_CONNECTION_AGE=" + age.String())
			}
		}
		require.Greater(t, connections, 1, "the test must meet a replay that is cut off")
		last := map[string]int{}
		for _, line := range got {
			order, sequence := line[:len(line)-11], len0(line[len(line)-10:])
			require.Equal(t, last[order]+1, sequence, name)
			last[order] = sequence
		}
	}
	<-done
}
