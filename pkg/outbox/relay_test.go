package outbox_test

import (
	"sync"
	"testing"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox/outboxtest"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestRelay(t *testing.T) {
	outboxtest.Run(t, testbackend.Mongo, func(t testing.TB) outboxtest.Broker {
		l := &memory{}
		t.Cleanup(l.calls.Wait)
		return outboxtest.Broker{Publisher: l, Topics: [2]string{"one", "two"}, Records: l.records}
	})
}

// memory is a broker that is never away. Its answers come from other goroutines, as a producer's do.
type memory struct {
	mu    sync.Mutex
	log   []*kafka.Message
	calls sync.WaitGroup
}

func (l *memory) Publish(m *kafka.Message, done func(error)) {
	l.calls.Go(func() {
		l.mu.Lock()
		l.log = append(l.log, m)
		l.mu.Unlock()
		done(nil)
	})
}

func (l *memory) records(_ testing.TB, topic string) []outboxtest.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []outboxtest.Record
	for _, m := range l.log {
		if m.Topic != topic {
			continue
		}
		r := outboxtest.Record{Key: m.Key, Value: string(m.Value), Headers: map[string]string{}}
		for _, h := range m.Headers {
			r.Headers[h.Key] = h.Value
		}
		all = append(all, r)
	}
	return all
}
