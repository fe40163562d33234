package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestStuck_FindsWhatIsBeyondItsDeadline(t *testing.T) {
	d := database(t)
	now := noon.Add(time.Hour)
	put := func(n int, status string, age time.Duration) string {
		at := now.Add(-age)
		id := idAt(at)[:35] + fmt.Sprint(n)
		doc := bson.M{"_id": id, "customerId": "alice", "status": status, "createdAt": at, "updatedAt": now, "waiting": nil}
		if status != "pending" && status != "delivered" {
			doc["waiting"] = bson.M{"status": status, "since": at}
		}
		store(t, d, stored{order: doc})
		return id
	}
	deadlines := map[string]time.Duration{"pending": time.Minute, "confirmed": 10 * time.Minute, "cancelling": time.Minute, "shipped": time.Hour}
	old := put(1, "pending", 3*time.Minute)
	older := put(2, "pending", 4*time.Minute)
	put(3, "pending", 59*time.Second)
	put(4, "confirmed", 9*time.Minute)
	parcel := put(5, "confirmed", 11*time.Minute)
	put(6, "delivered", 100*time.Hour)

	all, err := Stuck(t.Context(), d, deadlines, 10, now)
	require.NoError(t, err)
	got := map[string][]string{}
	for _, o := range all {
		require.Len(t, o.Orders, int(o.Total))
		for _, w := range o.Orders {
			got[o.Status] = append(got[o.Status], w.ID)
		}
	}
	require.Equal(t, map[string][]string{"pending": {older, old}, "confirmed": {parcel}}, got, "the oldest first")
	require.Equal(t, now.Add(-4*time.Minute), all[0].Orders[0].Since.UTC())

	all, err = Stuck(t.Context(), d, deadlines, 1, now)
	require.NoError(t, err)
	require.Len(t, all[0].Orders, 1)
	require.EqualValues(t, 2, all[0].Total)
}

// With order-api's indexes none of it reads the orders that have ended.
func TestStuck_ReadsIndexes(t *testing.T) {
	d := database(t)
	orders := d.Collection(documents.OrderAPI)
	_, err := orders.Indexes().CreateMany(t.Context(), []mongo.IndexModel{
		{Keys: bson.D{{Key: "status", Value: 1}, {Key: "_id", Value: -1}}},
		{
			Keys: bson.D{{Key: "waiting.status", Value: 1}, {Key: "waiting.since", Value: 1}},
			Options: options.Index().SetPartialFilterExpression(
				bson.D{{Key: "waiting.since", Value: bson.D{{Key: "$exists", Value: true}}}}),
		},
	})
	require.NoError(t, err)
	for n := range 30 {
		store(t, d, stored{order: bson.M{"_id": fmt.Sprint(n), "status": "delivered", "waiting": nil}})
	}
	for _, status := range States() {
		filter, sort := overdue(status, noon)
		plan := testbackend.Explain(t, orders, bson.D{{Key: "filter", Value: filter}, {Key: "sort", Value: sort}})
		require.NotContains(t, plan, "COLLSCAN", status)
		require.NotContains(t, plan, `"SORT"`, status)
	}
}
