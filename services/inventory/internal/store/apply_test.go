package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

func TestApply_HoldsEveryItemAndAsksShipping(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 10)
	put(t, s, "mug-red", 1)

	id := newID()
	n := ordered(1, placed(id, item{SKU: "mug-blue", Quantity: 3}, item{SKU: "mug-red", Quantity: 1}))
	n.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	apply(t, s, about(id, n))

	require.Equal(t, stock.Level{SKU: "mug-blue", Available: 7, Reserved: 3}, level(t, s, "mug-blue"))
	require.Equal(t, stock.Level{SKU: "mug-red", Reserved: 1}, level(t, s, "mug-red"))
	d := get(t, s, id)
	require.Equal(t, []events.Type{events.StockReserved, events.ShipmentRequested}, says(t, d))
	require.EqualValues(t, 1, d.Version)
	for _, e := range d.Outbox {
		event := decode(t, e)
		require.EqualValues(t, 1, event.Sequence, "one per topic")
		require.Equal(t, n.TraceParent, event.TraceParent)
		require.Empty(t, event.Changed)
		r := event.Data.(*eventspb.Reservation)
		require.Equal(t, eventspb.ReservationStatus_RESERVATION_STATUS_HELD, r.GetStatus())
		require.Equal(t, "Ring 1", r.GetRequest().GetAddress().GetStreet())
		require.Len(t, r.GetItems(), 2)
	}
}

func TestApply_RejectsWithWhatThereWas(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 2)
	put(t, s, "mug-red", 5)

	id := newID()
	apply(t, s, about(id, ordered(1, placed(id, item{SKU: "mug-blue", Quantity: 3}, item{SKU: "mug-red", Quantity: 1}, item{SKU: "no-such", Quantity: 1}))))

	d := get(t, s, id)
	require.Equal(t, []events.Type{events.StockRejected}, says(t, d))
	r := decode(t, d.Outbox[0]).Data.(*eventspb.Reservation)
	require.Len(t, r.GetRejection().GetItems(), 2)
	require.JSONEq(t, `{"items":[{"sku":"mug-blue","wanted":3,"available":2},{"sku":"no-such","wanted":1,"available":0}]}`,
		string(events.AppendJSON(nil, r.GetRejection())))
	require.Nil(t, r.GetRequest())
	require.Equal(t, stock.Level{SKU: "mug-blue", Available: 2}, level(t, s, "mug-blue"))
	require.Equal(t, stock.Level{SKU: "mug-red", Available: 5}, level(t, s, "mug-red"), "none of the items is held")

	// A cancellation or another address of a rejected order is nothing to act on.
	apply(t, s, about(id, ordered(3, cancelled(moved(placed(id, item{SKU: "mug-blue", Quantity: 3}, item{SKU: "mug-red", Quantity: 1}, item{SKU: "no-such", Quantity: 1}), 1)))))
	require.EqualValues(t, 1, get(t, s, id).Version)
}

func TestApply_FirstComeFirstServedInOneBatch(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 5)
	a, b, c, d := newID(), newID(), newID(), newID()
	one := func(id string, n int32) stock.Dossier {
		return about(id, ordered(1, placed(id, item{SKU: "mug-blue", Quantity: n})))
	}
	apply(t, s, one(a, 4))
	// Stock that the first one of the batch gives back is there for the second; the third finds less than it wants.
	apply(t, s, about(a, shipped(1, a, stopped)), one(b, 5), one(c, 1), one(d, 1))
	require.Equal(t, stock.Released, get(t, s, a).Reservation.Status)
	require.Equal(t, stock.Held, get(t, s, b).Reservation.Status)
	require.Equal(t, stock.Rejected, get(t, s, c).Reservation.Status)
	require.Equal(t, stock.Rejected, get(t, s, d).Reservation.Status)
}

func TestApply_CancelledAtFirstSightHoldsNothing(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 5)
	id := newID()
	o := func() *eventspb.Order { return placed(id, item{SKU: "mug-blue", Quantity: 1}) }
	apply(t, s, about(id, ordered(1, o()), ordered(2, cancelled(o())), ordered(3, cancelled(o()))))

	d := get(t, s, id)
	require.Equal(t, []events.Type{events.StockReleased}, says(t, d))
	r := decode(t, d.Outbox[0]).Data.(*eventspb.Reservation)
	require.Equal(t, eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED, r.GetReleaseCause())
	require.Nil(t, r.GetRequest())
	require.Equal(t, stock.Level{SKU: "mug-blue", Available: 5}, level(t, s, "mug-blue"))
}

func TestApply_ForwardsChangesAndMovesGoods(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 100)
	o := func(id string) *eventspb.Order { return placed(id, item{SKU: "mug-blue", Quantity: 10}) }

	for name, c := range map[string]struct {
		then   func(id string) []stock.News
		status stock.Status
		cause  stock.Cause
		says   []events.Type
		level  stock.Level
	}{
		"another address": {
			then:   func(id string) []stock.News { return []stock.News{ordered(2, moved(o(id), 1))} },
			status: stock.Held, says: []events.Type{events.ShipmentUpdateRequested},
			level: stock.Level{Reserved: 10},
		},
		"another address after it left": {
			then: func(id string) []stock.News {
				return []stock.News{shipped(2, id, dispatched), ordered(2, moved(o(id), 1))}
			},
			status: stock.ShippedOut, says: []events.Type{events.ShipmentUpdateRequested},
			level: stock.Level{Shipped: 10},
		},
		"a cancellation": {
			then: func(id string) []stock.News {
				return []stock.News{ordered(2, cancelled(o(id))), ordered(3, cancelled(o(id)))}
			},
			status: stock.Held, says: []events.Type{events.ShipmentCancelRequested},
			level: stock.Level{Reserved: 10},
		},
		"both": {
			then:   func(id string) []stock.News { return []stock.News{ordered(4, cancelled(moved(o(id), 2)))} },
			status: stock.Held, says: []events.Type{events.ShipmentUpdateRequested, events.ShipmentCancelRequested},
			level: stock.Level{Reserved: 10},
		},
		"a status that moved": {
			then:   func(id string) []stock.News { return []stock.News{ordered(2, o(id)), ordered(3, o(id))} },
			status: stock.Held,
			level:  stock.Level{Reserved: 10},
		},
		"it left": {
			then:   func(id string) []stock.News { return []stock.News{shipped(2, id, dispatched)} },
			status: stock.ShippedOut,
			level:  stock.Level{Shipped: 10},
		},
		"too late to cancel": {
			then: func(id string) []stock.News {
				return []stock.News{ordered(2, cancelled(o(id))), shipped(3, id, dispatched)}
			},
			status: stock.ShippedOut, says: []events.Type{events.ShipmentCancelRequested},
			level: stock.Level{Shipped: 10},
		},
		"stopped in time": {
			then:   func(id string) []stock.News { return []stock.News{shipped(2, id, stopped)} },
			status: stock.Released, cause: stock.Cancelled, says: []events.Type{events.StockReleased},
			level: stock.Level{Available: 10},
		},
		"refused at the door": {
			then: func(id string) []stock.News {
				return []stock.News{shipped(2, id, dispatched), shipped(3, id, failed, refused)}
			},
			status: stock.Released, cause: stock.Failed, says: []events.Type{events.StockReleased},
			level: stock.Level{Available: 10},
		},
		"lost": {
			then:   func(id string) []stock.News { return []stock.News{shipped(3, id, failed, lost)} },
			status: stock.WrittenOffGoods, cause: stock.Failed, says: []events.Type{events.StockReleased},
			level: stock.Level{WrittenOff: 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := newID()
			before := level(t, s, "mug-blue")
			apply(t, s, about(id, ordered(1, o(id))))
			// Each piece of news by itself, and then all of it once more: the second time nothing is written.
			for _, n := range c.then(id) {
				apply(t, s, about(id, n))
			}
			d := get(t, s, id)
			apply(t, s, about(id, append(c.then(id), ordered(1, o(id)))...))
			require.Equal(t, d.Version, get(t, s, id).Version)

			require.Equal(t, c.status, d.Reservation.Status)
			require.Equal(t, c.cause, d.Reservation.Cause)
			require.Equal(t, append([]events.Type{events.StockReserved, events.ShipmentRequested}, c.says...), says(t, d))
			after := level(t, s, "mug-blue")
			moved := stock.Level{
				Available: after.Available - before.Available + 10, Reserved: after.Reserved - before.Reserved,
				Shipped: after.Shipped - before.Shipped, WrittenOff: after.WrittenOff - before.WrittenOff,
			}
			require.Equal(t, c.level, moved)
			if n := len(d.Outbox); n > 2 {
				require.NotEmpty(t, decode(t, d.Outbox[n-1]).Changed)
			}
		})
	}
}

func TestApply_ImpossibleNewsIsPermanentAndHarmless(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 10)
	unknown, twice, empty, rejected, done := newID(), newID(), newID(), newID(), newID()
	blue := item{SKU: "mug-blue", Quantity: 1}
	apply(t, s,
		about(rejected, ordered(1, placed(rejected, item{SKU: "none", Quantity: 1}))),
		about(done, ordered(1, placed(done, blue)), shipped(2, done, stopped)),
	)
	other := placed(done, blue)
	other.CustomerId = "bob"
	batch := []stock.Dossier{
		about(unknown, shipped(1, unknown, dispatched)),
		about(twice, ordered(1, placed(twice, blue, blue))),
		about(empty, ordered(1, placed(empty))),
		about(rejected, shipped(1, rejected, dispatched)),
		about(done, shipped(3, done, dispatched), shipped(4, done, failed, lost), shipped(1, done, dispatched), ordered(2, other)),
	}
	got := s.Apply(t.Context(), batch)
	for i, wrong := range [][]bool{{true}, {true}, {true}, {true}, {true, true, false, true}} {
		for j, w := range wrong {
			require.Equal(t, w, errors.Is(got[i][j], stock.ErrImpossible), "dossier %d, news %d: %v", i, j, got[i][j])
		}
	}
	require.EqualValues(t, 1, get(t, s, done).Version)
}

// A newer snapshot that is impossible does not take the older one with it that came in the same batch.
func TestApply_OlderNewsCountsWhereTheNewestIsImpossible(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 10)
	id := newID()
	got := s.Apply(t.Context(), []stock.Dossier{
		about(id, ordered(1, placed(id, item{SKU: "mug-blue", Quantity: 1})), ordered(2, placed(id))),
	})
	require.NoError(t, got[0][0])
	require.ErrorIs(t, got[0][1], stock.ErrImpossible)
	require.Equal(t, stock.Held, get(t, s, id).Reservation.Status)
}

func TestApply_TwentyForTheLastItem_OneWins(t *testing.T) {
	w := newWarehouse(t)
	instances := []*Store{w.running(), w.running(), w.running()}
	put(t, instances[0], "mug-blue", 1)
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		ids[i] = newID()
		all.Go(func() {
			errs := instances[i%3].Apply(t.Context(), []stock.Dossier{
				about(ids[i], ordered(1, placed(ids[i], item{SKU: "mug-blue", Quantity: 1}))),
			})
			for _, err := range errs[0] {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	held := 0
	for _, id := range ids {
		if get(t, instances[0], id).Reservation.Status == stock.Held {
			held++
		}
	}
	require.Equal(t, 1, held)
	require.Equal(t, stock.Level{SKU: "mug-blue", Reserved: 1}, level(t, instances[0], "mug-blue"))
}

// Three instances work on overlapping batches, as after a rebalance, with everything delivered twice and adjustments
// in between. Every order is decided once, and the books balance.
func TestApply_OverlappingBatchesOfThreeInstances(t *testing.T) {
	w := newWarehouse(t)
	instances := []*Store{w.running(), w.running(), w.running()}
	const skus = 8
	name := func(i int) string { return fmt.Sprintf("sku-%d", i) }
	for i := range skus {
		put(t, instances[0], name(i), 60)
	}
	var dossiers []stock.Dossier
	for range 240 {
		id := newID()
		n := rand.IntN(skus)
		o := func() *eventspb.Order {
			return placed(id, item{SKU: name(n), Quantity: 1}, item{SKU: name((n + 1) % skus), Quantity: 1})
		}
		dossiers = append(dossiers, about(id, ordered(1, o())))
		if rand.IntN(3) == 0 {
			dossiers = append(dossiers, about(id, ordered(2, cancelled(o()))))
		}
	}
	var all sync.WaitGroup
	for n, s := range instances {
		all.Go(func() {
			// Each takes most of the orders, in batches of its own cut, twice.
			for range 2 {
				for i := 0; i < len(dossiers); {
					k := min(len(dossiers)-i, 20+rand.IntN(40))
					if rand.IntN(5) != 0 {
						for _, errs := range s.Apply(t.Context(), merge(dossiers[i:i+k])) {
							if errs[0] != nil {
								t.Error(errs[0])
							}
						}
					}
					i += k
				}
			}
		})
		all.Go(func() {
			for i := range 20 {
				if _, _, err := s.Adjust(t.Context(), Adjustment{SKU: name(i % skus), Quantity: int64(1 - 2*(i%2)), Reason: "count", Key: fmt.Sprint(n%2, "-", i)}); err != nil && !errors.Is(err, stock.ErrBelowZero) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	apply(t, instances[0], merge(dossiers)...)
	var docs []document
	read(t, w.db.Collection(reservationsName), &docs)
	decided := map[string]bool{}
	for _, d := range docs {
		decided[d.ID] = true
	}
	for _, d := range dossiers {
		require.True(t, decided[d.OrderID])
	}
	audit(t, w.db)
}

// merge makes one dossier per order of several, as the consumer does.
func merge(dossiers []stock.Dossier) []stock.Dossier {
	var out []stock.Dossier
	at := map[string]int{}
	for _, d := range dossiers {
		i, ok := at[d.OrderID]
		if !ok {
			i = len(out)
			at[d.OrderID] = i
			out = append(out, stock.Dossier{OrderID: d.OrderID})
		}
		out[i].News = append(out[i].News[:len(out[i].News):len(out[i].News)], d.News...)
	}
	return out
}

func TestApply_EndsWithItsContext(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id := newID()
	got := s.Apply(ctx, []stock.Dossier{about(id, ordered(1, placed(id, item{SKU: "mug-blue", Quantity: 1})))})
	require.Len(t, got, 1)
	require.ErrorIs(t, got[0][0], context.Canceled)
	require.NotErrorIs(t, got[0][0], stock.ErrImpossible)
}

// BenchmarkApply reserves batches of new orders over 60 SKUs.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 100, 200} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := newWarehouse(b)
			s := w.running()
			for i := range 60 {
				put(b, s, fmt.Sprintf("sku-%d", i), 1_000_000)
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += size {
				batch := make([]stock.Dossier, size)
				for j := range batch {
					id := newID()
					batch[j] = about(id, ordered(1, placed(id, item{SKU: fmt.Sprintf("sku-%d", rand.IntN(60)), Quantity: 1})))
				}
				apply(b, s, batch...)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
		})
	}
}

// The guard holds by itself, whatever the transaction has read before.
func TestMove_TakesAllOrNothing(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 5)
	put(t, s, "mug-red", 1)
	for name, changes := range map[string][]stock.Level{
		"more than is available": {{SKU: "mug-blue", Available: -1, Reserved: 1}, {SKU: "mug-red", Available: -2, Reserved: 2}},
		"more than is reserved":  {{SKU: "mug-red", Reserved: -1, Available: 1}},
		"of an unknown SKU":      {{SKU: "mug-blue", Available: -1, Reserved: 1}, {SKU: "none", Available: 1}},
	} {
		err := s.reservations.Transact(t.Context(), func(ctx context.Context, _ *outbox.Tx[document, *document]) error {
			return s.move(ctx, changes)
		})
		require.ErrorIs(t, err, outbox.ErrConflict, name)
	}
	require.Equal(t, stock.Level{SKU: "mug-blue", Available: 5}, level(t, s, "mug-blue"))
	require.Equal(t, stock.Level{SKU: "mug-red", Available: 1}, level(t, s, "mug-red"))
}
