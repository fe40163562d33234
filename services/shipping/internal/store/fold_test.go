package store

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestFold_StoresTheShipmentWithItsEvent(t *testing.T) {
	s := open(t)
	clock(s, noon.Add(123456*time.Nanosecond))
	id := newID()
	tell(t, s, news(7, asked(id, 3, false)))

	d := get(t, s, id)
	require.EqualValues(t, 1, d.Version)
	require.EqualValues(t, 7, d.Seen["inventory"])
	all := outboxOf(t, d)
	require.Len(t, all, 1)
	e := all[0]
	require.Equal(t, events.ShipmentScheduled, e.Type)
	require.EqualValues(t, 1, e.Sequence)
	require.Equal(t, id, e.Subject)
	require.Equal(t, "alice", e.Customer)
	require.Equal(t, noon, e.Time, "in the milliseconds that the database keeps")
	require.Contains(t, e.TraceParent, "0af7651916cd43dd8448eb211c80319c")
	require.Empty(t, e.Changed, "the first one has nothing before it")
	require.True(t, proto.Equal(d.shipment().Snapshot(), e.Data), "the event says what is stored")
	require.Equal(t, []shipment.Line{{Time: noon, Type: events.ShipmentScheduled, Sequence: 1, Version: 1}}, d.Shipment.History)
}

func TestFold_SaysWhatChanged(t *testing.T) {
	s := open(t)
	id := scheduled(t, s)
	moved := asked(id, 1, true)
	moved.Request.Address.Country = "IE"
	tell(t, s, news(2, moved))
	all := outboxOf(t, get(t, s, id))
	require.Equal(t, []events.Type{events.ShipmentScheduled, events.ShipmentUpdated, events.ShipmentCancelled}, types(all))
	require.EqualValues(t, 3, all[2].Sequence)
	for _, e := range all[1:] {
		require.Equal(t, []string{
			"status", "carrier", "service", "cost", "estimatedDelivery", "address", "addressRevision",
		}, e.Changed)
		require.Equal(t, eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED, e.Data.(*eventspb.Shipment).GetStatus())
	}
	require.EqualValues(t, 2, get(t, s, id).Version, "one write")
}

func TestFold_IsOneWritePerOrderAndNoneTheSecondTime(t *testing.T) {
	s := running(t, testbackend.Mongo(t))
	batch := map[string][]shipment.News{}
	for range 50 {
		id := newID()
		batch[id] = []shipment.News{news(1, asked(id, 0, false)), news(2, asked(id, 1, false)), news(4, asked(id, 2, false))}
	}
	for range 2 { // everything is delivered twice
		for id, outcomes := range s.Fold(t.Context(), batch) {
			require.Equal(t, []error{nil, nil, nil}, outcomes)
			d := get(t, s, id)
			require.EqualValues(t, 1, d.Version)
			require.EqualValues(t, 4, d.Seen["inventory"])
			require.EqualValues(t, 2, d.Shipment.AddressRevision)
			require.Len(t, d.Shipment.History, 1)
		}
	}
}

func TestFold_WithItsCancellationSaysCancelledOnly(t *testing.T) {
	s := open(t)
	id := newID()
	tell(t, s, news(1, asked(id, 0, false)), news(2, asked(id, 0, true)))
	require.Equal(t, []events.Type{events.ShipmentCancelled}, types(outboxOf(t, get(t, s, id))))
}

func TestFold_OneImpossibleOrderDoesNotSpoilTheOthers(t *testing.T) {
	s := open(t)
	good, bad := newID(), newID()
	outcomes := s.Fold(t.Context(), map[string][]shipment.News{
		good: {news(1, asked(good, 0, false))},
		bad:  {news(1, &eventspb.Reservation{Id: bad, CustomerId: "alice"})},
	})
	require.NoError(t, outcomes[good][0])
	require.ErrorIs(t, outcomes[bad][0], shipment.ErrImpossible)
	require.Len(t, get(t, s, good).Outbox, 1)
	_, err := s.Get(t.Context(), bad)
	require.ErrorIs(t, err, shipment.ErrNotFound)
}

// Several instances take in the same news and a carrier dispatches meanwhile, as after a rebalance with a zombie:
// each order is cancelled or has left, and its sequence has neither a hole nor a twin.
func TestFold_ManyInstancesAndACarrierEndInOneState(t *testing.T) {
	db := testbackend.Mongo(t)
	instances := []*Store{
		instance(t, db, shipment.Timers{}), instance(t, db, shipment.Timers{}), instance(t, db, shipment.Timers{}),
	}
	const orders = 20
	var ids []string
	batch := map[string][]shipment.News{}
	for range orders {
		id := scheduled(t, instances[0])
		ids = append(ids, id)
		batch[id] = []shipment.News{news(2, asked(id, 1, false)), news(3, asked(id, 1, true))}
	}
	var all sync.WaitGroup
	for _, s := range instances {
		all.Go(func() {
			for id, outcomes := range s.Fold(t.Context(), batch) {
				for _, err := range outcomes {
					if err != nil {
						t.Errorf("order %s: %v", id, err)
					}
				}
			}
		})
	}
	errs := make([]error, orders)
	for i, id := range ids {
		all.Go(func() { _, errs[i] = instances[i%3].Act(t.Context(), id, "", dispatch) })
	}
	all.Wait()
	for i, id := range ids {
		d := get(t, instances[0], id)
		said := map[events.Type]int{}
		for n, e := range outboxOf(t, d) {
			require.EqualValues(t, n+1, e.Sequence)
			said[e.Type]++
		}
		require.Equal(t, 1, said[events.ShipmentUpdated]+said[events.ShipmentUpdateRefused], "the address was answered once")
		switch d.Shipment.Status {
		case shipment.Cancelled:
			require.Equal(t, 1, said[events.ShipmentCancelled])
			require.Zero(t, said[events.ShipmentDispatched]+said[events.ShipmentCancelRefused])
			var state *shipment.StateError
			require.ErrorAs(t, errs[i], &state)
		case shipment.Dispatched:
			require.NoError(t, errs[i])
			require.Equal(t, 1, said[events.ShipmentDispatched])
			require.Equal(t, 1, said[events.ShipmentCancelRefused])
			require.Zero(t, said[events.ShipmentCancelled])
		default:
			t.Fatalf("order %s is %s", id, d.Shipment.Status)
		}
	}
}

func TestFold_ADatabaseThatIsAwayIsWorthAnotherTry(t *testing.T) {
	s := disconnected(t)
	outcomes := s.Fold(t.Context(), map[string][]shipment.News{"o-1": {news(1, asked("o-1", 0, false)), news(2, asked("o-1", 1, false))}})
	require.Len(t, outcomes["o-1"], 2)
	for _, err := range outcomes["o-1"] {
		require.True(t, outbox.IsAway(err), "%v", err)
		require.NotErrorIs(t, err, shipment.ErrImpossible)
	}
}
