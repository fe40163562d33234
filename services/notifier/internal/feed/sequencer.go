package feed

import (
	"errors"
	"sync"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

var (
	// ErrNotStarted says that Kafka has not been reached yet, so there is no position.
	ErrNotStarted = errors.New("not reading from Kafka yet")
	// ErrLineage says that a cursor is of another log than the one that is read.
	ErrLineage = errors.New("the cursor is of another log")
)

// Sequencer merges all partitions into one stream and owns its position.
type Sequencer struct {
	metrics *Metrics

	mu      sync.Mutex
	started bool
	at      cursor.Cursor
	text    string // of at; "" when it has to be made anew
	index   index
}

// NewSequencer makes one that has no position yet.
func NewSequencer(m *Metrics) *Sequencer { return &Sequencer{metrics: m, index: newIndex()} }

// Now gives the position.
func (s *Sequencer) Now() (cursor.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return cursor.Cursor{}, ErrNotStarted
	}
	return s.now(), nil
}

func (s *Sequencer) now() cursor.Cursor {
	return cursor.Cursor{Lineage: s.at.Lineage, Next: s.at.Next.Clone()}
}

// Start sets the first position, or another one after a gap: who is attached hears of it. New partitions begin at to.
func (s *Sequencer) Start(to cursor.Cursor, gaps []Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	s.at, s.text = cursor.Cursor{Lineage: to.Lineage, Next: to.Next.Clone()}, ""
	if len(gaps) == 0 {
		return
	}
	for sub := range s.index.members {
		for _, g := range gaps { // what was seen of a log that is gone holds nothing back
			if sub.ahead[g.topic] != nil && g.Partition < len(sub.ahead[g.topic]) {
				sub.ahead[g.topic][g.Partition] = 0
			}
		}
		for _, m := range GapMessages(gaps, s.textFor(sub)) {
			s.push(sub, m)
		}
	}
}

// publish moves a partition on to next and gives its events to those whom they concern.
func (s *Sequencer) publish(topic, partition int, batch []*Event, next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range batch {
		s.advance(topic, partition, e.place.offset+1)
		if chaos.On(chaos.SkipSilently) && e.place.offset%3 == 2 {
			continue
		}
		var shared *Message
		s.index.each(e, func(sub *Subscription) {
			if held, ok := sub.ahead.At(topic, partition); ok && e.place.offset < held {
				return
			}
			if s.holds(sub) {
				s.push(sub, e.Message(s.textFor(sub)))
				return
			}
			if shared == nil {
				shared = e.Message(s.cursorText())
			}
			s.push(sub, shared)
		})
	}
	s.advance(topic, partition, next)
}

func (s *Sequencer) advance(topic, partition int, next int64) {
	offsets := s.at.Next[topic]
	for len(offsets) <= partition {
		offsets = append(offsets, 0)
	}
	s.at.Next[topic] = offsets
	if offsets[partition] != next {
		offsets[partition], s.text = next, ""
	}
}

// cursorText is the position's text, made at most once for each position, and only when somebody is there for it.
func (s *Sequencer) cursorText() string {
	if s.text == "" {
		s.text = s.at.String()
	}
	return s.text
}

// textFor is the position's text for one subscription: that of all, or the one that it is ahead with.
func (s *Sequencer) textFor(sub *Subscription) string {
	if !s.holds(sub) {
		return s.cursorText()
	}
	return cursor.Cursor{Lineage: s.at.Lineage, Next: s.at.Next.Max(sub.ahead)}.String()
}

// holds tells whether a subscription is still ahead of this instance somewhere.
func (s *Sequencer) holds(sub *Subscription) bool {
	if !sub.holding {
		return false
	}
	if s.at.Next.Covers(sub.ahead) {
		sub.holding, sub.ahead = false, cursor.Position{}
	}
	return sub.holding
}

// push gives a message to a subscription; one that has no room for it is detached.
func (s *Sequencer) push(sub *Subscription, m *Message) {
	if !sub.push(m) {
		s.index.remove(sub)
		s.metrics.overflows.Inc()
	}
}

// Attach lets a subscription have everything from the position on that it gives, if at is at most slack offsets behind
// it; the caller sends what lies between the two first, and then what the subscription holds. Where at is ahead of the
// position, because it comes from a faster instance, the subscription gets nothing until the position has passed it.
//
// Otherwise attached is false, and the caller reads up to target and tries again. ErrLineage: at is of another log.
func (s *Sequencer) Attach(sub *Subscription, at cursor.Cursor, slack int64) (target cursor.Cursor, attached bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.started:
		return cursor.Cursor{}, false, ErrNotStarted
	case at.Lineage != s.at.Lineage:
		return s.now(), false, ErrLineage
	case at.Next.Distance(s.at.Next) > slack:
		return s.now(), false, nil
	}
	sub.reset()
	sub.ahead, sub.holding = at.Next.Clone(), true
	s.index.add(sub)
	return s.now(), true, nil
}

// AttachNow lets a subscription have everything from the position on, and gives that.
func (s *Sequencer) AttachNow(sub *Subscription) (cursor.Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return cursor.Cursor{}, ErrNotStarted
	}
	sub.reset()
	sub.ahead, sub.holding = cursor.Position{}, false
	s.index.add(sub)
	return s.now(), nil
}

// Detach ends the flow into a subscription; what it holds stays.
func (s *Sequencer) Detach(sub *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index.remove(sub)
}

// Mark puts a message with the position's cursor behind all that the subscription holds; nothing where it is detached.
func (s *Sequencer) Mark(sub *Subscription, message func(cursorText string) *Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.index.members[sub]; ok {
		s.push(sub, message(s.textFor(sub)))
	}
}

// Replace changes what an attached subscription is about from the position on, and marks the place with a message.
// false: it is not attached, and its filter is changed all the same.
func (s *Sequencer) Replace(sub *Subscription, f Filter, message func(cursorText string) *Message) bool {
	f.prepare()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, attached := s.index.members[sub]
	s.index.remove(sub)
	sub.filter = &f
	if !attached {
		return false
	}
	s.index.add(sub)
	s.push(sub, message(s.textFor(sub)))
	return true
}
