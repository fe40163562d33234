package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nowhere is a broker that never answers: what is in an outbox stays there.
type nowhere struct{}

func (nowhere) Publish(*kafka.Message, func(error)) {}

func open(tb testing.TB) *Store {
	tb.Helper()
	db := testbackend.Mongo(tb)
	relay := outbox.NewRelay(Orders(db), nowhere{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	s := New(db, relay)
	require.NoError(tb, s.EnsureIndexes(tb.Context()))
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() { cancel(); running.Wait() })
	_, err := s.PutProduct(tb.Context(), order.Product{SKU: "mug", Name: "Mug", UnitPrice: order.Money{Amount: 5, Currency: "EUR"}})
	require.NoError(tb, err)
	return s
}

func placement(customer, key string) Placement {
	return Placement{
		Key: key, Hash: []byte("hash"),
		Draft: order.Draft{
			CustomerID: customer, Items: []order.DraftItem{{SKU: "mug", Quantity: 1}},
			ShippingAddress: order.Address{Name: "A", Street: "B", City: "C", PostalCode: "D", Country: "DE"},
		},
	}
}

func place(t *testing.T, s *Store, customer, key string) *order.Order {
	t.Helper()
	placed, err := s.Place(t.Context(), placement(customer, key))
	require.NoError(t, err)
	return placed.Order
}

func TestStore_EveryQueryHasAnIndex(t *testing.T) {
	s := open(t)
	for i := range 30 {
		place(t, s, fmt.Sprintf("c-%d", i%10), fmt.Sprintf("k-%d", i))
	}
	last := place(t, s, "c-1", "").ID
	pending := eventspb.OrderStatus_ORDER_STATUS_PENDING
	sorted := bson.E{Key: "sort", Value: newestFirst}
	for name, find := range map[string]bson.D{
		"all":                 {{Key: "filter", Value: Filter{}.query()}, sorted},
		"the next page":       {{Key: "filter", Value: Filter{Before: last}.query()}, sorted},
		"a customer's":        {{Key: "filter", Value: Filter{Customer: "c-1", Before: last}.query()}, sorted},
		"by status":           {{Key: "filter", Value: Filter{Status: pending, Before: last}.query()}, sorted},
		"by both":             {{Key: "filter", Value: Filter{Customer: "c-1", Status: pending}.query()}, sorted},
		"by key":              {{Key: "filter", Value: byKeyFilter(map[string]bson.A{"c-1": {"k-1", "k-11"}})}},
		"by several's keys":   {{Key: "filter", Value: byKeyFilter(map[string]bson.A{"c-1": {"k-1"}, "c-2": {"k-2"}})}},
		"(control) by a note": {{Key: "filter", Value: bson.D{{Key: "note", Value: "x"}}}},
	} {
		plan := testbackend.Explain(t, s.list, find)
		if name == "(control) by a note" {
			require.Contains(t, plan, "COLLSCAN", "the test sees a scan where there is one")
			continue
		}
		require.NotContains(t, plan, "COLLSCAN", name)
		require.NotContains(t, plan, `"SORT"`, name)
	}
}

func TestPlace_AnotherInstancesTwinIsFound(t *testing.T) {
	a := open(t)
	b := New(a.list.Database(), outbox.NewRelay(a.list, nowhere{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer all.Wait()
	defer cancel()

	const pairs = 64
	got := make([][2]Placed, pairs)
	errs := make([][2]error, pairs)
	var calls sync.WaitGroup
	for i := range pairs {
		for j, s := range []*Store{a, b} {
			calls.Go(func() { got[i][j], errs[i][j] = s.Place(ctx, placement("alice", fmt.Sprintf("k-%d", i))) })
		}
	}
	calls.Wait()
	for i := range pairs {
		require.NoError(t, errs[i][0])
		require.NoError(t, errs[i][1])
		require.Equal(t, got[i][0].Order.ID, got[i][1].Order.ID)
		require.NotEqual(t, got[i][0].Replayed, got[i][1].Replayed, "one placed it, the other was told")
	}
}

func TestEdit_TwoAtOnceAreBothKept(t *testing.T) {
	s := open(t)
	id := place(t, s, "alice", "").ID
	const n = 20
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			note := order.Field[string]{Present: true, Value: fmt.Sprint(i)}
			_, errs[i] = s.Edit(t.Context(), id, func(*order.Order) error { return nil }, order.Patch{Note: note}, "")
		})
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	d, err := s.orders.Get(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, n+1, d.Version)
	require.Len(t, d.Order.History, n+1)
	require.Len(t, d.Outbox, n+1, "every change has its event")
	for i, e := range d.Outbox {
		require.EqualValues(t, i+1, e.Sequence)
	}
}

func TestFold_IsOneWritePerOrderHoweverMuchIsNew(t *testing.T) {
	s := open(t)
	news := map[string][]order.News{}
	for range 50 {
		id := place(t, s, "alice", "").ID
		for i, e := range []*events.Event{
			{Type: events.StockReserved, Data: &eventspb.Reservation{
				Id: id, CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
			}},
			{Type: events.ShipmentDispatched, Data: &eventspb.Shipment{
				Id: id, CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
			}},
		} {
			e.ID, e.Subject, e.Customer, e.Sequence, e.Time = fmt.Sprint(id, i), id, "alice", int64(i+1), time.Now()
			news[id] = append(news[id], taken([]*events.Event{e})...)
		}
	}
	news["nobody"] = taken([]*events.Event{{
		Type: events.StockReserved, Subject: "nobody", Sequence: 1,
		Data: &eventspb.Reservation{Id: "nobody", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD},
	}})
	for range 2 { // everything is delivered twice
		for id, outcomes := range s.Fold(t.Context(), news) {
			if id == "nobody" {
				require.ErrorIs(t, outcomes[0], order.ErrNotFound)
				continue
			}
			require.Equal(t, []error{nil, nil}, outcomes)
			o, err := s.Get(t.Context(), id)
			require.NoError(t, err)
			require.EqualValues(t, 2, o.Version, "both in one write, and the second time none")
			require.Len(t, o.History, 3)
			require.Equal(t, eventspb.OrderStatus_ORDER_STATUS_SHIPPED, o.Status())
		}
	}
}

// TestDocument_SurvivesItsWayThroughTheDatabase pins that a fact read back equals the fact that was stored, so that
// news which says nothing new is seen to say nothing new.
func TestDocument_SurvivesItsWayThroughTheDatabase(t *testing.T) {
	s := open(t)
	id := place(t, s, "alice", "").ID
	shipment := &eventspb.Shipment{
		Id: id, CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED, Carrier: "DHL",
		Cost: &eventspb.Money{Amount: 4, Currency: "EUR"}, EstimatedDelivery: timestamppb.Now(),
		Address: &eventspb.Address{Name: "A"},
	}
	for sequence := range int64(3) {
		e := &events.Event{
			Type: events.ShipmentScheduled, Subject: id, Customer: "alice", Sequence: sequence + 1, Time: time.Now(), Data: shipment,
		}
		require.Equal(t, []error{nil}, s.Fold(t.Context(), map[string][]order.News{id: taken([]*events.Event{e})})[id])
	}
	o, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 2, o.Version)
}
