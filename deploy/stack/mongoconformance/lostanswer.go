package mongoconformance

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/testbackend"
)

func lostAnswer(t *testing.T, uri string) {
	var lossy testbackend.Lossy
	coll := collection(t, connect(t, uri, &lossy))
	seed(t, coll, 1)

	lossy.Lose("insert", "insert")
	_, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "once"}})
	if mongo.IsDuplicateKeyError(err) {
		t.Log("KNOWN: a retried insert meets itself, as a duplicate key; Orderwire reads back what an insert has met")
	} else {
		require.NoError(t, err)
	}
	require.Equal(t, 1, lossy.Lost(), "no answer was lost: this checks nothing")
	require.Len(t, read(t, coll, id("once")), 1)

	lossy.Lose("update", "update")
	// Every update of Orderwire is guarded by the version that it read, so it needs no help here; a server that keeps no
	// record of retried writes is found out all the same.
	result, err := coll.UpdateOne(t.Context(), id(0), inc("n"))
	require.NoError(t, err)
	require.Equal(t, 2, lossy.Lost(), "no answer was lost: this checks nothing")
	require.EqualValues(t, 1, result.MatchedCount)
	if n := read(t, coll, id(0))[0]["n"]; n != int32(1) && os.Getenv("TEST_MONGODB_KIND") == "secantusd-py" {
		t.Logf("KNOWN: a retried update without a guard is done again: %v", n)
	} else {
		require.EqualValues(t, 1, n, "a retried update was done twice")
	}
}
