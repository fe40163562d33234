package outbox

import (
	"fmt"
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

// acknowledge answers for the entry that is to be sent next.
func acknowledge(t *testing.T, r *Relay) {
	t.Helper()
	lane, e, _ := r.next()
	require.NotNil(t, lane)
	r.done(lane, e, nil)
}

// acknowledgeAll answers for all entries that may be sent.
func acknowledgeAll(r *Relay) {
	for {
		lane, e, _ := r.next()
		if lane == nil {
			return
		}
		r.done(lane, e, nil)
	}
}

// publishMany stores and publishes more things than a batch leaves to the clear loop, one with this id.
func publishMany(t *testing.T, c *Collection[thing, *thing], id string) {
	t.Helper()
	many := []*thing{newThing(id)}
	for n := range fewClears {
		many = append(many, newThing(fmt.Sprintf("%s %d", id, n)))
	}
	for _, err := range c.Insert(t.Context(), many) {
		require.NoError(t, err)
	}
	acknowledgeAll(c.relay)
}

// uncleared gives the published entries of a document that the relay has still to clear.
func uncleared(r *Relay, id string) []string {
	taken := r.takeClears(maxClears)
	defer r.settleClears(taken, false)
	var entries []string
	for _, a := range taken {
		if a.id == id {
			entries = append(entries, a.entry)
		}
	}
	return entries
}
