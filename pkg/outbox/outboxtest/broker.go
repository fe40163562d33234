// Package outboxtest is the relay's acceptance suite: what every broker and every database must bring out of it.
//
// It runs against an in-memory log, an embedded broker and Apache Kafka alike; Broker is all it asks of one.
package outboxtest

import (
	"errors"
	"sync"
	"testing"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox"
)

// Broker is what the suite publishes to and reads back.
type Broker struct {
	outbox.Publisher
	// Topics are two topics of the test's own.
	Topics [2]string
	// Records gives all that is in a topic by now; per key it is in the order of the log.
	Records func(t testing.TB, topic string) []Record
}

// Record is a record as it was read back.
type Record struct {
	Key       string
	Headers   map[string]string
	Value     string
	Partition int32
}

var errNoAnswer = errors.New("no answer")

// fault says what happens to a record on its way.
type fault int

const (
	none     fault = iota
	lost           // never sent
	unknown        // sent, and answered with an error
	vanished       // sent, and never answered: the process is dead by then
)

// faulty stands between a relay and its broker.
type faulty struct {
	outbox.Publisher
	mu    sync.Mutex
	fault func(*kafka.Message) fault
	calls sync.WaitGroup
}

func (f *faulty) Publish(m *kafka.Message, done func(error)) {
	f.mu.Lock()
	fault := none
	if f.fault != nil {
		fault = f.fault(m)
	}
	f.mu.Unlock()
	switch fault {
	case none:
		f.Publisher.Publish(m, done)
	case lost:
		f.calls.Go(func() { done(errNoAnswer) })
	case unknown:
		f.Publisher.Publish(m, func(error) { done(errNoAnswer) })
	case vanished:
		f.Publisher.Publish(m, func(error) {})
	}
}

func (f *faulty) set(fault func(*kafka.Message) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func always(f fault) func(*kafka.Message) fault {
	return func(*kafka.Message) fault { return f }
}
