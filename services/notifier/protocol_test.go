package main

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	events "github.com/orderwire/orderwire/proto-events"
)

// both opens a WebSocket and a stream with the same subscription.
func (n *notifier) both(token string, query url.Values) map[string]*client {
	return map[string]*client{"WebSocket": n.dial(token, query), "SSE": n.stream(token, query, "")}
}

func TestLive_EventsComeInOrderEachWithItsCursor(t *testing.T) {
	eachBroker(t, func(w *world) {
		n := w.start()
		alice, order := someone(), uuid.NewString()
		clients := n.both(w.token(alice), nil)
		for name, c := range clients {
			first := c.untilType("notifier.subscribed")
			require.JSONEq(t, `{"mode":"live","heartbeatIntervalMs":20000}`, string(first.Data), name)
			require.NotEmpty(t, first.Cursor, name)
		}
		w.publish(events.OrderCreated, order, alice, 1)
		w.publish(events.OrderUpdated, order, alice, 2)
		w.publish(events.ShipmentScheduled, order, alice, 1)
		for name, c := range clients {
			got := c.untilEvents(3)
			require.ElementsMatch(t, []string{"order-created " + order + " 0000000001", "order-updated " + order + " 0000000002", "shipment-scheduled " + order + " 0000000001"}, got, name)
			require.Less(t, slices.Index(got, "order-created "+order+" 0000000001"), slices.Index(got, "order-updated "+order+" 0000000002"), name)
			for _, m := range c.seen() {
				require.Equal(t, "1.0", m.SpecVersion)
				require.NotEmpty(t, m.ID)
				require.NotEmpty(t, m.Cursor)
				if m.Type == "shipment-scheduled" {
					require.Equal(t, events.TopicShipping, m.Topic)
					require.Contains(t, string(m.Data), `"customerId":"`+alice+`"`)
				}
			}
		}
	})
}

// history publishes a few events of an order and gives them.
func (w *world) history(order, customer string) []string {
	var all []string
	for i, typ := range []events.Type{events.OrderCreated, events.OrderUpdated, events.OrderUpdated, events.OrderUpdated} {
		w.publish(typ, order, customer, int64(i+1))
		all = append(all, fmt.Sprintf("%s %s %010d", typ, order, i+1))
	}
	return all
}

func TestResume_EveryWayGivesExactlyWhatWasMissed(t *testing.T) {
	eachBroker(t, func(w *world) {
		n := w.start()
		alice, order, other := someone(), uuid.NewString(), uuid.NewString()
		token := w.token(alice)
		before := time.Now().Add(-time.Second)
		watcher := n.dial(token, nil)
		watcher.untilType("notifier.subscribed")
		first := w.history(order, alice)
		watcher.untilEvents(len(first))
		cursor := watcher.cursor()
		watcher.close()
		witness := n.dial(token, nil)
		witness.untilType("notifier.subscribed")
		second := w.history(other, alice)
		witness.untilEvents(len(second)) // a client is caught up when it is where the notifier is
		all := slices.Concat(first, second)

		for name, c := range map[string]struct {
			client *client
			want   []string
		}{
			"after a cursor":                  {n.dial(token, url.Values{"after": {cursor}}), second},
			"SSE after a cursor":              {n.stream(token, url.Values{"after": {cursor}}, ""), second},
			"Last-Event-ID, which wins":       {n.stream(token, url.Values{"after": {"earliest"}}, cursor), second},
			"earliest":                        {n.dial(token, url.Values{"after": {"earliest"}}), all},
			"since a time":                    {n.dial(token, url.Values{"after": {before.UTC().Format(time.RFC3339Nano)}}), all},
			"earliest, of one order and type": {n.dial(token, url.Values{"after": {"earliest"}, "order": {order}, "type": {"order-created"}}), first[:1]},
		} {
			subscribed := c.client.untilType("notifier.subscribed")
			require.Contains(t, string(subscribed.Data), `"mode":"replay"`, name)
			c.client.untilType("notifier.caught-up")
			require.ElementsMatch(t, c.want, told(c.client.seen()), name)
		}
		// And from there on it is live.
		live := n.dial(token, url.Values{"after": {cursor}})
		live.untilType("notifier.caught-up")
		w.publish(events.OrderCancelRequested, order, alice, 5)
		require.Len(t, live.untilEvents(len(second)+1), len(second)+1)

		future := n.dial(token, url.Values{"after": {time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}})
		future.untilType("notifier.caught-up")
		require.Empty(t, told(future.seen()))

		current := n.dial(token, url.Values{"after": {live.cursor()}})
		current.untilType("notifier.subscribed")
	})
}

// A filtered client moves on with the stream: what it comes back with does not make it read everything again.
func TestHeartbeat_MovesTheCursorOfAClientThatGetsNothing(t *testing.T) {
	w := fake(t)
	n := w.start("HEARTBEAT_INTERVAL=30ms")
	quiet, busy := someone(), someone()
	socket, stream := n.dial(w.token(quiet), nil), n.stream(w.token(quiet), nil, "")
	began := socket.untilType("notifier.subscribed").Cursor
	stream.untilType("notifier.subscribed")
	witness := n.dial(w.token(busy), nil)
	witness.untilType("notifier.subscribed")
	w.history(uuid.NewString(), busy)
	witness.untilEvents(4)
	socket.until("a heartbeat further on", func(all []message) bool {
		last := all[len(all)-1]
		return last.Type == "notifier.heartbeat" && last.Cursor != began && last.Cursor == witness.cursor()
	})
	require.Eventually(t, func() bool {
		stream.mu.Lock()
		defer stream.mu.Unlock()
		return len(stream.ids) > 1 && stream.ids[len(stream.ids)-1] == socket.cursor()
	}, patience, 5*time.Millisecond)
	stream.mu.Lock()
	defer stream.mu.Unlock()
	require.NotContains(t, stream.text, "notifier.heartbeat", "a heartbeat fires nothing in a browser")
	require.Regexp(t, `(?m)^retry: \d+\n\nid: `, stream.text)
}

func TestStream_NamesEventsOnlyWhenAsked(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice := someone()
	named, plain := n.stream(w.token(alice), url.Values{"named": {"true"}}, ""), n.stream(w.token(alice), nil, "")
	for _, c := range []*client{named, plain} {
		c.untilType("notifier.subscribed")
	}
	w.publish(events.OrderCreated, uuid.NewString(), alice, 1)
	named.untilEvents(1)
	plain.untilEvents(1)
	named.close()
	plain.close()
	require.Contains(t, named.text, "event: order-created\ndata: {")
	require.NotContains(t, plain.text, "event:")
}

func TestRecords_ThatAreNoEventsAreSkipped(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice, order := someone(), uuid.NewString()
	c := n.dial(w.token(alice), nil)
	c.untilType("notifier.subscribed")
	garbage := record(t, events.OrderCreated, order, alice, 1)
	garbage.Value = []byte("garbage")
	misplaced := record(t, events.OrderCreated, order, alice, 1)
	misplaced.Topic = events.TopicShipping
	foreign := record(t, events.OrderCreated, order, alice, 1)
	for i := range foreign.Headers {
		if foreign.Headers[i].Key == events.HeaderType {
			foreign.Headers[i].Value = []byte("invoice-sent")
		}
	}
	w.produce(garbage, misplaced, foreign)
	w.publish(events.OrderUpdated, order, alice, 2)
	require.Equal(t, []string{"order-updated " + order + " 0000000002"}, c.untilEvents(1))
	replayed := n.dial(w.token(alice), url.Values{"after": {"earliest"}})
	replayed.untilType("notifier.caught-up")
	require.Equal(t, []string{"order-updated " + order + " 0000000002"}, told(replayed.seen()))
	require.Contains(t, n.metrics(), `notifier_records_total{kind="malformed"} 2`)
	require.Contains(t, n.metrics(), `notifier_records_total{kind="unknown"} 1`)
}

// Other services may publish in transactions: what is aborted is never seen, and the markers that nobody sees, at the end
// of the log as well, hold up no replay.
func TestTransactions_OnlyWhatIsCommittedIsSeen(t *testing.T) {
	eachBroker(t, func(w *world) {
		n := w.start()
		alice, order := someone(), uuid.NewString()
		c := n.dial(w.token(alice), nil)
		beginning := c.untilType("notifier.subscribed").Cursor
		producer, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.TransactionalID(uuid.NewString()))
		require.NoError(t, err)
		defer producer.Close()
		for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
			require.NoError(t, producer.BeginTransaction())
			require.NoError(t, producer.ProduceSync(t.Context(), record(t, events.OrderUpdated, order, alice, int64(i+1))).FirstErr())
			require.NoError(t, producer.EndTransaction(t.Context(), commit))
		}
		want := []string{"order-updated " + order + " 0000000001", "order-updated " + order + " 0000000003"}
		require.Equal(t, want, c.untilEvents(2))
		late := n.dial(w.token(alice), url.Values{"after": {beginning}})
		late.untilType("notifier.caught-up")
		require.Equal(t, want, told(late.seen()))

		// The position of an instance that has just begun lies behind the last marker.
		fresh := w.start().dial(w.token(alice), url.Values{"after": {beginning}})
		fresh.untilType("notifier.caught-up")
		require.Equal(t, want, told(fresh.seen()))
		w.publish(events.OrderUpdated, order, alice, 5)
		require.Len(t, fresh.untilEvents(3), 3)
	})
}
