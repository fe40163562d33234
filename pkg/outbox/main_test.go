package outbox

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

const topic = "things"

type thing struct {
	Document `bson:",inline"`
	Count    int      `bson:"count"`
	Label    string   `bson:"label"`
	Tags     []string `bson:"tags"`
}

// count adds to the thing and says so.
func (th *thing) count(n int) {
	th.Count += n
	th.say(topic)
}

func (th *thing) say(topic string) {
	th.Touch()
	th.Append(Entry{
		ID: uuid.Must(uuid.NewV7()).String(), Topic: topic, Key: th.ID, Sequence: th.NextSequence(topic), At: time.Now(),
		Headers: []Header{{"version", "1"}}, Body: []byte(th.ID),
	})
}

func newThing(id string) *thing {
	th := &thing{Document: Document{ID: id}}
	th.count(1)
	return th
}

// things gives a collection with its index, and the relay behind it, which does not run.
func things(t *testing.T, p Publisher) (*Collection[thing, *thing], *Relay) {
	t.Helper()
	db := testbackend.Mongo(t)
	return thingsIn(t, db, p)
}

func thingsIn(t *testing.T, db *mongo.Database, p Publisher) (*Collection[thing, *thing], *Relay) {
	t.Helper()
	coll := db.Collection("things")
	_, err := coll.Indexes().CreateMany(t.Context(), Indexes())
	require.NoError(t, err)
	relay := NewRelay(coll, p, quiet, nil)
	return NewCollection[thing](coll, relay), relay
}

// log is a topic in memory. Its answers come from other goroutines, as a producer's do.
type log struct {
	mu      sync.Mutex
	records []*kafka.Message
	calls   sync.WaitGroup
}

func (l *log) Publish(m *kafka.Message, done func(error)) {
	l.calls.Go(func() {
		l.mu.Lock()
		l.records = append(l.records, m)
		l.mu.Unlock()
		done(nil)
	})
}
