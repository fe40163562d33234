package carrier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var timers = shipment.Timers{DispatchAfter: 20 * time.Second, DeliverAfter: 40 * time.Second}

// yard is what the store keeps, by the same rules: due times are set when a state is entered.
type yard struct {
	mu     sync.Mutex
	parked map[string]*parcel
	away   error
	broken map[string]error
	asked  int
	meddle func(*shipment.Shipment) // somebody who is faster
}

type parcel struct {
	shipment *shipment.Shipment
	due      time.Time
	said     []events.Type
}

func newYard() *yard { return &yard{parked: map[string]*parcel{}, broken: map[string]error{}} }

func (y *yard) schedule(tb testing.TB, id string) {
	tb.Helper()
	s, _, err := shipment.Start(&eventspb.Reservation{
		Id: id, CustomerId: "alice", Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 1}},
		Request: &eventspb.ShippingRequest{Address: &eventspb.Address{Country: "DE"}},
	}, time.Now())
	require.NoError(tb, err)
	y.mu.Lock()
	defer y.mu.Unlock()
	y.parked[id] = &parcel{shipment: s, due: timers.Due(s.Status, time.Now())}
}

func (y *yard) Due(_ context.Context, status shipment.Status, from, now time.Time, except []string, limit int) ([]shipment.Overdue, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.asked++
	if y.away != nil {
		return nil, y.away
	}
	var due []shipment.Overdue
	for _, p := range y.parked {
		if p.shipment.Status == status && !p.due.IsZero() && !p.due.Before(from) && !p.due.After(now) && !slices.Contains(except, p.shipment.ID) {
			due = append(due, shipment.Overdue{ID: p.shipment.ID, Due: p.due})
		}
	}
	slices.SortFunc(due, func(a, b shipment.Overdue) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
	return due[:min(limit, len(due))], nil
}

func (y *yard) ActAll(_ context.Context, steps map[string]shipment.Step) map[string]error {
	y.mu.Lock()
	defer y.mu.Unlock()
	failed := map[string]error{}
	for id, step := range steps {
		if err := y.act(id, step); err != nil {
			failed[id] = err
		}
	}
	return failed
}

func (y *yard) act(id string, step shipment.Step) error {
	if err := y.broken[id]; err != nil {
		return err
	}
	p := y.parked[id]
	if y.meddle != nil {
		y.meddle(p.shipment)
	}
	now := p.shipment.Clone()
	says, err := step(now)
	if err != nil || len(says) == 0 {
		return err
	}
	p.shipment, p.due, p.said = now, timers.Due(now.Status, time.Now()), append(p.said, says...)
	return nil
}

// status gives the state of a parcel.
func (y *yard) status(id string) shipment.Status {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.parked[id].shipment.Status
}

// said lists what was said of a parcel.
func (y *yard) said(id string) []events.Type {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.parked[id].said)
}

// drive runs a carrier, and gives the function that stops it.
func drive(t *testing.T, y *yard, log *slog.Logger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(y, timers.States(), log).Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

var quiet = slog.New(slog.DiscardHandler)

func TestCarrier_DispatchesAndDeliversWhenItIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.schedule(t, "o-1")
		defer drive(t, y, quiet)()
		time.Sleep(20*time.Second - time.Millisecond)
		synctest.Wait()
		require.Equal(t, shipment.Scheduled, y.status("o-1"))
		time.Sleep(every)
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"))
		time.Sleep(40*time.Second - every)
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"))
		time.Sleep(2 * every)
		synctest.Wait()
		require.Equal(t, shipment.Delivered, y.status("o-1"))
		time.Sleep(time.Hour)
		require.Equal(t, []events.Type{events.ShipmentDispatched, events.ShipmentDelivered}, y.said("o-1"))
	})
}

// What fell due while nobody ran is done at the start, once, and by the times of before.
func TestCarrier_CatchesUpAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.schedule(t, "o-1")
		stop := drive(t, y, quiet)
		time.Sleep(10 * time.Second)
		stop()
		time.Sleep(time.Hour)
		require.Equal(t, shipment.Scheduled, y.status("o-1"))
		defer drive(t, y, quiet)()
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"), "at once")
		time.Sleep(39 * time.Second)
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"), "it was on its way since the restart only")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, shipment.Delivered, y.status("o-1"))
	})
}

func TestCarrier_ActsOnMoreThanAPageAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		for i := range 2*page + 1 {
			y.schedule(t, fmt.Sprintf("o-%03d", i))
		}
		time.Sleep(timers.DispatchAfter)
		defer drive(t, y, quiet)()
		synctest.Wait()
		for i := range 2*page + 1 {
			require.Equal(t, shipment.Dispatched, y.status(fmt.Sprintf("o-%03d", i)))
		}
		y.mu.Lock()
		defer y.mu.Unlock()
		require.Equal(t, 3+1, y.asked, "page by page, and for what is to arrive")
	})
}

// Two instances see the same shipment due; the second one finds it gone and must not take the next step at once.
func TestCarrier_LeavesAloneWhatSomebodyElseMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.schedule(t, "o-1")
		y.schedule(t, "o-2")
		y.meddle = func(s *shipment.Shipment) {
			switch {
			case s.ID == "o-1" && s.Status == shipment.Scheduled:
				s.Status, y.parked["o-1"].due = shipment.Dispatched, time.Now().Add(timers.DeliverAfter)
			case s.ID == "o-2":
				s.Status, y.parked["o-2"].due = shipment.Cancelled, time.Time{}
			}
		}
		time.Sleep(timers.DispatchAfter)
		var log strings.Builder
		stop := drive(t, y, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"))
		require.Equal(t, shipment.Cancelled, y.status("o-2"))
		time.Sleep(timers.DeliverAfter - time.Second)
		synctest.Wait()
		require.Empty(t, y.said("o-1"), "not before its own time")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		require.Equal(t, shipment.Delivered, y.status("o-1"))
		require.Empty(t, log.String(), "that is no trouble")
	})
}

func TestCarrier_OneThatCannotBeMovedKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.schedule(t, "o-1")
		y.schedule(t, "o-2")
		y.broken["o-1"] = errors.New("stuck")
		time.Sleep(timers.DispatchAfter)
		var log strings.Builder
		stop := drive(t, y, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()
		stop()
		require.Equal(t, shipment.Dispatched, y.status("o-2"))
		require.Contains(t, log.String(), "stuck")
	})
}

// However many are stuck at the front, those behind them go on; the log has one short line of it now and then.
func TestCarrier_PagesOfStuckOnesStarveNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		for i := range 2 * page {
			id := fmt.Sprintf("stuck-%03d", i)
			y.schedule(t, id)
			y.broken[id] = errors.New("stuck, and this is why")
		}
		time.Sleep(time.Millisecond) // the others are due later
		y.schedule(t, "o-1")
		time.Sleep(timers.DispatchAfter)
		var log strings.Builder
		stop := drive(t, y, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"))
		time.Sleep(sayEvery - time.Millisecond)
		synctest.Wait()
		stop()
		require.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		require.Contains(t, log.String(), "200 due shipments cannot be moved, the first: stuck, and this is why")
	})
}

// Where more are stuck than one look passes by, the next one goes on behind them, and all of them are tried again.
func TestCarrier_MoreStuckOnesThanALookTakesStarveNobody(t *testing.T) {
	for name, apart := range map[string]time.Duration{"due at once": 0, "due one after the other": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newYard()
				const crowd = 2*maxStuck + page/2
				for i := range crowd {
					id := fmt.Sprintf("stuck-%04d", i)
					y.schedule(t, id)
					y.broken[id] = errors.New("stuck")
					time.Sleep(apart)
				}
				time.Sleep(time.Millisecond)
				y.schedule(t, "o-1")
				time.Sleep(timers.DispatchAfter)
				defer drive(t, y, quiet)()
				time.Sleep(3 * every)
				synctest.Wait()
				require.Equal(t, shipment.Dispatched, y.status("o-1"))
				y.mu.Lock()
				clear(y.broken)
				y.mu.Unlock()
				time.Sleep(3 * every)
				synctest.Wait()
				for i := range crowd {
					require.Equal(t, shipment.Dispatched, y.status(fmt.Sprintf("stuck-%04d", i)))
				}
			})
		})
	}
}

func TestCarrier_WaitsForTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		y.schedule(t, "o-1")
		y.away = errors.New("away")
		defer drive(t, y, quiet)()
		time.Sleep(timers.DispatchAfter + time.Minute)
		synctest.Wait()
		require.Equal(t, shipment.Scheduled, y.status("o-1"))
		y.mu.Lock()
		y.away = nil
		y.mu.Unlock()
		time.Sleep(every)
		synctest.Wait()
		require.Equal(t, shipment.Dispatched, y.status("o-1"))
	})
}

func TestConfig_IsOffOrADuration(t *testing.T) {
	for value, want := range map[string]time.Duration{"off": 0, "20s": 20 * time.Second, "1h30m": 90 * time.Minute} {
		c := Config{DispatchAfter: value, DeliverAfter: "off"}
		require.NoError(t, c.Validate(), value)
		require.Equal(t, shipment.Timers{DispatchAfter: want}, c.Timers())
		c = Config{DispatchAfter: "off", DeliverAfter: value}
		require.NoError(t, c.Validate(), value)
		require.Equal(t, shipment.Timers{DeliverAfter: want}, c.Timers())
	}
	for _, value := range []string{"", "0", "0s", "-1s", "20", "soon", "OFF"} {
		err := Config{DispatchAfter: value, DeliverAfter: value}.Validate()
		require.ErrorContains(t, err, "CARRIER_DISPATCH_AFTER", value)
		require.ErrorContains(t, err, "CARRIER_DELIVER_AFTER", value)
		require.ErrorContains(t, err, "want off, or a duration", value)
	}
}
