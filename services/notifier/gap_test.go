package main

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// partitionOf gives the partition that holds an order's events; every event of w goes to one order.
func (w *world) partitionOf(topic string) (partition int32, end int64) {
	w.t.Helper()
	for _, p := range w.cluster.PartitionInfos(topic) {
		if p.HighWatermark > end {
			partition, end = p.Partition, p.HighWatermark
		}
	}
	require.Positive(w.t, end)
	return partition, end
}

func TestGap_WhatRetentionHasDeletedIsTold(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	c := n.dial(token, nil)
	beginning := c.untilType("notifier.subscribed").Cursor
	w.history(order, alice)
	c.untilEvents(4)
	partition, _ := w.partitionOf(events.TopicOrders)
	require.NoError(t, w.cluster.DeleteRecords(events.TopicOrders, partition, 3))

	for name, late := range map[string]*client{
		"WebSocket": n.dial(token, url.Values{"after": {beginning}}), "SSE": n.stream(token, nil, beginning),
	} {
		gap := late.untilType("notifier.gap")
		require.JSONEq(t, fmt.Sprintf(`{"reason":"retention","partitions":[{"topic":"order-events","partition":%d,"from":0,"to":3}]}`, partition),
			string(gap.Data), name)
		late.untilType("notifier.caught-up")
		require.Equal(t, []string{"order-updated " + order + " 0000000004"}, told(late.seen()), name)
		require.NotEmpty(t, gap.Cursor, "who comes back behind the gap is not told again")
		again := n.dial(token, url.Values{"after": {gap.Cursor}})
		again.untilType("notifier.caught-up")
		require.Zero(t, count(again.seen(), "notifier.gap"), name)
	}
	// What is asked for by earliest or by time is what there is: no gap.
	earliest := n.dial(token, url.Values{"after": {"earliest"}})
	earliest.untilType("notifier.caught-up")
	require.Zero(t, count(earliest.seen(), "notifier.gap"))

	strict := url.Values{"after": {beginning}, "strict": {"true"}}
	require.Equal(t, 4410, n.dial(token, strict).ends())
	res := n.get(t.Context(), token, strict, "")
	defer res.Body.Close()
	require.Equal(t, 410, res.StatusCode)
}

// A cursor may be ahead of an instance, but not of the log: then the log was cut at its end.
func TestGap_ALogThatWasCutIsTold(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	c := n.dial(token, nil)
	c.untilType("notifier.subscribed")
	w.history(order, alice)
	c.untilEvents(4)
	partition, end := w.partitionOf(events.TopicOrders)
	beyond, err := cursor.Parse(c.cursor())
	require.NoError(t, err)
	beyond.Next[0][partition] = end + 10

	late := n.dial(token, url.Values{"after": {beyond.String()}})
	gap := late.untilType("notifier.gap")
	require.JSONEq(t, fmt.Sprintf(`{"reason":"truncated","partitions":[{"topic":"order-events","partition":%d,"from":%d,"to":%d}]}`,
		partition, end+10, end), string(gap.Data))
	late.untilType("notifier.caught-up")
	w.publish(events.OrderUpdated, order, alice, 5)
	late.untilEvents(1)
}

// A cursor of partitions that are not there was made up: nobody waits for them.
func TestCursor_OfPartitionsThatAreNotThereIsRefused(t *testing.T) {
	w := fake(t)
	n := w.start()
	token := w.token(someone())
	made, err := cursor.Parse(n.dial(token, nil).untilType("notifier.subscribed").Cursor)
	require.NoError(t, err)
	for _, topic := range []int{0, 1} {
		up := cursor.Cursor{Lineage: made.Lineage, Next: made.Next.Clone()}
		up.Next[topic] = append(up.Next[topic], make([]int64, 4096-len(up.Next[topic]))...)
		query := url.Values{"after": {up.String()}}
		require.Equal(t, 4400, n.dial(token, query).ends())
		res := n.get(t.Context(), token, query, "")
		defer res.Body.Close()
		require.Equal(t, 400, res.StatusCode)
	}
}

// A topic that was deleted and made again: who is connected hears of it, and so does who comes with an older cursor.
// Nothing of the new log is missed.
func TestGap_ATopicThatWasMadeAgainIsTold(t *testing.T) {
	w := fake(t)
	n := w.start("KAFKA_METADATA_REFRESH=50ms")
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	live, strict := n.dial(token, nil), n.dial(token, url.Values{"strict": {"true"}})
	strict.untilType("notifier.subscribed")
	live.untilType("notifier.subscribed")
	w.history(order, alice)
	live.untilEvents(4)
	old := live.cursor()

	require.NoError(t, w.cluster.DeleteTopic(events.TopicOrders))
	require.NoError(t, w.cluster.CreateTopic(events.TopicOrders, 3, nil))
	fresh := uuid.NewString()
	w.kafka.PurgeTopicsFromProducing(events.TopicOrders)
	w.publish(events.OrderCreated, fresh, alice, 1)

	gap := live.untilType("notifier.gap")
	require.Contains(t, string(gap.Data), `"reason":"recreated"`)
	require.NotContains(t, string(gap.Data), "shipping-events", "the other topic is what it was")
	require.Contains(t, live.untilEvents(5), "order-created "+fresh+" 0000000001")
	require.Equal(t, 4410, strict.ends())

	late := n.dial(token, url.Values{"after": {old}})
	require.Contains(t, string(late.untilType("notifier.gap").Data), `"reason":"recreated"`)
	late.untilType("notifier.caught-up")
	require.Equal(t, []string{"order-created " + fresh + " 0000000001"}, told(late.seen()))
}

// New partitions are noticed, and read from their start, also for a cursor that does not know them.
func TestPartitions_NewOnesAreReadFromTheirStart(t *testing.T) {
	w := fake(t)
	n := w.start("KAFKA_METADATA_REFRESH=50ms")
	alice := someone()
	token := w.token(alice)
	c := n.dial(token, nil)
	old := c.untilType("notifier.subscribed").Cursor
	w.addPartitions(events.TopicOrders, 6)
	var want []string
	for i := range 30 { // enough to meet each of them
		order := fmt.Sprintf("order-%02d", i)
		w.publish(events.OrderCreated, order, alice, 1)
		want = append(want, "order-created "+order+" 0000000001")
	}
	require.ElementsMatch(t, want, c.untilEvents(30))
	late := n.dial(token, url.Values{"after": {old}})
	late.untilType("notifier.caught-up")
	require.ElementsMatch(t, want, told(late.seen()))
	require.Zero(t, count(late.seen(), "notifier.gap"))
}

// Two instances: a client goes from one to the other and back, and has everything once.
func TestInstances_AClientHopsBetweenThem(t *testing.T) {
	w := fake(t)
	instances := []*notifier{w.start(), w.start()}
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	c := instances[0].dial(token, nil)
	after := c.untilType("notifier.subscribed").Cursor
	c.close()
	var got, want []string
	for i := 1; i <= 20; i++ {
		w.publish(events.OrderUpdated, order, alice, int64(i))
		want = append(want, fmt.Sprintf("order-updated %s %010d", order, i))
		c := instances[i%2].dial(token, url.Values{"after": {after}})
		got = append(got, c.untilEvents(1)...)
		after = c.cursor()
		c.close()
	}
	require.Equal(t, want, got)
}

// The cursor of a client says how far it is, whatever becomes of the connection: cut anywhere, it goes on exactly there.
func TestReconnect_AtAnyPointUnderLoad(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice := someone()
	token := w.token(alice)
	c := n.dial(token, nil)
	after := c.untilType("notifier.subscribed").Cursor
	c.close()
	const orders, each = 20, 25
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; i <= each; i++ {
			for o := range orders {
				w.publish(events.OrderUpdated, fmt.Sprintf("order-%02d", o), alice, int64(i))
			}
		}
	}()
	var got []string
	deadline := time.Now().Add(patience)
	for len(got) < orders*each && time.Now().Before(deadline) {
		c := n.dial(token, url.Values{"after": {after}})
		c.until("a message", func(all []message) bool { return len(all) > 2 || len(all) > 0 && c.cursor() != after })
		_ = c.socket.CloseNow() // in the middle of whatever it is
		<-c.done
		for _, m := range c.seen() {
			if !m.own() {
				got = append(got, m.String())
			}
		}
		after = c.cursor()
	}
	<-done
	last := map[string]string{}
	for _, line := range got {
		order, sequence := line[:len(line)-11], line[len(line)-10:]
		require.Equal(t, fmt.Sprintf("%010d", len0(last[order])+1), sequence, "exactly once, in order")
		last[order] = sequence
	}
	require.Len(t, last, orders)
	require.Len(t, got, orders*each)
}

func len0(sequence string) int {
	var n int
	_, _ = fmt.Sscanf(sequence, "%d", &n) // "" is 0
	return n
}
