package outbox

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestGuarded_SetsWhatDiffers: what stands in the document as it was read is not sent again; a document of unknown
// origin is sent whole.
func TestGuarded_SetsWhatDiffers(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	sent := func(th *thing) []string {
		_, update, err := c.guarded(th)
		require.NoError(t, err)
		var keys []string
		for _, e := range update[0].Value.(bson.D) {
			keys = append(keys, e.Key)
		}
		return keys
	}

	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	a.Count++
	require.Equal(t, []string{"version", "count"}, sent(a))

	a, err = c.Update(t.Context(), "a", func(th *thing) error { th.Label = "changed"; return nil })
	require.NoError(t, err)
	require.Contains(t, sent(a), "count", "it is not known how the document is stored by now")
}
