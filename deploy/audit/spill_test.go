package audit

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// All about an order is in one bucket, in the order in which it came; no bucket of several orders is too large, and of
// the files nothing is left.
func TestSpill_SplitsWhatIsTooLarge(t *testing.T) {
	const orders, limit = 3000, 40
	s := &spill{dir: t.TempDir()}
	defer s.close()
	put := func(id string, offset int64) {
		require.NoError(t, s.put(&entry{Heard: &heard{Key: id, Coordinates: Coordinates{Offset: offset}}}))
	}
	for n := range orders { // about 70 entries a bucket, were they not split
		put(fmt.Sprintf("o-%d", n), 0)
	}
	for n := range orders {
		require.NoError(t, s.put(&entry{Order: &orderDocument{Envelope: Envelope{ID: fmt.Sprintf("o-%d", n)}}}))
	}
	for n := range int64(limit + 1) { // more of one order than a bucket may hold
		put("o-much", n)
	}
	put("o-7", 1)

	seen := map[string][]entry{}
	err := s.each(limit, func(b *bucket) error {
		here := map[string]bool{}
		err := b.read(func(e *entry) error {
			here[e.key()] = true
			seen[e.key()] = append(seen[e.key()], *e)
			return nil
		})
		require.True(t, b.entries <= limit || len(here) == 1, "%d entries of %d orders", b.entries, len(here))
		for id := range here {
			want := 2
			switch id {
			case "o-7":
				want = 3
			case "o-much":
				want = limit + 1
			}
			require.Len(t, seen[id], want, "all of %s is in one bucket", id)
		}
		return err
	})
	require.NoError(t, err)
	require.Len(t, seen, orders+1)
	require.NotNil(t, seen["o-7"][1].Order)
	require.EqualValues(t, 1, seen["o-7"][2].Heard.Offset)
	for n, e := range seen["o-much"] {
		require.EqualValues(t, n, e.Heard.Offset)
	}
	left, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
