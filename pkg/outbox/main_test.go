package outbox

import (
	"errors"
	"io"
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

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

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
func things(t *testing.T, p Publisher, opts ...Option) (*Collection[thing, *thing], *Relay) {
	t.Helper()
	db := testbackend.Mongo(t)
	return thingsIn(t, db, p, opts...)
}

func thingsIn(t *testing.T, db *mongo.Database, p Publisher, opts ...Option) (*Collection[thing, *thing], *Relay) {
	t.Helper()
	coll := db.Collection("things")
	_, err := coll.Indexes().CreateMany(t.Context(), Indexes())
	require.NoError(t, err)
	relay := NewRelay(coll, p, quiet, nil, opts...)
	return NewCollection[thing](coll, relay), relay
}

// log is a topic in memory. Its answers come from other goroutines, as a producer's do.
type log struct {
	mu      sync.Mutex
	records []*kafka.Message
	refuse  func(*kafka.Message) error // may be nil
	calls   sync.WaitGroup
}

var errAway = errors.New("no answer")

func (l *log) Publish(m *kafka.Message, done func(error)) {
	l.calls.Go(func() {
		l.mu.Lock()
		var err error
		if l.refuse != nil {
			err = l.refuse(m)
		}
		if err == nil {
			l.records = append(l.records, m)
		}
		l.mu.Unlock()
		done(err)
	})
}

func (l *log) all() []*kafka.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*kafka.Message(nil), l.records...)
}

func (l *log) setRefuse(refuse func(*kafka.Message) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = refuse
}
