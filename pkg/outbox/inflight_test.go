package outbox

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

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

// TestRelay_OneUnacknowledgedEntryPerOrderAndTopic: a producer may write a later batch before one that it sends again,
// so the next entry waits for the answer; other topics and other orders do not.
func TestRelay_OneUnacknowledgedEntryPerOrderAndTopic(t *testing.T) {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:1")) // it is not asked for anything
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Disconnect(context.WithoutCancel(t.Context()))) }()
	coll := client.Database("x").Collection("x")
	synctest.Test(t, func(t *testing.T) {
		broker := &silent{}
		r := NewRelay(coll, broker, quiet, nil)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.sendLoop(ctx) })
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
		synctest.Wait()
		require.ElementsMatch(t, []string{"ax1", "ay1", "bx1", "by1"}, broker.acknowledge())
		synctest.Wait()
		require.ElementsMatch(t, []string{"ax2", "ay2", "bx2", "by2"}, broker.acknowledge())
		stop()
		running.Wait()
	})
}
