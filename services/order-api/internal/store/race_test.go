package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// another opens a second instance on the same database, with a writer of its own.
func another(s *Store) *Store {
	return New(s.list.Database(), outbox.NewRelay(s.list, nowhere{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()))
}

// toDelivery is what the neighbours say of an order that goes well, oldest first.
func toDelivery(id string) []order.News {
	var said []*events.Event
	say := func(typ events.Type, sequence int64, data events.Snapshot) {
		said = append(said, &events.Event{
			ID: fmt.Sprint(id, typ), Type: typ, Subject: id, Customer: "alice", Sequence: sequence, Time: time.Now(), Data: data,
		})
	}
	say(events.StockReserved, 1, &eventspb.Reservation{
		Id: id, CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
	})
	parcel := &eventspb.Shipment{Id: id, OrderId: id, CustomerId: "alice"}
	for i, step := range []struct {
		typ    events.Type
		status eventspb.ShipmentStatus
	}{
		{events.ShipmentScheduled, eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED},
		{events.ShipmentDispatched, eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED},
		{events.ShipmentDelivered, eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED},
	} {
		parcel.Status = step.status
		say(step.typ, int64(i+1), proto.CloneOf(parcel))
	}
	return taken(said)
}

// TestFold_TwoConsumersAndACustomerOnOneOrder: two owners of a partition, of whom one does not know that it is none any
// more, apply the same news piece by piece while the customer edits. Each fact counts once, each edit that was answered
// is kept, and every write has exactly one event with the next sequence.
func TestFold_TwoConsumersAndACustomerOnOneOrder(t *testing.T) {
	owner := open(t)
	zombie, third := another(owner), another(owner)
	id := place(t, owner, "alice", "").ID
	all := toDelivery(id)

	var (
		work  sync.WaitGroup
		edits atomic.Int64
	)
	for _, s := range []*Store{owner, zombie} {
		work.Go(func() {
			for _, n := range all {
				for _, err := range s.Fold(t.Context(), map[string][]order.News{id: {n}})[id] {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range 10 {
		work.Go(func() {
			note := order.Field[string]{Present: true, Value: fmt.Sprint(i)}
			_, err := third.Edit(t.Context(), id, func(*order.Order) error { return nil }, order.Patch{Note: note}, "")
			var tooLate *order.StateError
			if err == nil {
				edits.Add(1)
			} else if !errors.As(err, &tooLate) {
				t.Error(err)
			}
		})
	}
	work.Wait()

	check := func() int64 {
		d, err := owner.orders.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, eventspb.OrderStatus_ORDER_STATUS_DELIVERED, d.order().Status())
		require.Equal(t, map[string]int64{"inventory": 1, "shipping": 3}, d.Seen)
		require.Equal(t, 1+edits.Load(), d.Order.Revision, "an edit that was answered is kept")
		require.Len(t, d.Outbox, int(d.Version), "every write has its event")
		for i, e := range d.Outbox {
			require.EqualValues(t, i+1, e.Sequence)
		}
		return d.Version
	}
	before := check()
	// The old owner comes back to life and does all of it again, from the beginning.
	for _, n := range all {
		require.Equal(t, []error{nil}, zombie.Fold(t.Context(), map[string][]order.News{id: {n}})[id])
	}
	require.Equal(t, before, check(), "an old owner changes nothing")
}

// TestEdit_RecognisesItsOwnLostWrite: the answer to a write was lost, and when the order is read again the neighbours have
// written on top and its events are published and cleared. By its revision it looks like somebody else's edit.
func TestEdit_RecognisesItsOwnLostWrite(t *testing.T) {
	s := open(t)
	placed := place(t, s, "alice", "")
	stale := errors.New("the order was changed since")
	unchanged := func(o *order.Order) error {
		if o.Revision != placed.Revision {
			return stale
		}
		return nil
	}
	edit := func(o *order.Order, _ time.Time) (bool, error) {
		return o.Edit(order.Patch{Note: order.Field[string]{Present: true, Value: "ring twice"}})
	}
	for name, token := range map[string]string{"its own": "a", "somebody else's": "b"} {
		id := place(t, s, "alice", "").ID
		tries := 0
		d, err := s.orders.Update(t.Context(), id, func(d *document) error {
			if err := s.decide(d, "a", unchanged, "", edit, events.OrderUpdated); err != nil {
				return err
			}
			if tries++; tries == 1 { // another event id stands for one that was cleared
				_, err := another(s).orders.Update(t.Context(), id, func(d *document) error {
					return s.decide(d, token, unchanged, "", edit, events.OrderUpdated)
				})
				require.NoError(t, err)
				require.NoError(t, errors.Join(another(s).Fold(t.Context(), map[string][]order.News{id: toDelivery(id)[:1]})[id]...))
			}
			return nil
		})
		if token != "a" {
			require.ErrorIs(t, err, stale, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, "ring twice", d.order().Note)
		require.Equal(t, placed.Revision+1, d.order().Revision, "once")
		require.EqualValues(t, 3, d.Version)
	}
}
