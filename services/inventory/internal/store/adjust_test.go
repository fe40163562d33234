package store

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

func TestAdjust_CreatesTheRowAndNeverGoesBelowZero(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	_, _, err := s.Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: -1, Reason: "broken"})
	require.ErrorIs(t, err, stock.ErrBelowZero)
	_, err = s.Level(t.Context(), "mug-blue")
	require.ErrorIs(t, err, stock.ErrNotFound, "a refused adjustment leaves nothing")

	put(t, s, "mug-blue", 5)
	l, replayed, err := s.Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: -5, Reason: "broken", By: "boss"})
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, stock.Level{SKU: "mug-blue"}, l)
	_, _, err = s.Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: -1, Reason: "broken"})
	require.ErrorIs(t, err, stock.ErrBelowZero)
}

func TestAdjust_ReservedGoodsAreNotTakenAway(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 3)
	id := newID()
	apply(t, s, about(id, ordered(1, placed(id, item{SKU: "mug-blue", Quantity: 2}))))
	_, _, err := s.Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: -2, Reason: "count"})
	require.ErrorIs(t, err, stock.ErrBelowZero)
}

// A commit may be made though its answer is lost, as often as it is asked for. Then the adjustment is found by its id, key or
// not, and is neither made twice nor taken for somebody else's.
func TestAdjust_FindsItsOwnOfWhichNoAnswerCame(t *testing.T) {
	for _, key := range []string{"", "k"} {
		t.Run("key "+key, func(t *testing.T) {
			w := newWarehouse(t)
			put(t, w.instance(), "mug-blue", 10)
			var lossy testbackend.Lossy
			s := w.instanceOn(testbackend.MongoThrough(t, w.db, &lossy))
			lossy.Lose("commitTransaction", "find") // with which the next try begins
			l, replayed, err := s.Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: -3, Reason: "count", Key: key})
			require.NoError(t, err)
			require.Greater(t, lossy.Lost(), 6, "no commit of the first try was answered")
			require.False(t, replayed)
			require.EqualValues(t, 7, l.Available)
			require.EqualValues(t, 7, level(t, w.instance(), "mug-blue").Available)
		})
	}
}

func TestAdjust_KeyCountsOncePerSKU(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	a := Adjustment{SKU: "mug-blue", Quantity: 5, Reason: "PO-7", Key: "k"}
	l, replayed, err := s.Adjust(t.Context(), a)
	require.NoError(t, err)
	require.False(t, replayed)
	require.EqualValues(t, 5, l.Available)

	put(t, s, "mug-blue", 1)
	l, replayed, err = s.Adjust(t.Context(), a)
	require.NoError(t, err)
	require.True(t, replayed)
	require.EqualValues(t, 6, l.Available, "the stock as it is now")

	other := a
	other.Quantity = 6
	_, _, err = s.Adjust(t.Context(), other)
	require.ErrorIs(t, err, stock.ErrKeyReused)
	other = a
	other.SKU = "mug-red"
	_, replayed, err = s.Adjust(t.Context(), other)
	require.NoError(t, err)
	require.False(t, replayed, "a key belongs to its SKU")

	// What would be refused now is first looked up by its key.
	out := Adjustment{SKU: "mug-red", Quantity: -5, Reason: "broken", Key: "out"}
	_, _, err = s.Adjust(t.Context(), out)
	require.NoError(t, err)
	_, replayed, err = s.Adjust(t.Context(), out)
	require.NoError(t, err)
	require.True(t, replayed)

	// A refusal does not use a key up.
	out = Adjustment{SKU: "mug-red", Quantity: -1, Reason: "broken", Key: "later"}
	_, _, err = s.Adjust(t.Context(), out)
	require.ErrorIs(t, err, stock.ErrBelowZero)
	put(t, s, "mug-red", 1)
	_, replayed, err = s.Adjust(t.Context(), out)
	require.NoError(t, err)
	require.False(t, replayed)
}

// Of a commit without an answer the id tells that it was made: it counts once, and is no repeat of somebody else's.
func TestAdjust_ItsOwnTryWithoutAnAnswerCountsOnce(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	doc := adjustment{ID: newID(), SKU: "mug-blue", Quantity: 5}
	for range 2 {
		err := s.reservations.Transact(t.Context(), func(ctx context.Context, _ *outbox.Tx[document, *document]) error {
			l, replayed, err := s.adjust(ctx, doc, true)
			require.False(t, replayed)
			require.EqualValues(t, 5, l.Available)
			return err
		})
		require.NoError(t, err)
	}
}

// Twenty of the same at once, on several instances, the row not there yet: one is made, all get its answer.
func TestAdjust_TwentyWithOneKey_OneIsMade(t *testing.T) {
	w := newWarehouse(t)
	instances := []*Store{w.instance(), w.instance(), w.instance()}
	var all sync.WaitGroup
	var made atomic.Int64
	for i := range 20 {
		all.Go(func() {
			l, replayed, err := instances[i%3].Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: 7, Reason: "PO-7", Key: "k"})
			if err != nil || l.Available != 7 {
				t.Error(l, err)
			}
			if !replayed {
				made.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, made.Load())
	require.EqualValues(t, 7, level(t, instances[0], "mug-blue").Available)
}

func TestAdjust_TwentyTakeTheLastOnes(t *testing.T) {
	w := newWarehouse(t)
	instances := []*Store{w.instance(), w.instance()}
	put(t, instances[0], "mug-blue", 10)
	var all sync.WaitGroup
	var taken atomic.Int64
	for i := range 20 {
		all.Go(func() {
			_, _, err := instances[i%2].Adjust(t.Context(), Adjustment{SKU: "mug-blue", Quantity: -3, Reason: "count"})
			if err == nil {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 3, taken.Load())
	require.EqualValues(t, 1, level(t, instances[0], "mug-blue").Available)
}

func TestLevels_Pages(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	for _, sku := range []string{"c", "a", "b"} {
		put(t, s, sku, 1)
	}
	page, more, err := s.Levels(t.Context(), "", 2)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, []stock.Level{{SKU: "a", Available: 1}, {SKU: "b", Available: 1}}, page)
	page, more, err = s.Levels(t.Context(), "b", 2)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []stock.Level{{SKU: "c", Available: 1}}, page)
}

// Every query that grows with data has an index.
func TestQueries_UseAnIndex(t *testing.T) {
	w := newWarehouse(t)
	s := w.instance()
	put(t, s, "mug-blue", 1)
	for name, c := range map[string]struct {
		collection string
		filter     bson.D
	}{
		"an idempotency key": {adjustmentsName, bson.D{{Key: "sku", Value: "mug-blue"}, {Key: "key", Value: "k"}}},
		"rows of a batch":    {stockName, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: bson.A{"mug-blue", "mug-red"}}}}}},
		"a page":             {stockName, bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: "mug"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := testbackend.Explain(t, w.db.Collection(c.collection), bson.D{{Key: "filter", Value: c.filter}})
			require.NotContains(t, plan, "COLLSCAN")
			require.Regexp(t, `IXSCAN|IDHACK|EXPRESS`, plan)
		})
	}
}
