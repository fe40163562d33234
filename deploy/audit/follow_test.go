package audit_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/deploy/audit"
	events "github.com/orderwire/orderwire/proto-events"
)

// A follower sees a lost event of an order, whose earlier ones it has seen, and nothing wrong in what is well.
func TestFollow_AuditsWhatIsNew(t *testing.T) {
	w := well(t)
	c := w.store(t)
	c.Every = 10 * time.Millisecond
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	db := connect(t, c)
	write := func(version, sequence int64, published bool) {
		_, err := db.Collection("orders").UpdateOne(t.Context(), bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "$set", Value: bson.D{
			{Key: "version", Value: version}, {Key: "sequences", Value: bson.M{events.TopicOrders: sequence}},
		}}})
		require.NoError(t, err)
		if published {
			require.NoError(t, client.ProduceSync(t.Context(), record(t, events.OrderUpdated, sequence, order(version))).FirstErr())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	round, seen := 0, 0
	err = audit.Follow(ctx, c, func(r *audit.Report) error {
		round++
		switch {
		case round == 1:
			require.True(t, r.Holds())
			require.Equal(t, 6, r.Events, "all of it, first")
			write(4, 4, true)
		case seen == 0 && r.Events > 0:
			seen++
			require.True(t, r.Holds(), "%+v", r.Invariants)
			require.Equal(t, 1, r.Events, "what is new")
			write(5, 5, false) // the event of this change is lost
			write(6, 6, true)
		case r.Events > 0:
			require.False(t, r.Holds())
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, audit.ErrViolated)
}

func connect(t *testing.T, c audit.Config) *mongo.Database {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(c.MongoDB))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Disconnect(context.Background())) })
	return client.Database(c.Databases.OrderAPI)
}
