package outbox

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// changes are the ways of changing stored documents.
var changes = map[string]func(context.Context, *Collection[thing, *thing], func(*thing)) error{
	"a lone write": func(ctx context.Context, c *Collection[thing, *thing], change func(*thing)) error {
		_, err := c.Update(ctx, "a", func(th *thing) error { change(th); return nil })
		return err
	},
	"a batch": func(ctx context.Context, c *Collection[thing, *thing], change func(*thing)) error {
		failed := c.Apply(ctx, []string{"a", "b"}, func(_ string, th *thing) (*thing, error) { change(th); return th, nil })
		return errors.Join(failed["a"], failed["b"])
	},
}

// TestWrite_TakesPublishedEntriesAlong: the document is written anyway, and its published entries need no clearing then.
func TestWrite_TakesPublishedEntriesAlong(t *testing.T) {
	for name, write := range changes {
		t.Run(name, func(t *testing.T) {
			c, relay := things(t, &log{})
			for _, err := range c.Insert(t.Context(), []*thing{newThing("a"), newThing("b")}) {
				require.NoError(t, err)
			}
			acknowledgeAll(relay)

			require.NoError(t, write(t.Context(), c, func(th *thing) { th.count(1) }))
			a, err := c.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Len(t, a.Outbox, 1)
			require.Equal(t, int64(2), a.Outbox[0].Sequence, "the write's own")
			require.Empty(t, uncleared(relay, "a"))
			require.InDelta(t, float64(relay.lanes.entries), testutil.ToFloat64(relay.metrics.cleared), 0, "as many as were written anew")

			acknowledgeAll(relay)
			require.NoError(t, write(t.Context(), c, func(th *thing) { th.Label = "quiet" }))
			a, err = c.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, "quiet", a.Label)
			require.Empty(t, a.Outbox, "a write without an event takes them along as well")
			raw, err := c.coll.FindOne(t.Context(), bson.D{{Key: "_id", Value: "a"}}).Raw()
			require.NoError(t, err)
			require.Equal(t, bson.TypeArray, raw.Lookup("outbox").Type)
		})
	}
}

// TestWrite_KeepsWhatIsNotPublished: whoever cannot be sure that all of it is published removes nothing.
func TestWrite_KeepsWhatIsNotPublished(t *testing.T) {
	for name, write := range changes {
		t.Run(name, func(t *testing.T) {
			c, relay := things(t, &log{})
			for _, id := range []string{"a", "b"} {
				th := newThing(id)
				th.say("others")
				require.NoError(t, c.Insert(t.Context(), []*thing{th})[0])
			}
			acknowledge(t, relay) // one of a's two

			require.NoError(t, write(t.Context(), c, func(th *thing) { th.count(1) }))
			a, err := c.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Len(t, a.Outbox, 3)

			other, _ := thingsIn(t, c.coll.Database(), &log{}) // another process, which has heard of nothing
			require.NoError(t, write(t.Context(), other, func(th *thing) { th.count(1) }))
			a, err = c.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Len(t, a.Outbox, 4)
		})
	}
}

// TestUpdate_GivesTheDocumentAsItIsStored, without what its write has taken along.
func TestUpdate_GivesTheDocumentAsItIsStored(t *testing.T) {
	c, relay := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	acknowledge(t, relay)
	written, err := c.Update(t.Context(), "a", func(th *thing) error { th.count(1); return nil })
	require.NoError(t, err)
	stored, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, stored.Unsent(), written.Unsent())
	require.Equal(t, stored.Outbox[0].ID, written.Outbox[0].ID)
}

// TestWrite_TakesNothingAlongThatFails: a write that is not made has removed nothing, and the entries are cleared later.
func TestWrite_TakesNothingAlongThatFails(t *testing.T) {
	c, relay := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	acknowledge(t, relay)
	stale, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	other, _ := thingsIn(t, c.coll.Database(), &log{})
	_, err = other.Update(t.Context(), "a", func(th *thing) error { th.Label = "faster"; return nil })
	require.NoError(t, err)

	stale.count(1)
	require.ErrorIs(t, c.write(t.Context(), stale), ErrConflict)
	require.Len(t, uncleared(relay, "a"), 1)
	relay.clear(t.Context())
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, a.Outbox)
	require.Empty(t, uncleared(relay, "a"))
}

// TestApply_ClearsBesideWhatItTakesAlong: of a document that keeps an entry, the published one is cleared in the same batch.
func TestApply_ClearsBesideWhatItTakesAlong(t *testing.T) {
	c, relay := things(t, &log{})
	publishMany(t, c, "a")
	b := newThing("b")
	b.say("others")
	require.NoError(t, c.Insert(t.Context(), []*thing{b})[0])
	acknowledge(t, relay) // one of b's two

	require.Empty(t, c.Apply(t.Context(), []string{"a", "b"}, func(_ string, th *thing) (*thing, error) { th.count(1); return th, nil }))
	found, err := c.Find(t.Context(), "a", "b")
	require.NoError(t, err)
	require.Len(t, found["a"].Outbox, 1)
	require.Len(t, found["b"].Outbox, 2, "the one that is not published, and the new one")
	require.Empty(t, uncleared(relay, "a"))
	require.Empty(t, uncleared(relay, "b"))
}

// TestUpdate_ThatHearsNothingForgetsNoClearing: it may have removed nothing.
func TestUpdate_ThatHearsNothingForgetsNoClearing(t *testing.T) {
	c, relay, lossy := lossyThings(t)
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	acknowledge(t, relay)
	countUnheard(t, c, lossy)
	require.Equal(t, 1, relay.lanes.entries, "the new one, once")
	acknowledge(t, relay)
	relay.clear(t.Context())
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, a.Outbox)
	require.Empty(t, uncleared(relay, "a"))
}
