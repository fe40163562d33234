package consumer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The table and the catalog must not drift apart.
func TestTable_IsWhatTheCatalogSays(t *testing.T) {
	for _, typ := range events.Types() {
		_, read := table[typ]
		require.Equal(t, events.ReadBy(Name, typ), read, typ)
		require.Equal(t, read, Wants(record(t, typ, "order", 1)), typ)
	}
	require.False(t, Wants(&consumer.Record{}))
}

// A service reads each source from exactly one topic: sequences count per topic.
func TestTable_ReadsEachSourceFromOneTopic(t *testing.T) {
	topics := map[events.Source]string{}
	for typ := range table {
		info, _ := events.Lookup(typ)
		if topic, ok := topics[info.Source]; ok {
			require.Equal(t, topic, info.Topic, typ)
		}
		topics[info.Source] = info.Topic
	}
	require.Equal(t, map[events.Source]string{events.SourceInventory: events.TopicShipping}, topics)
	require.Equal(t, []string{events.TopicShipping}, Topics())
}

func TestHandle_SortsByOrder(t *testing.T) {
	store := &keeper{}
	unknown := record(t, events.ShipmentRequested, "c", 1)
	unknown.Headers = []*sarama.RecordHeader{{Key: []byte("ce_type"), Value: []byte("invoice-sent")}}
	broken := record(t, events.ShipmentRequested, "d", 1)
	broken.Value = []byte{0xff}
	outcomes := New(store).Handle(t.Context(), []*consumer.Record{
		record(t, events.ShipmentRequested, "b", 1),
		record(t, events.ShipmentRequested, "a", 1),
		unknown,
		broken,
		record(t, events.ShipmentScheduled, "b", 1), // its own, should it ever get here
		record(t, events.ShipmentCancelRequested, "a", 2),
	})
	require.Len(t, store.got, 2)
	require.Len(t, store.got["b"], 1)
	require.Len(t, store.got["a"], 2)
	require.EqualValues(t, 2, store.got["a"][1].Sequence)
	require.Equal(t, trace, store.got["a"][1].TraceParent)
	require.Equal(t, "a", store.got["a"][1].Reservation.GetId())

	for i, wrong := range []bool{false, false, false, true, false, false} {
		require.Equal(t, wrong, outcomes[i] != nil, i)
		require.Equal(t, wrong, consumer.IsPermanent(outcomes[i]), i)
	}
}

func TestHandle_OfNothingToDoAsksNobody(t *testing.T) {
	store := &keeper{}
	require.Equal(t, []error{nil}, New(store).Handle(t.Context(), []*consumer.Record{record(t, events.ShipmentScheduled, "b", 1)}))
	require.Nil(t, store.got)
}

func TestHandle_GivesEachRecordItsOwnOutcome(t *testing.T) {
	away := errors.New("the database is away")
	store := &keeper{answer: func(id string) []error {
		if id == "a" {
			return []error{nil, shipment.ErrImpossible}
		}
		return []error{away}
	}}
	outcomes := New(store).Handle(t.Context(), []*consumer.Record{
		record(t, events.ShipmentRequested, "a", 1),
		record(t, events.ShipmentRequested, "b", 1),
		record(t, events.ShipmentCancelRequested, "a", 2),
	})
	require.NoError(t, outcomes[0])
	require.ErrorIs(t, outcomes[1], away)
	require.False(t, consumer.IsPermanent(outcomes[1]))
	require.True(t, consumer.IsPermanent(outcomes[2]))
}

// keeper is a store that keeps what it gets.
type keeper struct {
	got    map[string][]shipment.News
	answer func(id string) []error
}

func (k *keeper) Fold(_ context.Context, news map[string][]shipment.News) map[string][]error {
	k.got = news
	outcomes := map[string][]error{}
	for id, of := range news {
		outcomes[id] = make([]error, len(of))
		if k.answer != nil {
			outcomes[id] = k.answer(id)
		}
	}
	return outcomes
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func record(t *testing.T, typ events.Type, id string, sequence int64) *consumer.Record {
	t.Helper()
	e := &events.Event{
		ID: "e", Type: typ, Subject: id, Time: time.Now(), Sequence: sequence, Customer: "alice", TraceParent: trace,
	}
	switch e.Source() {
	case events.SourceOrderAPI:
		e.Data = &eventspb.Order{Id: id, CustomerId: "alice"}
	case events.SourceInventory:
		e.Data = &eventspb.Reservation{Id: id, CustomerId: "alice"}
	case events.SourceShipping:
		e.Data = &eventspb.Shipment{Id: id, CustomerId: "alice"}
	}
	headers, body, err := events.Encode(e)
	require.NoError(t, err)
	r := &consumer.Record{Topic: e.Topic(), Key: []byte(id), Value: body}
	for _, h := range headers {
		r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
	}
	return r
}
