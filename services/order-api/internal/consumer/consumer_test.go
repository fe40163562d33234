package consumer

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

func TestTable_HoldsWhatTheCatalogSaysWeRead(t *testing.T) {
	var catalog, here []events.Type
	for _, typ := range events.Types() {
		if events.ReadBy(Name, typ) {
			catalog = append(catalog, typ)
		}
	}
	for typ := range table {
		here = append(here, typ)
	}
	slices.Sort(here)
	require.Equal(t, catalog, here)
}

func TestWants_SkipsOwnAndUnreadTypesByTheirHeader(t *testing.T) {
	for typ, want := range map[events.Type]bool{
		events.StockReserved: true, events.ShipmentFailed: true, events.OrderCreated: false, events.OrderUpdated: false,
		events.ShipmentRequested: false, "invoice-sent": false, "": false,
	} {
		r := &consumer.Record{Headers: []*sarama.RecordHeader{{Key: []byte("ce_type"), Value: []byte(typ)}}}
		require.Equal(t, want, Wants(r), typ)
	}
}

// memory is orders without a database.
type memory struct {
	orders map[string]*order.Order
	seen   map[string]int64
	writes int
	err    error
}

func (m *memory) Fold(_ context.Context, news map[string][]order.News) map[string][]error {
	out := map[string][]error{}
	for id, all := range news {
		changed := false
		for _, n := range all {
			o, at := m.orders[id], id+string(n.Event.Source())
			switch {
			case m.err != nil:
				out[id] = append(out[id], m.err)
				continue
			case o == nil:
				out[id] = append(out[id], order.ErrNotFound)
				continue
			case n.Event.Sequence <= m.seen[at]:
				out[id] = append(out[id], nil)
				continue
			}
			is, err := n.Apply(o)
			out[id] = append(out[id], err)
			if err == nil {
				m.seen[at] = n.Event.Sequence
			}
			changed = changed || is
		}
		if changed {
			m.writes++
		}
	}
	return out
}

func record(t *testing.T, typ events.Type, id string, sequence int64, data events.Snapshot) *consumer.Record {
	t.Helper()
	e := &events.Event{
		ID: "e", Type: typ, Subject: id, Customer: data.GetCustomerId(), Sequence: sequence, Time: time.Now(), Data: data,
	}
	headers, value, err := events.Encode(e)
	require.NoError(t, err)
	r := &consumer.Record{Topic: e.Topic(), Key: []byte(id), Value: value}
	for _, h := range headers {
		r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
	}
	return r
}

func held(id string) *eventspb.Reservation {
	return &eventspb.Reservation{Id: id, CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD}
}

func parcel(id string, s eventspb.ShipmentStatus) *eventspb.Shipment {
	return &eventspb.Shipment{Id: id, OrderId: id, CustomerId: "alice", Status: s}
}

func known(ids ...string) *memory {
	m := &memory{orders: map[string]*order.Order{}, seen: map[string]int64{}}
	for _, id := range ids {
		m.orders[id] = &order.Order{ID: id, CustomerID: "alice"}
	}
	return m
}

func TestHandle_GivesEachRecordItsOwnOutcome(t *testing.T) {
	m := known("a", "b")
	unreadable := record(t, events.StockReserved, "a", 9, held("a"))
	unreadable.Value = []byte{0xff}
	wrongKey := record(t, events.StockReserved, "a", 9, held("a"))
	wrongKey.Key = []byte("b")
	foreign := &consumer.Record{Headers: []*sarama.RecordHeader{{Key: []byte("ce_type"), Value: []byte("invoice-sent")}}}
	batch := []*consumer.Record{
		record(t, events.ShipmentDispatched, "a", 3, parcel("a", eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED)),
		unreadable,
		record(t, events.StockReserved, "a", 1, held("a")),
		wrongKey,
		record(t, events.StockReserved, "stranger", 1, held("stranger")),
		foreign,
		record(t, events.StockReserved, "b", 1, held("b")),
		record(t, events.ShipmentScheduled, "a", 4, parcel("a", eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED)), // backwards
	}
	permanent := []bool{false, true, false, true, true, false, false, true}
	for range 2 { // every event is delivered twice
		for i, err := range New(m).Handle(t.Context(), batch) {
			require.Equal(t, permanent[i], consumer.IsPermanent(err), "record %d: %v", i, err)
			require.Equal(t, permanent[i], err != nil, "record %d: %v", i, err)
		}
	}
	require.Equal(t, eventspb.OrderStatus_ORDER_STATUS_SHIPPED, m.orders["a"].Status())
	require.Equal(t, eventspb.OrderStatus_ORDER_STATUS_CONFIRMED, m.orders["b"].Status())
	require.Equal(t, 2, m.writes, "one write per order, and none for a repeat")
}

func TestHandle_ADatabaseThatIsAwayIsTriedAgain(t *testing.T) {
	m := known("a")
	m.err = errors.New("the database is away")
	batch := []*consumer.Record{record(t, events.StockReserved, "a", 1, held("a"))}
	err := New(m).Handle(t.Context(), batch)[0]
	require.ErrorIs(t, err, m.err)
	require.False(t, consumer.IsPermanent(err))
	m.err = nil
	require.Equal(t, []error{nil}, New(m).Handle(t.Context(), batch))
}

func TestHandle_AnEmptyBatchAndOneOfStrangersNeedNoStore(t *testing.T) {
	require.Empty(t, New(nil).Handle(t.Context(), nil))
	foreign := &consumer.Record{Headers: []*sarama.RecordHeader{{Key: []byte("ce_type"), Value: []byte("invoice-sent")}}}
	require.Equal(t, []error{nil}, New(nil).Handle(t.Context(), []*consumer.Record{foreign}))
}

// FuzzHandle: whatever bytes come, a record has an outcome and nothing panics.
func FuzzHandle(f *testing.F) {
	f.Add("stock-reserved", []byte("a"), []byte{0x0a, 0x01, 'a'})
	f.Add("shipment-delivered", []byte(nil), []byte{0xff})
	f.Fuzz(func(t *testing.T, typ string, key, value []byte) {
		r := &consumer.Record{Key: key, Value: value}
		for name, v := range map[string]string{
			"ce_specversion": "1.0", "ce_id": "e", "ce_type": typ, "ce_subject": string(key), "ce_time": "2026-11-24T09:30:00Z",
			"ce_sequence": "0000000001", "ce_customerid": "alice", "content-type": "application/protobuf", "ce_source": "inventory",
		} {
			r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte(v)})
		}
		require.Len(t, New(known("a")).Handle(t.Context(), []*consumer.Record{r}), 1)
	})
}
