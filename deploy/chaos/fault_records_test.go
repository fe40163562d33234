package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/deploy/stack"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// broken is a system of which only the broker is there.
func broken(t *testing.T) *breaker {
	t.Helper()
	limit := "1048576"
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topicOrders, topicShipping),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": limit}))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	return &breaker{dir: t.TempDir(), sys: &system{
		stack:      &stack.Stack{Broker: &stack.Broker{Brokers: broker.ListenAddrs()}},
		ownRecords: map[coordinates]bool{}, ownOrders: map[string]bool{},
	}}
}

// A record of exactly the topic's limit is in the log and must be buried; one of a byte more is refused.
func TestPoison_AtTheLimitOfSize(t *testing.T) {
	b := broken(t)
	at := Injection{Variant: "at-limit", Target: []string{topicOrders, "3"}, N: 2}
	_, err := doPoison(t.Context(), b, at)
	require.NoError(t, err)
	require.Len(t, b.sys.poison, 2)
	require.Equal(t, grave{coordinates{topicOrders, 3, 0}, "order-events.inventory.dlq"}, b.sys.poison[0])

	_, err = doPoison(t.Context(), b, Injection{Variant: "over-limit", Target: []string{topicOrders, "3"}, N: 2})
	require.NoError(t, err)
	require.Empty(t, b.sys.found.found)
	require.Len(t, b.sys.ownRecords, 2)
}

// A broker that took more than the limit would be found.
func TestPoison_WantsWhatIsOverTheLimitRefused(t *testing.T) {
	b := broken(t)
	kafka, err := b.writer()
	require.NoError(t, err)
	defer kafka.Close()
	require.NoError(t, b.wantRefused(t.Context(), kafka, []*kgo.Record{{Topic: topicOrders, Value: []byte("small")}}))
	require.Len(t, b.sys.found.found, 1)
}

// What is said to be impossible can be read, and is about an order that nobody placed.
func TestPoison_ImpossibleNewsCanBeRead(t *testing.T) {
	for _, topic := range []string{topicOrders, topicShipping} {
		i := Injection{Variant: "impossible", Target: []string{topic, "0"}}
		r, err := poison(i, 0, "an-order", rand.New(rand.NewPCG(1, 1))) //nolint:gosec // it must be repeatable
		require.NoError(t, err)
		e, err := events.Decode(func(name string) string { return header(r, name) }, r.Key, r.Value)
		require.NoError(t, err)
		require.Equal(t, topic, e.Topic())
		require.NotEmpty(t, buriedBy(i))
	}
}

// The copy has the id and the sequence of the event, and says something else.
func TestOtherBody_KeepsTheIDAndChangesTheContent(t *testing.T) {
	b := broken(t)
	event := &events.Event{
		ID: "e-1", Type: events.OrderCreated, Subject: "o-1", Time: time.Unix(1, 0), Sequence: 1, Customer: "c",
		Data: &eventspb.Order{Id: "o-1", CustomerId: "c", Items: []*eventspb.OrderItem{{Sku: "mug", Quantity: 1}}},
	}
	headers, body, err := events.Encode(event)
	require.NoError(t, err)
	r := &kgo.Record{Topic: topicOrders, Partition: 3, Key: []byte("o-1"), Value: body}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
	}
	kafka, err := b.writer()
	require.NoError(t, err)
	defer kafka.Close()
	require.NoError(t, kafka.ProduceSync(t.Context(), r).FirstErr())

	i := Injection{Variant: "other-body", Target: []string{topicOrders, "3"}, N: 10}
	_, err = doDuplicates(t.Context(), b, i)
	require.NoError(t, err)
	require.Equal(t, map[coordinates]bool{{topicOrders, 3, 1}: true}, b.sys.ownRecords)
	_, err = doDuplicates(t.Context(), b, Injection{Variant: "replay", Target: i.Target, N: 10}) // copies the event only
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	kafka.AddConsumePartitions(map[string]map[int32]kgo.Offset{topicOrders: {3: kgo.NewOffset().AtStart()}})
	var quantities []int32
	for len(quantities) < 3 {
		for _, r := range kafka.PollFetches(ctx).Records() {
			e, err := events.Decode(func(name string) string { return header(r, name) }, r.Key, r.Value)
			require.NoError(t, err)
			require.Equal(t, "e-1", e.ID)
			quantities = append(quantities, e.Data.(*eventspb.Order).GetItems()[0].GetQuantity())
		}
	}
	require.Equal(t, []int32{1, 8, 1}, quantities)
}

// A group that has no member starts again at its first record; one that has is left alone, and that is said.
func TestCommitStart_WantsAnEmptyGroup(t *testing.T) {
	b := broken(t)
	kafka, err := b.writer()
	require.NoError(t, err)
	defer kafka.Close()
	require.NoError(t, commitStart(t.Context(), kafka, stack.Inventory))

	member, err := kgo.NewClient(kgo.SeedBrokers(b.sys.stack.Broker.Brokers...), kgo.ConsumerGroup(stack.Inventory), kgo.ConsumeTopics(topicOrders))
	require.NoError(t, err)
	defer member.Close()
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topicOrders, Key: []byte("k"), Value: []byte("v")}).FirstErr())
	require.NotEmpty(t, member.PollFetches(t.Context()).Records())
	require.ErrorIs(t, commitStart(t.Context(), kafka, stack.Inventory), kerr.UnknownMemberID)
}
