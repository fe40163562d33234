package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
)

func TestExplain_SaysWhatAnOrderWaitsForAndSinceWhen(t *testing.T) {
	b, d := newBroker(t), database(t)
	all := documents.Services()
	for n, c := range []struct {
		name  string
		spoil func(id string, s *stored, log []*kgo.Record) (written, letters []*kgo.Record, behind map[string][]*kgo.Record)
		says  string
		since time.Time
		ended bool
		// decision on the dead letter
		decision dlq.State
	}{
		{"the carrier", func(_ string, _ *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			return log, nil, nil
		}, "the carrier to collect", noon, false, ""},
		{"nothing", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.order["status"], s.order["waiting"] = "delivered", nil
			return log, nil, nil
		}, "It waits for nothing: it is delivered.", noon, true, ""},
		{"a relay", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment["outbox"] = bson.A{bson.M{
				"id": "x", "topic": events.TopicShipping, "sequence": 1, "at": noon.Add(time.Hour),
				"headers": bson.A{bson.M{"key": events.HeaderType, "value": "shipment-scheduled"}},
			}}
			return log[:3], nil, nil
		}, "the relay of shipping to publish shipment-scheduled 1", noon.Add(time.Hour), false, ""},
		{"a reader", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment = nil
			s.order["shipment"], s.order["seen"] = nil, bson.M{"inventory": 1}
			return log[:3], nil, map[string][]*kgo.Record{documents.Shipping: log[2:3]}
		}, "shipping to take in shipment-requested 1", noon.Add(15 * time.Millisecond), false, ""},
		{"a decision", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment = nil
			s.order["shipment"], s.order["seen"] = nil, bson.M{"inventory": 1}
			return log[:3], log[2:3], nil
		}, "the dead letter shipping:shipping-events/", noon.Add(time.Second), false, ""},
		{"a decision on what cannot be redriven", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment = nil
			s.order["shipment"], s.order["seen"] = nil, bson.M{"inventory": 1}
			log[2].Headers = append(log[2].Headers, kgo.RecordHeader{Key: consumer.HeaderLeftOut, Value: []byte("2097152")})
			return log[:3], log[2:3], nil
		}, "then orderctl dlq discard shipping:shipping-events/", noon.Add(time.Second), false, ""},
		{"what was redriven", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment = nil
			s.order["shipment"], s.order["seen"] = nil, bson.M{"inventory": 1}
			return log[:3], log[2:3], nil
		}, "shipping to take in shipment-requested 1, which was redriven", noon.Add(time.Minute), false, dlq.Redriven},
		{"what was discarded", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment = nil
			s.order["shipment"], s.order["seen"] = nil, bson.M{"inventory": 1}
			return log[:3], log[2:3], nil
		}, "It has lost shipment-requested 1, which was discarded", noon.Add(time.Minute), false, dlq.Discarded},
		{"what was lost", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.shipment = nil
			s.order["shipment"], s.order["seen"] = nil, bson.M{"inventory": 1}
			return log[:3], nil, nil
		}, "shipping has gone past shipment-requested 1", noon.Add(15 * time.Millisecond), false, ""},
		{"an order that is not there", func(_ string, s *stored, log []*kgo.Record) ([]*kgo.Record, []*kgo.Record, map[string][]*kgo.Record) {
			s.order = nil
			return log[:1], nil, nil
		}, "order-api does not have this order", noon.Add(5 * time.Millisecond), false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := fmt.Sprintf("o-%d", n)
			docs := confirmed(id)
			written, dead, behind := c.spoil(id, &docs, said(t, id))
			b.write(written...)
			for _, r := range dead {
				l := b.write(letter(r, documents.Shipping))[0]
				if c.decision != "" {
					b.write(mark(l, c.decision))
				}
			}
			for _, service := range all {
				b.commit(service, behind[service]...)
			}
			store(t, d, docs)
			s, err := Explain(t.Context(), b.log, d, id)
			require.NoError(t, err)
			require.Contains(t, s.Waits.For, c.says)
			require.WithinDuration(t, c.since, s.Waits.Since, 0)
			require.Equal(t, c.ended, s.Waits.Ended)
		})
	}
}

func TestExplain_TellsAllThereIs(t *testing.T) {
	b, d := newBroker(t), database(t)
	log := said(t, "o-1")
	unreadable := *log[0]
	unreadable.Value, unreadable.Timestamp = []byte{0xff}, noon.Add(time.Minute)
	repeat := *log[1]
	repeat.Timestamp = noon.Add(30 * time.Second)
	b.write(append(log, &repeat, &unreadable)...)
	b.write(record(t, events.OrderCreated, "o-2", 1, noon, orderSays("o-2")))
	b.commit(documents.OrderAPI)
	store(t, d, confirmed("o-1"))

	s, err := Explain(t.Context(), b.log, d, "o-1")
	require.NoError(t, err)
	require.Len(t, s.Documents, 3)
	require.Equal(t, []string{"0af7651916cd43dd8448eb211c80319c"}, s.Traces)
	require.Len(t, s.Events, 6)
	first := s.Events[0]
	require.Equal(t, "order-created", first.Type)
	require.EqualValues(t, 1, first.Sequence)
	require.InDelta(t, 0.005, first.Delay, 1e-9)
	require.Equal(t, map[string]string{"inventory": taken}, first.Readers, "by its document, whatever is committed")
	require.True(t, s.Events[4].Repeat)
	require.NotEmpty(t, s.Events[5].Unreadable)
	require.Equal(t, waiting, s.Events[5].Readers["inventory"], "inventory has committed nothing")

	for _, unknown := range []string{"nobody", "00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"} {
		_, err = Explain(t.Context(), b.log, d, unknown)
		var missing *NotFoundError
		require.ErrorAs(t, err, &missing, "the time in an id may be any")
	}
}

func TestPlacedAt_IsInTheID(t *testing.T) {
	require.Equal(t, noon.Add(-slack), placedAt(idAt(noon)).UTC())
	require.True(t, placedAt("o-1").IsZero())
}
