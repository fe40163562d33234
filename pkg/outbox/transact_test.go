package outbox

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/testbackend"
)

// TestTransaction_GivenUpBeforeItsCommitHoldsNothing: whoever leaves between the last write and the commit leaves no
// transaction open, which would keep others from its documents for up to a minute.
func TestTransaction_GivenUpBeforeItsCommitHoldsNothing(t *testing.T) {
	db := testbackend.Mongo(t)
	// Another process's: the same client would use the same session again, which ends what it has left open.
	other, err := mongo.Connect(options.Client().ApplyURI(os.Getenv("TEST_MONGODB_URI")))
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Disconnect(context.WithoutCancel(t.Context()))) }()
	add := func(client *mongo.Client) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := client.Database(db.Name()).Collection("things").UpdateOne(ctx,
				bson.D{{Key: "_id", Value: "a"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
			return err
		}
	}
	things := db.Collection("things")
	_, err = things.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "a"}, {Key: "n", Value: 0}})
	require.NoError(t, err)

	ctx, leave := context.WithCancel(t.Context())
	err = transaction(ctx, db.Client(), func(ctx context.Context) error {
		defer leave()
		return add(db.Client())(ctx)
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, transaction(t.Context(), other, add(other)))
	var stored struct{ N int }
	require.NoError(t, things.FindOne(t.Context(), bson.D{}).Decode(&stored))
	require.Equal(t, 1, stored.N, "what was given up is not written")
}
