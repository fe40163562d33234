package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// An edit does not make an order younger in its state; a change of state does.
func TestWaitingSince_IsWhenTheOldestGotIntoTheState(t *testing.T) {
	s := open(t)
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return now }
	since := func(status order.Status) time.Time {
		at, err := s.WaitingSince(t.Context(), status)
		require.NoError(t, err)
		return at
	}
	for _, status := range Moving() {
		require.Zero(t, since(status), status)
	}
	allow := func(*order.Order) error { return nil }
	first, second := place(t, s, "alice", ""), place(t, s, "alice", "")
	placed := now
	require.Equal(t, placed, since(eventspb.OrderStatus_ORDER_STATUS_PENDING))

	now = now.Add(time.Minute)
	_, err := s.Cancel(t.Context(), first.ID, allow, "")
	require.NoError(t, err)
	require.Equal(t, now, since(eventspb.OrderStatus_ORDER_STATUS_CANCELLING))
	require.Equal(t, placed, since(eventspb.OrderStatus_ORDER_STATUS_PENDING), "the other one still is")

	confirmed := now.Add(time.Minute)
	now = confirmed
	news := func(o *order.Order, sequence int64, status eventspb.ReservationStatus) {
		t.Helper()
		r := &eventspb.Reservation{Id: o.ID, CustomerId: "alice", Status: status}
		if status == eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED {
			r.ReleaseCause = eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED
		}
		e := &events.Event{Type: events.StockReserved, Subject: o.ID, Sequence: sequence, Time: now, Data: r}
		outcomes := s.Fold(t.Context(), map[string][]order.News{o.ID: {{
			Event: e, Apply: func(o *order.Order) (bool, error) { return o.InventorySays(r) },
		}}})
		require.NoError(t, outcomes[o.ID][0])
	}
	news(second, 1, eventspb.ReservationStatus_RESERVATION_STATUS_HELD)
	require.Equal(t, confirmed, since(eventspb.OrderStatus_ORDER_STATUS_CONFIRMED))
	require.Zero(t, since(eventspb.OrderStatus_ORDER_STATUS_PENDING))
	now = now.Add(time.Minute)
	_, err = s.Edit(t.Context(), second.ID, allow, order.Patch{Note: order.Field[string]{Present: true, Value: "x"}}, "")
	require.NoError(t, err)
	require.Equal(t, confirmed, since(eventspb.OrderStatus_ORDER_STATUS_CONFIRMED), "an edit")

	news(first, 1, eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED)
	require.Zero(t, since(eventspb.OrderStatus_ORDER_STATUS_CANCELLING), "an end is no waiting")
}

func TestWaitingSince_ReadsAnIndex(t *testing.T) {
	s := open(t)
	for range 30 {
		place(t, s, "alice", "")
	}
	for _, status := range Moving() {
		filter, sort := waitingQuery(status)
		plan := testbackend.Explain(t, s.list, bson.D{{Key: "filter", Value: filter}, {Key: "sort", Value: sort}, {Key: "limit", Value: 1}})
		require.NotContains(t, plan, "COLLSCAN", status)
		require.NotContains(t, plan, `"SORT"`, status)
	}
}
