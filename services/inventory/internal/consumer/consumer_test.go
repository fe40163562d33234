package consumer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

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
	require.Len(t, topics, 2)
}

func TestHandle_SortsByOrderInTheOrderOfArrival(t *testing.T) {
	store := &keeper{}
	unknown := record(t, events.OrderCreated, "c", 1)
	unknown.Headers = []*sarama.RecordHeader{{Key: []byte("ce_type"), Value: []byte("invoice-sent")}}
	broken := record(t, events.OrderCreated, "d", 1)
	broken.Value = []byte{0xff}
	outcomes := New(store).Handle(t.Context(), []*consumer.Record{
		record(t, events.OrderCreated, "b", 1),
		record(t, events.OrderCreated, "a", 1),
		unknown,
		broken,
		record(t, events.ShipmentDispatched, "b", 4),
		record(t, events.OrderCancelRequested, "a", 2),
	})
	require.Len(t, store.got, 2)
	b, a := store.got[0], store.got[1]
	require.Equal(t, "b", b.OrderID)
	require.Len(t, b.News, 2)
	require.Equal(t, events.SourceOrderAPI, b.News[0].Source())
	require.Equal(t, events.SourceShipping, b.News[1].Source())
	require.EqualValues(t, 4, b.News[1].Sequence)
	require.Equal(t, "a", a.OrderID)
	require.EqualValues(t, 2, a.News[1].Sequence)

	for i, wrong := range []bool{false, false, false, true, false, false} {
		require.Equal(t, wrong, outcomes[i] != nil, i)
		require.Equal(t, wrong, consumer.IsPermanent(outcomes[i]), i)
	}
}

func TestHandle_GivesEachRecordItsOwnOutcome(t *testing.T) {
	away := errors.New("the database is away")
	store := &keeper{answer: func(d stock.Dossier) []error {
		if d.OrderID == "a" {
			return []error{nil, stock.ErrUnknownOrder}
		}
		return []error{away}
	}}
	outcomes := New(store).Handle(t.Context(), []*consumer.Record{
		record(t, events.OrderCreated, "a", 1),
		record(t, events.OrderCreated, "b", 1),
		record(t, events.ShipmentFailed, "a", 1),
	})
	require.NoError(t, outcomes[0])
	require.ErrorIs(t, outcomes[1], away)
	require.False(t, consumer.IsPermanent(outcomes[1]))
	require.True(t, consumer.IsPermanent(outcomes[2]))
}

// TestHandle_BelievesTheSnapshotAndNotTheType: of a batch only the newest snapshot counts, and it is an order-updated
// that says last that the customer wants out.
func TestHandle_BelievesTheSnapshotAndNotTheType(t *testing.T) {
	for typ := range table {
		if info, _ := events.Lookup(typ); info.Source != events.SourceOrderAPI {
			continue
		}
		store := &keeper{}
		e := &events.Event{
			ID: "e", Type: typ, Subject: "a", Time: time.Now(), Sequence: 3, Customer: "alice",
			Data: &eventspb.Order{Id: "a", CustomerId: "alice", Cancellation: &eventspb.Cancellation{}},
		}
		require.Equal(t, []error{nil}, New(store).Handle(t.Context(), []*consumer.Record{encoded(t, e)}))
		require.NotNil(t, store.got[0].News[0].Order.GetCancellation(), typ)
	}
}

// keeper is a store that keeps what it gets.
type keeper struct {
	got    []stock.Dossier
	answer func(stock.Dossier) []error
}

func (k *keeper) Apply(_ context.Context, batch []stock.Dossier) [][]error {
	k.got = batch
	var outcomes [][]error
	for _, d := range batch {
		if k.answer != nil {
			outcomes = append(outcomes, k.answer(d))
			continue
		}
		outcomes = append(outcomes, make([]error, len(d.News)))
	}
	return outcomes
}

func record(t *testing.T, typ events.Type, id string, sequence int64) *consumer.Record {
	t.Helper()
	e := &events.Event{ID: "e", Type: typ, Subject: id, Time: time.Now(), Sequence: sequence, Customer: "alice"}
	switch e.Source() {
	case events.SourceOrderAPI:
		e.Data = &eventspb.Order{Id: id, CustomerId: "alice"}
	case events.SourceInventory:
		e.Data = &eventspb.Reservation{Id: id, CustomerId: "alice"}
	case events.SourceShipping:
		e.Data = &eventspb.Shipment{Id: id, CustomerId: "alice"}
	}
	return encoded(t, e)
}

func encoded(t *testing.T, e *events.Event) *consumer.Record {
	t.Helper()
	headers, body, err := events.Encode(e)
	require.NoError(t, err)
	r := &consumer.Record{Topic: e.Topic(), Key: []byte(e.Subject), Value: body}
	for _, h := range headers {
		r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
	}
	return r
}
