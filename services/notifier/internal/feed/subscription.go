package feed

import (
	"sync"

	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// Bounds of a queue. A single message of any size fits into an empty one.
const (
	maxQueued      = 1024
	maxQueuedBytes = 256 << 10
)

// Subscription is the queue of one connection. The Sequencer fills it; the connection empties it. When it overflows it
// is dropped, not the connection: who knows the cursor of the last message that was taken replays from there.
type Subscription struct {
	// The Sequencer's lock guards these. While holding, what lies before ahead was seen already, from another instance.
	filter  *Filter
	ahead   cursor.Position
	holding bool

	most int // messages in the queue

	mu         sync.Mutex
	queue      []*Message
	bytes      int
	overflowed bool
	wake       chan struct{} // holds a token while there may be something to take
}

// NewSubscription makes an empty one.
func NewSubscription(f Filter) *Subscription {
	f.prepare()
	return &Subscription{filter: &f, most: maxQueued, wake: make(chan struct{}, 1)}
}

// Wake gives a token when there may be something to take.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Take empties the queue. Overflowed tells that it was dropped, and that the subscription is no longer attached.
func (s *Subscription) Take() (queue []*Message, overflowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, overflowed = s.queue, s.overflowed
	s.queue, s.bytes = nil, 0
	return queue, overflowed
}

// push adds a message; false when there is no room, and then the queue is dropped.
func (s *Subscription) push(m *Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	if len(s.queue) > 0 && (len(s.queue) >= s.most || s.bytes+m.size() > maxQueuedBytes) {
		s.queue, s.bytes, s.overflowed = nil, 0, true
		return false
	}
	s.queue = append(s.queue, m)
	s.bytes += m.size()
	return true
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Filter is what the subscription is about.
func (s *Subscription) Filter() *Filter { return s.filter }

// reset empties it for another start.
func (s *Subscription) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.bytes, s.overflowed = nil, 0, false
}
