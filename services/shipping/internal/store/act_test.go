package store

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

func TestAct_IsOneWriteWithItsEvent(t *testing.T) {
	s := open(t)
	clock(s, noon)
	id := scheduled(t, s)
	clock(s, noon.Add(time.Minute))
	now := act(t, s, id, dispatch)
	d := get(t, s, id)
	require.EqualValues(t, 2, d.Version)
	require.True(t, proto.Equal(now.Snapshot(), d.shipment().Snapshot()), "the answer is what is stored")
	all := outboxOf(t, d)
	require.Equal(t, []events.Type{events.ShipmentScheduled, events.ShipmentDispatched}, types(all))
	require.Equal(t, []string{"status", "trackingNumber"}, all[1].Changed)
	require.Equal(t, noon.Add(time.Minute), all[1].Time)
	require.Equal(t, noon, d.Shipment.CreatedAt)
	require.Len(t, d.Shipment.History, 2)
	require.Len(t, now.History, 2)

	again := act(t, s, id, dispatch)
	require.Equal(t, now.History, again.History)
	require.EqualValues(t, 2, get(t, s, id).Version, "the same again writes nothing")
}

func TestAct_RefusesAndWritesNothing(t *testing.T) {
	s := open(t)
	id := scheduled(t, s)
	_, err := s.Act(t.Context(), id, "", (*shipment.Shipment).Deliver)
	var state *shipment.StateError
	require.ErrorAs(t, err, &state)
	require.EqualValues(t, 1, get(t, s, id).Version)

	_, err = s.Act(t.Context(), newID(), "", dispatch)
	require.ErrorIs(t, err, shipment.ErrNotFound)
	require.False(t, outbox.IsAway(err))
}

// A page of what is due is one transaction: each shipment has its event, and one that cannot move keeps no other.
func TestActAll_MovesEachByItself(t *testing.T) {
	s := open(t)
	steps := map[string]shipment.Step{}
	for range 20 {
		steps[scheduled(t, s)] = dispatch
	}
	stuck, gone := scheduled(t, s), newID()
	steps[stuck], steps[gone] = (*shipment.Shipment).Deliver, dispatch

	failed := s.ActAll(t.Context(), steps)
	require.Len(t, failed, 2)
	var state *shipment.StateError
	require.ErrorAs(t, failed[stuck], &state)
	require.ErrorIs(t, failed[gone], shipment.ErrNotFound)
	check := func() {
		for id := range steps {
			switch id {
			case gone:
			case stuck:
				require.EqualValues(t, 1, get(t, s, id).Version)
			default:
				d := get(t, s, id)
				require.EqualValues(t, 2, d.Version)
				require.Equal(t, []events.Type{events.ShipmentScheduled, events.ShipmentDispatched}, types(outboxOf(t, d)))
			}
		}
	}
	check()
	require.Len(t, s.ActAll(t.Context(), steps), 2)
	check() // the same again writes nothing
}

// The write is guarded by the version that was read: with somebody faster in between, it is decided again.
func TestAct_DecidesAgainOnWhatSomebodyElseWrote(t *testing.T) {
	s := open(t)
	id := scheduled(t, s)
	tries := 0
	_, err := s.Act(t.Context(), id, "", func(now *shipment.Shipment) ([]events.Type, error) {
		if tries++; tries == 1 {
			tell(t, s, news(2, asked(id, 0, true)))
		}
		return now.Dispatch("")
	})
	var state *shipment.StateError
	require.ErrorAs(t, err, &state)
	require.Equal(t, shipment.Cancelled, state.Status)
	require.Equal(t, 2, tries)
	require.Equal(t, []events.Type{events.ShipmentScheduled, events.ShipmentCancelled}, types(outboxOf(t, get(t, s, id))))
}

func TestAct_OfTwentyCarriersOneFails(t *testing.T) {
	s := open(t)
	id := scheduled(t, s)
	act(t, s, id, dispatch)
	const n = 20
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, errs[i] = s.Act(t.Context(), id, "", func(now *shipment.Shipment) ([]events.Type, error) {
				if i%2 == 0 {
					return now.Deliver()
				}
				return now.Fail(shipment.Lost)
			})
		})
	}
	all.Wait()
	d := get(t, s, id)
	require.EqualValues(t, 3, d.Version, "one of them moved it")
	delivered := d.Shipment.Status == shipment.Delivered
	for i, err := range errs {
		var state *shipment.StateError
		require.Equal(t, (i%2 == 0) == delivered, err == nil, "%v", err)
		require.True(t, err == nil || errors.As(err, &state))
	}
}

func TestAct_TimeDoesNotGoBackwards(t *testing.T) {
	s := open(t)
	clock(s, noon)
	id := scheduled(t, s)
	clock(s, noon.Add(-time.Hour)) // an instance whose clock is behind
	require.Equal(t, noon, act(t, s, id, dispatch).UpdatedAt)
}

// disconnected gives a store whose database is away.
func disconnected(t *testing.T) *Store {
	t.Helper()
	name := testbackend.Mongo(t).Name()
	db, err := mongodb.Connect(t.Context(), mongodb.Config{URI: os.Getenv("TEST_MONGODB_URI"), Database: name}, "test", nil)
	require.NoError(t, err)
	s := New(db, outbox.NewRelay(Shipments(db), nowhere{}, quiet, nil), shipment.Timers{DispatchAfter: time.Second}, nil)
	require.NoError(t, mongodb.Disconnect(t.Context(), db))
	return s
}

func TestStore_ADatabaseThatIsAwayIsToldApart(t *testing.T) {
	s := disconnected(t)
	_, errAct := s.Act(t.Context(), "o-1", "", dispatch)
	_, errGet := s.Get(t.Context(), "o-1")
	_, _, errList := s.List(t.Context(), Filter{Limit: 1})
	_, errDue := s.Due(t.Context(), shipment.Scheduled, time.Time{}, time.Now(), nil, 1)
	for _, err := range []error{errAct, errGet, errList, errDue} {
		require.True(t, outbox.IsAway(err), "%v", err)
	}
	require.False(t, outbox.IsAway(shipment.ErrNotFound))
}
