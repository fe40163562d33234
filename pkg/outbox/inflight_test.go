package outbox

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// silent is a broker that takes records and does not say so yet.
type silent struct {
	mu    sync.Mutex
	taken []string
	done  []func(error)
}

func (s *silent) Publish(m *kafka.Message, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken, s.done = append(s.taken, string(m.Value)), append(s.done, done)
}

// acknowledge answers for what was taken so far, and gives it.
func (s *silent) acknowledge() []string {
	s.mu.Lock()
	taken, done := s.taken, s.done
	s.taken, s.done = nil, nil
	s.mu.Unlock()
	for _, d := range done {
		d(nil)
	}
	return taken
}

// unasked is a collection of a database that is not there.
func unasked(t *testing.T) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Disconnect(context.WithoutCancel(t.Context()))) })
	return client.Database("x").Collection("x")
}

// startSending lets r send until the function that it gives is called.
func startSending(t *testing.T, r *Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.sendLoop(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// TestRelay_OneUnacknowledgedEntryPerOrderAndTopic: a producer may write a later batch before one that it sends again,
// so the next entry waits for the answer; other topics and other orders do not.
func TestRelay_OneUnacknowledgedEntryPerOrderAndTopic(t *testing.T) {
	coll := unasked(t)
	synctest.Test(t, func(t *testing.T) {
		broker := &silent{}
		r := NewRelay(coll, broker, quiet, nil)
		for _, id := range []string{"a", "b"} {
			var view []Entry
			for _, topic := range []string{"x", "y"} {
				for n := range int64(2) {
					body := id + topic + string(rune('1'+n))
					view = append(view, Entry{ID: body, Topic: topic, Key: id, Sequence: n + 1, Body: []byte(body)})
				}
			}
			r.Offer(id, nil, view)
		}
		stop := startSending(t, r)
		synctest.Wait()
		require.ElementsMatch(t, []string{"ax1", "ay1", "bx1", "by1"}, broker.acknowledge())
		time.Sleep(gathering(4))
		synctest.Wait()
		require.ElementsMatch(t, []string{"ax2", "ay2", "bx2", "by2"}, broker.acknowledge())
		stop()
	})
}

// TestRelay_GathersAfterABurst: what comes alone is sent at once, what comes soon after others goes together.
func TestRelay_GathersAfterABurst(t *testing.T) {
	coll := unasked(t)
	synctest.Test(t, func(t *testing.T) {
		broker := &silent{}
		r := NewRelay(coll, broker, quiet, nil)
		defer startSending(t, r)()
		offered := 0
		offer := func(n int) {
			for range n {
				offered++
				id := strconv.Itoa(offered)
				r.Offer(id, nil, []Entry{{ID: id, Topic: "x", Key: id, Sequence: 1}})
			}
			synctest.Wait()
		}
		sentAfter := func(d time.Duration) int {
			time.Sleep(d)
			synctest.Wait()
			return len(broker.acknowledge())
		}
		offer(1)
		require.Equal(t, 1, sentAfter(0), "it is the first")
		offer(1)
		require.Zero(t, sentAfter(900*time.Microsecond), "one was sent within the last millisecond")
		offer(3)
		require.Equal(t, 4, sentAfter(100*time.Microsecond), "all that came meanwhile")
		offer(30)
		require.Zero(t, sentAfter(3900*time.Microsecond), "four were sent")
		require.Equal(t, 30, sentAfter(100*time.Microsecond))
		offer(1)
		require.Zero(t, sentAfter(24900*time.Microsecond))
		require.Equal(t, 1, sentAfter(100*time.Microsecond), "nobody waits longer, however many were sent")
		time.Sleep(time.Millisecond)
		offer(1)
		require.Equal(t, 1, sentAfter(0), "nothing was sent lately")
	})
}
