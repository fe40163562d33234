package mongodb

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// What decides whether an acknowledged write can be lost, or a read see what is rolled back, is not the URI's to say.
func TestClientOptions_AreSafeWhateverTheURISays(t *testing.T) {
	o := clientOptions(Config{URI: "mongodb://127.0.0.1/?w=1&journal=false&readConcernLevel=local&readPreference=secondary&retryWrites=false&timeoutMS=0"},
		"test", newMetrics(nil))
	require.NoError(t, o.Validate())
	require.Equal(t, "majority", o.WriteConcern.W)
	require.True(t, *o.WriteConcern.Journal)
	require.Equal(t, readconcern.Majority(), o.ReadConcern)
	require.Equal(t, readpref.PrimaryMode, o.ReadPreference.Mode())
	require.True(t, *o.RetryWrites)
	require.True(t, *o.RetryReads)
	require.Equal(t, 5*time.Second, *o.Timeout)
	require.EqualValues(t, 64, *o.MaxPoolSize)
}
