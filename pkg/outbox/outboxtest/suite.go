package outboxtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

// patience bounds every wait; no test expects a time.
const patience = 60 * time.Second

// Run checks the relay's promises with a database and a broker for each of them.
func Run(t *testing.T, database func(testing.TB) *mongo.Database, broker func(testing.TB) Broker) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *suite){
		"publishes in order whoever writes":           inOrder,
		"repeats identically after a crash":           afterCrash,
		"keeps the order when answers are lost":       lostAnswers,
		"two relays never put new before old":         twoRelays,
		"sweeps what did not fit into memory":         overflow,
		"drains when the broker is back":              brokerBack,
		"a poison entry blocks only its own order":    poison,
		"lets go of an entry that was removed":        removed,
		"waits for acknowledgements when it is ended": drain,
		"finds stored entries by its index":           index,
	} {
		t.Run(name, func(t *testing.T) {
			db, b := database(t), broker(t)
			coll := db.Collection("docs")
			require.NoError(t, mongodb.EnsureIndexes(t.Context(), coll, outbox.Indexes()...))
			test(t, &suite{coll: coll, broker: b})
		})
	}
}

type suite struct {
	coll   *mongo.Collection
	broker Broker
}

// doc counts its own changes.
type doc struct {
	outbox.Document `bson:",inline"`
	Count           int `bson:"count"`
}

type docs = outbox.Collection[doc, *doc]

// change adds one event for each topic.
func (d *doc) change(topics ...string) {
	d.Count++
	for _, topic := range topics {
		n := d.NextSequence(topic)
		id := uuid.Must(uuid.NewV7()).String()
		d.Append(outbox.Entry{
			ID: id, Topic: topic, Key: d.ID, Sequence: n, At: time.Now(),
			Headers: []outbox.Header{{Key: "id", Value: id}, {Key: "sequence", Value: strconv.FormatInt(n, 10)}},
			Body:    fmt.Appendf(nil, "%s changed %d times", d.ID, d.Count),
		})
	}
}

func fresh(id string, topics ...string) *doc {
	d := &doc{Document: outbox.Document{ID: id}}
	d.change(topics...)
	return d
}

// eager sweeps at once and often, and sends again at once and often.
func eager(more ...outbox.Option) []outbox.Option {
	return append([]outbox.Option{
		outbox.WithSweep(20*time.Millisecond, 0),
		outbox.WithBackoff(time.Millisecond, 20*time.Millisecond),
		outbox.WithClearEvery(5 * time.Millisecond),
	}, more...)
}

// lazy leaves everything to the fast path.
func lazy(more ...outbox.Option) []outbox.Option {
	return append([]outbox.Option{
		outbox.WithSweep(time.Hour, time.Hour),
		outbox.WithBackoff(time.Millisecond, 20*time.Millisecond),
		outbox.WithClearEvery(5 * time.Millisecond),
	}, more...)
}

// relay starts one; stop ends it and waits.
func (s *suite) relay(t testing.TB, p outbox.Publisher, opts []outbox.Option) (c *docs, stop func()) {
	t.Helper()
	r := outbox.NewRelay(s.coll, p, slog.New(slog.DiscardHandler), nil, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return outbox.NewCollection[doc](s.coll, r), stop
}

// insert stores n documents with one event each in both topics.
func (s *suite) insert(t testing.TB, c *docs, n int) {
	t.Helper()
	all := make([]*doc, n)
	for i := range all {
		all[i] = fresh(fmt.Sprintf("doc-%04d", i), s.broker.Topics[:]...)
	}
	for _, err := range c.Insert(t.Context(), all) {
		require.NoError(t, err)
	}
}

func (s *suite) unsent(t testing.TB) int {
	t.Helper()
	n, err := s.coll.CountDocuments(t.Context(), bson.D{{Key: "outbox", Value: bson.D{{Key: "$ne", Value: bson.A{}}}}})
	require.NoError(t, err)
	return int(n)
}

// drained waits until no outbox holds anything.
func (s *suite) drained(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return s.unsent(t) == 0 }, patience, 20*time.Millisecond, "the outboxes do not drain")
}

// read gives the topic's records by key, and checks what must hold for any log: first occurrences in the order of
// their sequence, repeats identical, one partition per key. last is the highest sequence of each key.
func (s *suite) read(t testing.TB, topic string) (last map[string]int, repeats int) {
	t.Helper()
	last = map[string]int{}
	first := map[string]Record{}
	partition := map[string]int32{}
	for _, r := range s.broker.Records(t, topic) {
		n, err := strconv.Atoi(r.Headers["sequence"])
		require.NoError(t, err)
		id := r.Headers["id"]
		if old, ok := first[id]; ok {
			require.Equal(t, old, r, "a repeat differs")
			repeats++
			continue
		}
		first[id] = r
		require.Equal(t, last[r.Key]+1, n, "%s: not the next event", r.Key)
		last[r.Key] = n
		if p, ok := partition[r.Key]; ok {
			require.Equal(t, p, r.Partition, "%s is in two partitions", r.Key)
		}
		partition[r.Key] = r.Partition
	}
	return last, repeats
}

// complete checks that both topics hold n events of each of the documents.
func (s *suite) complete(t testing.TB, documents, n int) (repeats int) {
	t.Helper()
	for _, topic := range s.broker.Topics {
		last, again := s.read(t, topic)
		require.Len(t, last, documents, "documents in %s", topic)
		for key, got := range last {
			require.Equal(t, n, got, "events of %s in %s", key, topic)
		}
		repeats += again
	}
	return repeats
}

func inOrder(t *testing.T, s *suite) {
	c, _ := s.relay(t, s.broker, lazy())
	s.insert(t, c, 5)
	s.changeByTwenty(t, c, c)
	s.drained(t)
	require.Zero(t, s.complete(t, 5, 1+20*changes), "nothing failed, so nothing is repeated")
}

const changes = 5

// changeByTwenty lets twenty writers change the same five documents.
func (s *suite) changeByTwenty(t *testing.T, collections ...*docs) {
	t.Helper()
	var writers sync.WaitGroup
	for w := range 20 {
		c := collections[w%len(collections)]
		writers.Go(func() {
			for range changes {
				for i := range 5 {
					id := fmt.Sprintf("doc-%04d", (w+i)%5)
					_, err := c.Update(t.Context(), id, func(d *doc) error {
						d.change(s.broker.Topics[:]...)
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	writers.Wait()
}

// afterCrash: the broker has taken the events, and the process dies before it hears of it.
func afterCrash(t *testing.T, s *suite) {
	c, kill := s.relay(t, &faulty{Publisher: s.broker, fault: always(vanished)}, lazy(outbox.WithDrainTimeout(0)))
	s.insert(t, c, 20)
	require.Eventually(t, func() bool {
		return len(s.broker.Records(t, s.broker.Topics[0])) == 20 && len(s.broker.Records(t, s.broker.Topics[1])) == 20
	}, patience, 20*time.Millisecond)
	kill()
	require.Equal(t, 20, s.unsent(t), "what is not acknowledged stays stored")
	s.relay(t, s.broker, eager())
	s.drained(t)
	require.Equal(t, 40, s.complete(t, 20, 1))
}

// lostAnswers: every third record gets there and is answered with an error, every fifth does not get there.
func lostAnswers(t *testing.T, s *suite) {
	n := 0
	c, _ := s.relay(t, &faulty{Publisher: s.broker, fault: func(*kafka.Message) fault {
		n++
		switch {
		case n%3 == 0:
			return unknown
		case n%5 == 0:
			return lost
		}
		return none
	}}, lazy())
	s.insert(t, c, 5)
	s.changeByTwenty(t, c)
	s.drained(t)
	require.NotZero(t, s.complete(t, 5, 1+20*changes), "no answer was lost: this tests nothing")
}

// twoRelays: two processes change the same documents, and each sweeps what the other is about to publish.
func twoRelays(t *testing.T, s *suite) {
	one, _ := s.relay(t, s.broker, eager())
	two, _ := s.relay(t, s.broker, eager())
	s.insert(t, one, 5)
	s.changeByTwenty(t, one, two)
	s.drained(t)
	s.complete(t, 5, 1+20*changes)
}

func overflow(t *testing.T, s *suite) {
	c, _ := s.relay(t, s.broker, eager(outbox.WithMemory(10, 1<<20)))
	s.insert(t, c, 300)
	s.drained(t)
	s.complete(t, 300, 1)
}

func brokerBack(t *testing.T, s *suite) {
	gate := &faulty{Publisher: s.broker}
	gate.set(always(lost))
	c, _ := s.relay(t, gate, eager())
	s.insert(t, c, 100)
	for i := range 100 {
		_, err := c.Update(t.Context(), fmt.Sprintf("doc-%04d", i), func(d *doc) error { d.change(s.broker.Topics[0]); return nil })
		require.NoError(t, err)
	}
	require.Equal(t, 100, s.unsent(t))
	require.Empty(t, s.broker.Records(t, s.broker.Topics[0]))
	gate.set(nil)
	s.drained(t)
	last, _ := s.read(t, s.broker.Topics[0])
	require.Len(t, last, 100)
	for key, n := range last {
		require.Equal(t, 2, n, key)
	}
}

// poison: one document's entry in one topic is never taken. Memory is small, so that it could crowd out others.
func poison(t *testing.T, s *suite) {
	gate := &faulty{Publisher: s.broker, fault: func(m *kafka.Message) fault {
		if m.Key == "doc-0003" && m.Topic == s.broker.Topics[0] {
			return lost
		}
		return none
	}}
	c, _ := s.relay(t, gate, eager(outbox.WithMemory(8, 1<<20)))
	s.insert(t, c, 60)
	for i := range 60 {
		_, err := c.Update(t.Context(), fmt.Sprintf("doc-%04d", i), func(d *doc) error { d.change(s.broker.Topics[:]...); return nil })
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return s.unsent(t) == 1 }, patience, 20*time.Millisecond, "the others do not drain")
	require.Eventually(t, func() bool {
		d, err := c.Get(t.Context(), "doc-0003")
		require.NoError(t, err)
		return d.Unsent() == 2 && d.Outbox[0].Topic == s.broker.Topics[0] && d.Outbox[1].Topic == s.broker.Topics[0]
	}, patience, 20*time.Millisecond, "its other topic goes on")
	last, _ := s.read(t, s.broker.Topics[0])
	require.Len(t, last, 59)
	gate.set(nil)
	s.drained(t)
	s.complete(t, 60, 2)
}

// removed: an operator takes an entry away that could never be published, and what came after it goes on.
func removed(t *testing.T, s *suite) {
	var tries atomic.Int64
	gate := &faulty{Publisher: s.broker, fault: func(m *kafka.Message) fault {
		if m.Topic == s.broker.Topics[0] && slices.Contains(m.Headers, kafka.Header{Key: "sequence", Value: "1"}) {
			tries.Add(1)
			return lost
		}
		return none
	}}
	c, _ := s.relay(t, gate, eager())
	s.insert(t, c, 1)
	_, err := c.Update(t.Context(), "doc-0000", func(d *doc) error { d.change(s.broker.Topics[0]); return nil })
	require.NoError(t, err)
	require.Eventually(t, func() bool { return tries.Load() > 10 }, patience, 5*time.Millisecond)
	_, err = s.coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "doc-0000"}},
		bson.D{{Key: "$pull", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "topic", Value: s.broker.Topics[0]}, {Key: "sequence", Value: 1}}}}}})
	require.NoError(t, err)
	s.drained(t)
	records := s.broker.Records(t, s.broker.Topics[0])
	require.Len(t, records, 1)
	require.Equal(t, "2", records[0].Headers["sequence"])
}

func drain(t *testing.T, s *suite) {
	c, stop := s.relay(t, s.broker, lazy(outbox.WithClearEvery(time.Hour), outbox.WithDrainTimeout(patience)))
	s.insert(t, c, 200)
	stop()
	require.Zero(t, s.unsent(t))
	require.Zero(t, s.complete(t, 200, 1))
}

// index: the query for stored entries must not read the documents without any.
func index(t *testing.T, s *suite) {
	c, stop := s.relay(t, s.broker, lazy())
	s.insert(t, c, 300)
	s.drained(t)
	stop()
	idle := outbox.NewRelay(s.coll, s.broker, slog.New(slog.DiscardHandler), nil)
	for _, err := range outbox.NewCollection[doc](s.coll, idle).Insert(t.Context(), []*doc{fresh("left-1", s.broker.Topics[0]), fresh("left-2", s.broker.Topics[0])}) {
		require.NoError(t, err)
	}
	testbackend.NeedsPlans(t)
	plan, err := idle.Explain(t.Context())
	require.NoError(t, err)
	require.Equal(t, "outbox_left", plan.Index)
	require.LessOrEqual(t, plan.DocsExamined, 2)
}
