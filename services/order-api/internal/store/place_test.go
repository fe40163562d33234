package store

import (
	"testing"

	"github.com/stretchr/testify/require"
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
