package e2e

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// deadLetters writes garbage to both topics and finds it in the dead-letter topic of each reader, with its coordinates.
func deadLetters(t *testing.T, s *system) {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.Broker.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)

	key := uuid.NewString()
	cloudEvent := func(typ, source string) []kgo.RecordHeader {
		return []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(uuid.NewString())},
			{Key: "ce_type", Value: []byte(typ)},
			{Key: "ce_source", Value: []byte(source)},
			{Key: "ce_subject", Value: []byte(key)},
			{Key: "ce_time", Value: []byte(time.Now().UTC().Format(time.RFC3339))},
			{Key: "ce_sequence", Value: []byte("0000000001")},
			{Key: "ce_customerid", Value: []byte("mallory")},
			{Key: "content-type", Value: []byte("application/protobuf")},
		}
	}
	garbage := map[string]*kgo.Record{ // by the dead-letter topic that it must reach
		"order-events.inventory.dlq":    {Topic: "order-events", Headers: cloudEvent("order-created", "order-api")},
		"order-events.order-api.dlq":    {Topic: "order-events", Headers: cloudEvent("stock-reserved", "inventory")},
		"shipping-events.shipping.dlq":  {Topic: "shipping-events", Headers: cloudEvent("shipment-requested", "inventory")},
		"shipping-events.order-api.dlq": {Topic: "shipping-events", Headers: cloudEvent("shipment-delivered", "shipping")},
		"shipping-events.inventory.dlq": {Topic: "shipping-events", Headers: cloudEvent("shipment-failed", "shipping")},
	}
	ignored := []*kgo.Record{ // an unknown type, no headers at all, an empty record: somebody else's business
		{Topic: "order-events", Headers: cloudEvent("invoice-created", "billing")},
		{Topic: "shipping-events"},
		{Topic: "order-events", Key: []byte{}, Value: []byte{}},
	}
	written := map[string]*kgo.Record{}
	for dlq, r := range garbage {
		r.Key, r.Value, r.Partition = []byte(key), []byte{0xff, 0x00, 0xff}, 3
		written[dlq], err = kafka.ProduceSync(t.Context(), r).First()
		require.NoError(t, err)
	}
	for _, r := range ignored {
		r.Partition = 3
		_, err = kafka.ProduceSync(t.Context(), r).First()
		require.NoError(t, err)
	}

	for dlq, source := range written {
		letter := s.readDeadLetter(t, dlq, source)
		require.Equal(t, source.Partition, letter.Partition, "the same partition number")
		require.Equal(t, source.Key, letter.Key)
		require.Equal(t, source.Value, letter.Value, "the original bytes")
		require.NotEmpty(t, headerOf(letter, "dlq-error"))
		for _, h := range source.Headers {
			require.Equal(t, string(h.Value), headerOf(letter, h.Key), "the original headers")
		}
	}

	// The next events are handled, on that partition as on all others.
	sku := s.product(t, 1000)
	alice := s.customer(t)
	for range 40 { // with 12 partitions, all of them
		o := alice.place(item{sku, 1})
		alice.await(o.ID, "confirmed")
	}
}

// readDeadLetter reads the topic until the dead letter of this very record comes.
func (s *system) readDeadLetter(t *testing.T, topic string, source *kgo.Record) *kgo.Record {
	t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.Broker.Brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		fetches := reader.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "%s never got the dead letter of %s", topic, fmt.Sprint(source.Topic, source.Partition, source.Offset))
		for _, r := range fetches.Records() {
			if headerOf(r, "dlq-topic") == source.Topic && headerOf(r, "dlq-partition") == strconv.Itoa(int(source.Partition)) &&
				headerOf(r, "dlq-offset") == strconv.FormatInt(source.Offset, 10) {
				return r
			}
		}
	}
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
