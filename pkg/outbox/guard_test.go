package outbox

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWrite_OffersNothingThatIsNotStored: an event may be published once its change is stored, and not before: a write
// that somebody else was faster with has no event.
func TestWrite_OffersNothingThatIsNotStored(t *testing.T) {
	for name, write := range map[string]func(*testing.T, *Collection[thing, *thing]) error{
		"a lone write": func(t *testing.T, c *Collection[thing, *thing]) error {
			t.Helper()
			stale, err := c.Get(t.Context(), "a")
			require.NoError(t, err)
			_, err = c.Update(t.Context(), "a", func(th *thing) error { th.Count++; return nil })
			require.NoError(t, err)
			stale.count(1)
			return c.write(t.Context(), stale)
		},
		"a batch": func(t *testing.T, c *Collection[thing, *thing]) error {
			t.Helper()
			stale, err := c.Find(t.Context(), "a", "b")
			require.NoError(t, err)
			_, err = c.Update(t.Context(), "b", func(th *thing) error { th.Count++; return nil })
			require.NoError(t, err)
			stale["a"].count(1)
			stale["b"].count(1)
			return c.writeBatch(t, stale["a"], stale["b"])
		},
		"an insert": func(t *testing.T, c *Collection[thing, *thing]) error {
			t.Helper()
			return c.Insert(t.Context(), []*thing{newThing("a")})[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, relay := things(t, &log{})
			for _, id := range []string{"a", "b"} {
				require.NoError(t, c.Insert(t.Context(), []*thing{{Document: Document{ID: id}}})[0])
			}
			require.Error(t, write(t, c))
			require.Zero(t, relay.lanes.entries)
		})
	}
}

// writeBatch tries both in one transaction.
func (c *Collection[T, P]) writeBatch(t *testing.T, docs ...P) error {
	t.Helper()
	err := c.Transact(t.Context(), func(_ context.Context, tx *Tx[T, P]) error {
		for _, doc := range docs {
			tx.Put(doc)
		}
		return nil
	})
	require.ErrorIs(t, err, ErrConflict)
	return err
}
