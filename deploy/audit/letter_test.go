package audit

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// A dead letter that was handed back excuses its order no more: its record was then handled, or is a newer dead letter.
func TestLetters_ExcuseAnOrderUntilTheyAreHandedBack(t *testing.T) {
	const id, ofInventory, ofOrderAPI = "o-1", "order-events.inventory.dlq", "order-events.order-api.dlq"
	const lost, hangs = "I1 the order never came to inventory: no reservation", "I8 it is pending and nobody is at work on it"
	home := topics.PartitionOf([]byte(id), 12)
	record := func(topic string, offset int, more ...string) *kgo.Record {
		r := &kgo.Record{Topic: topic, Partition: home, Key: []byte(id)}
		all := append([]string{"dlq-topic", events.TopicOrders, "dlq-partition", strconv.Itoa(int(home)), "dlq-offset", strconv.Itoa(offset)}, more...)
		for i := 0; i < len(all); i += 2 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: all[i], Value: []byte(all[i+1])})
		}
		return r
	}
	letter := func(topic string, offset int) *kgo.Record { return record(topic, offset) }
	mark := func(topic string, offset int, decision, settles string) *kgo.Record {
		return record(topic, offset, "dlq-decision", decision, "dlq-settles", settles)
	}
	for name, c := range map[string]struct {
		records []*kgo.Record
		says    []string
	}{
		"none":                     {nil, []string{lost, hangs}},
		"open":                     {[]*kgo.Record{letter(ofInventory, 0)}, nil},
		"discarded":                {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "discarded", "0")}, nil},
		"redriven":                 {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "0")}, []string{lost, hangs}},
		"failed again":             {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "0"), letter(ofInventory, 0)}, nil},
		"failed before the mark":   {[]*kgo.Record{letter(ofInventory, 0), letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "0")}, nil},
		"redriven again":           {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "0"), letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "2")}, []string{lost, hangs}},
		"a mark of nonsense":       {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "x")}, nil},
		"another of it is open":    {[]*kgo.Record{letter(ofInventory, 0), letter(ofInventory, 1), mark(ofInventory, 0, "redriven", "0")}, nil},
		"another's was redriven":   {[]*kgo.Record{letter(ofInventory, 0), letter(ofOrderAPI, 0), mark(ofOrderAPI, 0, "redriven", "0")}, nil},
		"another's is still open":  {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "0"), letter(ofOrderAPI, 0)}, []string{lost}},
		"redriven by two at once":  {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "redriven", "0"), mark(ofInventory, 0, "redriven", "0")}, []string{lost, hangs}},
		"discarded, then redriven": {[]*kgo.Record{letter(ofInventory, 0), mark(ofInventory, 0, "discarded", "0"), mark(ofInventory, 0, "redriven", "0")}, []string{lost, hangs}},
	} {
		t.Run(name, func(t *testing.T) {
			a := offline(t)
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(a.partitions, a.topics()...))
			require.NoError(t, err)
			t.Cleanup(cluster.Close)
			client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			require.NoError(t, err)
			t.Cleanup(client.Close)
			require.NoError(t, client.ProduceSync(t.Context(), c.records...).FirstErr())
			a.log, err = topics.Open(kafka.Config{Brokers: cluster.ListenAddrs()})
			require.NoError(t, err)
			t.Cleanup(a.log.Close)
			a.bounds, err = a.log.Bounds(t.Context(), a.topics()...)
			require.NoError(t, err)

			o := &orderDocument{Envelope: Envelope{ID: id}}
			o.Amounts = eventspb.OrderStatus_ORDER_STATUS_PENDING
			o.Facts.Status = o.Amounts
			require.NoError(t, a.kept.put(&entry{Order: o}))
			require.NoError(t, a.deadLetters(t.Context(), home))
			require.Equal(t, c.says, violated(t, a))
		})
	}
}
