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
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, append(graveyards, topicOrders, topicShipping)...),
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

// A consumer may bury what the harness made up, and nothing else; and what it cannot handle it must bury.
func TestCheckLetters_OfWhatTheHarnessMadeUpAndOfNothingElse(t *testing.T) {
	b := broken(t)
	kafka, err := b.writer()
	require.NoError(t, err)
	defer kafka.Close()
	const graveyard = "order-events.inventory.dlq"
	write := func(topic string, headers ...string) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Partition: 3}
		for n := 0; n < len(headers); n += 2 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[n], Value: []byte(headers[n+1])})
		}
		require.NoError(t, kafka.ProduceSync(t.Context(), r).FirstErr())
	}
	bury := func(offset string, more ...string) {
		t.Helper()
		write(graveyard, append([]string{"dlq-topic", topicOrders, "dlq-partition", "3", "dlq-offset", offset}, more...)...)
	}
	told := func() []string {
		t.Helper()
		var v verdict
		require.NoError(t, b.sys.checkLetters(t.Context(), &v))
		var all []string
		for _, f := range v.found {
			require.Equal(t, "I9", f.Invariant)
			require.NotNil(t, f.record)
			all = append(all, f.Detail)
		}
		return all
	}
	write(topicOrders, "ce_type", "order-created") // 0, an event of the services
	_, err = doPoison(t.Context(), b, Injection{Variant: "undecodable", Target: []string{topicOrders, "3"}, N: 1})
	require.NoError(t, err)
	_, err = doPoison(t.Context(), b, Injection{Variant: "no-headers", Target: []string{topicOrders, "3"}, N: 1})
	require.NoError(t, err)
	write(topicOrders, ownHeader, "undecodable") // 3, of which the harness never learned that it was taken

	const unburied = "order-events/3@1 cannot be handled, and " + graveyard + " has no dead letter of it"
	require.Equal(t, []string{unburied}, told())
	bury("1", "dlq-decision", "redriven") // is no letter
	require.Equal(t, []string{unburied}, told())
	bury("1")
	bury("1", ownHeader, "undecodable") // it was handed back, and is as bad as before
	bury("2")                           // as a service may that does not look who it is for
	bury("3", ownHeader, "undecodable")
	bury("3", "dlq-decision", "redriven")
	require.Empty(t, told())

	bury("0")
	require.Equal(t, []string{"order-events/3@0 is an event of the services, and " + graveyard + " has a dead letter of it"}, told())
	write(graveyard) // of nobody knows what
	require.Len(t, told(), 2)
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
