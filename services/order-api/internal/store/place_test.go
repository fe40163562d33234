package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/group"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// TestPlace_AKeyIsKnownWhenItsRequestWouldBeRefused: what was placed stays answered with its order, also when nobody could
// place it any more.
func TestPlace_AKeyIsKnownWhenItsRequestWouldBeRefused(t *testing.T) {
	s := open(t)
	first := place(t, s, "c-1", "k")
	require.NoError(t, s.DeleteProduct(t.Context(), "mug"))

	again, err := s.Place(t.Context(), placement("c-1", "k"))
	require.NoError(t, err)
	require.True(t, again.Replayed)
	require.Equal(t, first.ID, again.Order.ID)

	_, err = s.Place(t.Context(), placement("c-1", "another"))
	require.ErrorContains(t, err, "mug")
}

// TestPlace_RefusedTwinsAreAnsweredTogether: whatever many ask for under one key, their neighbours do not wait for one look
// at the database each.
func TestPlace_RefusedTwinsAreAnsweredTogether(t *testing.T) {
	s := open(t)
	batch := make([]Placement, 5)
	for i := range batch {
		batch[i] = placement("c-1", "k")
		batch[i].Draft.Items[0].SKU = "unheard-of"
	}
	waiting := []int{0, 1, 2, 3, 4}
	results := make([]group.Result[Placed], len(batch))
	again, _, err := s.placeRound(t.Context(), batch, waiting, true, results)
	require.NoError(t, err)
	require.ElementsMatch(t, waiting, again, "each may have been placed when it was right")

	again, _, err = s.placeRound(t.Context(), batch, again, false, results)
	require.NoError(t, err)
	require.Empty(t, again)
	for _, r := range results {
		var invalid *order.InvalidError
		require.ErrorAs(t, r.Err, &invalid)
	}
}

// TestPlace_WhoIsRefusedLeadsNobody: of those with one key it is the first right one that is placed.
func TestPlace_WhoIsRefusedLeadsNobody(t *testing.T) {
	s := open(t)
	place(t, s, "c-0", "there is a price list")
	batch := []Placement{placement("c-1", "k"), placement("c-1", "k"), placement("c-1", "k")}
	batch[0].Draft.Items[0].SKU, batch[0].Hash = "unheard-of", []byte("another body")
	results := s.placeAll(t.Context(), batch)
	require.ErrorIs(t, results[0].Err, ErrKeyReused)
	require.NoError(t, results[1].Err)
	require.NoError(t, results[2].Err)
	require.Equal(t, results[1].Value.Order.ID, results[2].Value.Order.ID)
}
