package outbox

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/testbackend"
)

// often is less than the driver asks within the client's time-out.
const often = 3

// lossyThings is things whose database can be made not to be heard.
func lossyThings(t *testing.T) (*Collection[thing, *thing], *Relay, *testbackend.Lossy) {
	t.Helper()
	var lossy testbackend.Lossy
	c, relay := thingsIn(t, testbackend.MongoThrough(t, testbackend.Mongo(t), &lossy), &log{})
	return c, relay, &lossy
}

func TestInsert_IsMadeThoughNoAnswerCame(t *testing.T) {
	c, relay, lossy := lossyThings(t)
	lossy.Lose("insert", "find")
	require.NoError(t, errors.Join(c.Insert(t.Context(), []*thing{newThing("a"), newThing("b")})...))
	require.Greater(t, lossy.Lost(), often)
	require.Equal(t, 2, relay.lanes.entries)
}

func TestUpdate_IsMadeOnceThoughNoAnswerCame(t *testing.T) {
	c, relay, lossy := lossyThings(t)
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	countUnheard(t, c, lossy)
	require.Equal(t, 2, relay.lanes.entries)
}

// countUnheard counts a on from 1 by an update that is made once, though no answer comes.
func countUnheard(t *testing.T, c *Collection[thing, *thing], lossy *testbackend.Lossy) {
	t.Helper()
	lossy.Lose("update", "find")
	decided := 0
	a, err := c.Update(t.Context(), "a", func(th *thing) error { decided++; th.count(1); return nil })
	require.NoError(t, err)
	require.Greater(t, lossy.Lost(), often)
	require.Equal(t, 1, decided)
	require.Equal(t, 2, a.Count)
}

// A batch that hears nothing of its commit says so, and has told nobody of its events. Who applies it again finds it made,
// and then they are on their way.
func TestApply_SaysWhereNoAnswerCame_AndApplyingAgainTells(t *testing.T) {
	c, relay, lossy := lossyThings(t)
	ids := []string{"a", "b", "c"}
	fold := func(id string, th *thing) (*thing, error) {
		if th != nil {
			return th, ErrUnchanged
		}
		return newThing(id), nil
	}
	lossy.Lose("commitTransaction", "find")
	failed := c.Apply(t.Context(), ids, fold)
	require.Greater(t, lossy.Lost(), commitTries*often)
	require.Len(t, failed, len(ids))
	for _, id := range ids {
		require.ErrorIs(t, failed[id], ErrUnknown)
	}
	require.Zero(t, relay.lanes.entries)

	require.Empty(t, c.Apply(t.Context(), ids, fold))
	require.Equal(t, len(ids), relay.lanes.entries)
	found, err := c.Find(t.Context(), ids...)
	require.NoError(t, err)
	for _, id := range ids {
		require.Equal(t, 1, found[id].Count)
		require.Len(t, found[id].Outbox, 1)
	}
}
