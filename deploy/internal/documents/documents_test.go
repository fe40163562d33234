package documents

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A database that goes away under way is away; one who ends it themselves, or has a document that
// cannot be read, is told that.
func TestFind_ADatabaseThatGoesAwayIsUnreachable(t *testing.T) {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=10"))
	require.NoError(t, err)
	d := &Databases{client: client.Database("orders"), names: map[string]string{OrderAPI: "orders"}}
	defer func() { require.NoError(t, d.Close(context.WithoutCancel(t.Context()))) }()
	ended, end := context.WithCancel(t.Context())
	end()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()

	var away *UnreachableError
	for _, ctx := range []context.Context{t.Context(), late} {
		_, err = d.Find(ctx, OrderAPI, "o-1")
		require.ErrorAs(t, err, &away)
		require.ErrorContains(t, err, "read documents of order-api: ")
	}
	_, err = d.Find(ended, OrderAPI, "o-1")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorAs(t, err, &away)

	cursor, err := mongo.NewCursorFromDocuments([]any{map[string]any{"version": "three"}}, nil, nil)
	require.NoError(t, err)
	var orders []Order
	err = Away(t.Context(), cursor.All(t.Context(), &orders))
	require.Error(t, err, "no document of ours")
	require.NotErrorAs(t, err, &away)
}
