package outbox

import (
	"container/heap"
	"slices"
	"time"
)

// lanes decides what may be sent when. It does no I/O and knows no clock; the relay calls it under its lock.
//
// A lane is one document's entries in one topic. It is fed with views: a document's whole outbox as somebody read it
// in the store, and, where it was a writer, what the writer appended. Since entries enter the outbox by guarded writes
// only and leave it when acknowledged, an entry that is missing in a view and older than one in it was acknowledged to
// somebody. So it is enough to accept a view's entries in order, to leave out none, and to send one at a time.
type lanes struct {
	limits limits

	byKey   map[laneKey]*lane
	ready   queue[*lane] // whose first entry may be sent
	waiting waiting      // whose first entry failed
	idle    queue[idle]  // that only remember how far they got
	clears  []ack        // acknowledged entries that are to be removed, unless a write has done so

	entries, bytes, sending int
}

type limits struct {
	entries, bytes int           // in memory; more is left to the sweep
	sending        int           // unacknowledged at once
	idle           int           // lanes that are remembered without an entry
	linger         time.Duration // how long
	forgetAfter    int           // failures in a row: then it is doubted, and forgotten when memory is short
	backoff        func(failures int) time.Duration
}

type laneKey struct{ id, topic string }

type lane struct {
	key   laneKey
	queue []Entry // accepted and unacknowledged, by sequence
	// high is the sequence up to which every entry is in queue, or was acknowledged. A view that lags behind is told
	// by it from news, so a lane is kept a while after its last entry.
	high      int64
	newest    string // id of the entry with that sequence; "" where it is not known
	sending   bool
	failures  int
	due       time.Time
	uncleared int
	removed   int64 // the sequence up to which a write of ours has removed the entries
	idleSince time.Time
}

type idle struct {
	lane  *lane
	since time.Time
}

// ack names an entry of a document: one that is published and to be removed, or one that is doubted.
type ack struct {
	id, entry string
	sequence  int64
	lane      *lane
}

// first names the entry of ln that is sent before all others.
func (ln *lane) first() ack {
	e := ln.queue[0]
	return ack{id: ln.key.id, entry: e.ID, sequence: e.Sequence, lane: ln}
}

func newLanes(l limits) *lanes {
	return &lanes{limits: l, byKey: map[laneKey]*lane{}}
}

// offer takes over what is new in a view of document id, as far as there is room, and tells how many entries it took
// and how many it left out. What is left out stays stored, and is in every later view. A view that is in two parts,
// what a writer read and what it appended, is offered at once: what is left out of the first holds back the second.
func (l *lanes) offer(id string, view []Entry) (taken, left int) {
	var stopped map[string]bool // topics with an entry left out: nothing newer may pass it
	for _, e := range view {
		key := laneKey{id, e.Topic}
		ln := l.byKey[key]
		switch {
		case ln != nil && e.Sequence <= ln.high:
			continue
		case stopped[e.Topic]:
			left++
			continue
		}
		size := e.size()
		if l.entries >= l.limits.entries || l.bytes+size > l.limits.bytes && l.entries > 0 {
			if stopped == nil {
				stopped = map[string]bool{}
			}
			stopped[e.Topic] = true
			left++
			continue
		}
		if ln == nil {
			ln = &lane{key: key}
			l.byKey[key] = ln
		}
		ln.queue = append(ln.queue, e)
		ln.high, ln.newest = e.Sequence, e.ID
		l.entries++
		l.bytes += size
		taken++
		if len(ln.queue) == 1 {
			l.ready.push(ln)
		}
	}
	return taken, left
}

// next gives a lane whose first entry is to be sent now; its outcome must be told to done.
func (l *lanes) next(now time.Time) (*lane, Entry, bool) {
	for len(l.waiting) > 0 && !l.waiting[0].due.After(now) {
		l.ready.push(heap.Pop(&l.waiting).(*lane))
	}
	if l.sending >= l.limits.sending {
		return nil, Entry{}, false
	}
	ln, ok := l.ready.pop()
	if !ok {
		return nil, Entry{}, false
	}
	ln.sending = true
	l.sending++
	return ln, ln.queue[0], true
}

// nextDue tells when the first of the lanes that failed may be sent again.
func (l *lanes) nextDue() (due time.Time, ok bool) {
	if len(l.waiting) == 0 {
		return time.Time{}, false
	}
	return l.waiting[0].due, true
}

// acknowledged removes the first entry of ln, which is published, and asks for its clearing.
func (l *lanes) acknowledged(ln *lane) {
	first := ln.first()
	ln.sending, ln.failures = false, 0
	l.sending--
	l.drop(ln, 1)
	ln.uncleared++
	l.clears = append(l.clears, first)
	if len(ln.queue) > 0 {
		l.ready.push(ln)
	}
}

// failed keeps the first entry of ln, whose outcome is unknown, to be sent again later. A lane that keeps failing
// while memory is short is forgotten: its entries are stored, and the sweep comes back to them.
func (l *lanes) failed(ln *lane, now time.Time) {
	ln.sending = false
	l.sending--
	ln.failures++
	if ln.failures >= l.limits.forgetAfter && !l.hasRoom() {
		l.forget(ln, now)
		return
	}
	ln.due = now.Add(l.limits.backoff(ln.failures))
	heap.Push(&l.waiting, ln)
}

// forget leaves what ln has to send to the sweep.
func (l *lanes) forget(ln *lane, now time.Time) {
	ln.high, ln.newest = ln.queue[0].Sequence-1, ""
	ln.failures = 0
	l.drop(ln, len(ln.queue))
	l.rest(ln, now)
}

// doubtful gives, up to limit, the first entries of lanes that keep failing. Somebody else may have published them, or
// an operator removed them: disown takes away the lanes of those that are stored no longer.
func (l *lanes) doubtful(limit int) []ack {
	var some []ack
	for _, ln := range l.waiting {
		if len(some) == limit {
			break
		}
		if ln.failures >= l.limits.forgetAfter {
			some = append(some, ln.first())
		}
	}
	return some
}

// disown forgets the lane of an entry that is stored no longer, unless it is being sent or has moved on meanwhile. What
// comes after the entry is stored, and comes back with the sweep.
func (l *lanes) disown(gone ack, now time.Time) bool {
	i := slices.Index(l.waiting, gone.lane)
	if i < 0 || gone.lane.queue[0].ID != gone.entry {
		return false
	}
	heap.Remove(&l.waiting, i)
	l.forget(gone.lane, now)
	return true
}

func (l *lanes) drop(ln *lane, n int) {
	for i := range n {
		l.entries--
		l.bytes -= ln.queue[i].size()
		ln.queue[i] = Entry{} // lets go of its bytes
	}
	ln.queue = ln.queue[n:]
	if len(ln.queue) == 0 {
		ln.queue = nil
	}
}

// published tells whether all of a document's stored entries are known to be published: nothing of their lanes is to be sent,
// and the newest of each is the one that was accepted last. The latter by its id, for the sake of a document that was put
// back with sequences of its past.
func (l *lanes) published(id string, stored []Entry) bool {
	for i, e := range stored {
		ln := l.byKey[laneKey{id, e.Topic}]
		if ln == nil || len(ln.queue) > 0 {
			return false
		}
		isNewest := !slices.ContainsFunc(stored[i+1:], func(later Entry) bool { return later.Topic == e.Topic })
		if isNewest && e.ID != ln.newest {
			return false
		}
	}
	return true
}

// noteRemoved takes note that these entries of a document, and all older ones, are stored no longer.
func (l *lanes) noteRemoved(id string, entries []Entry) {
	for _, e := range entries {
		if ln := l.byKey[laneKey{id, e.Topic}]; ln != nil {
			ln.removed = max(ln.removed, e.Sequence)
		}
	}
}

// takeClears gives up to limit entries to be removed from the store; settle tells the outcome. Those that writes have removed
// are not among them: gone is how many it has met.
func (l *lanes) takeClears(limit int, now time.Time) (taken []ack, gone int) {
	var removed []ack
	n := 0
	for ; n < len(l.clears) && len(taken) < limit; n++ {
		if a := l.clears[n]; a.sequence > a.lane.removed {
			taken = append(taken, a)
		} else {
			removed = append(removed, a)
		}
	}
	l.clears = l.clears[n:]
	l.settle(removed, true, now)
	return taken, len(removed)
}

// settle ends what takeClears began: the entries are removed, or are to be removed later.
func (l *lanes) settle(taken []ack, removed bool, now time.Time) {
	if !removed {
		l.clears = append(l.clears, taken...)
		return
	}
	for _, a := range taken {
		a.lane.uncleared--
		l.rest(a.lane, now)
	}
}

// rest lets go of a lane without entries after a while.
func (l *lanes) rest(ln *lane, now time.Time) {
	if len(ln.queue) == 0 && ln.uncleared == 0 {
		ln.idleSince = now
		l.idle.push(idle{lane: ln, since: now})
	}
	l.expire(now)
}

// expire forgets the lanes that have been idle for too long, or of which there are too many.
func (l *lanes) expire(now time.Time) {
	for {
		first, ok := l.idle.peek()
		if !ok || l.idle.len() <= l.limits.idle && now.Sub(first.since) < l.limits.linger {
			return
		}
		l.idle.pop()
		ln := first.lane
		if len(ln.queue) == 0 && ln.uncleared == 0 && ln.idleSince.Equal(first.since) && l.byKey[ln.key] == ln {
			delete(l.byKey, ln.key)
		}
	}
}

// drained tells whether nothing more will be acknowledged soon: what is left has failed and waits.
func (l *lanes) drained() bool { return l.sending == 0 && l.ready.len() == 0 }

// hasRoom tells whether a sweep is worth its while.
func (l *lanes) hasRoom() bool {
	return 2*l.entries < l.limits.entries && 2*l.bytes < l.limits.bytes
}

// waiting is a heap of lanes, the first due first.
type waiting []*lane

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waiting) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(x any)        { *w = append(*w, x.(*lane)) }
func (w *waiting) Pop() any {
	old := *w
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return last
}

// queue is first in, first out, and lets go of what was taken.
type queue[E any] struct {
	items []E
	head  int
}

func (q *queue[E]) len() int { return len(q.items) - q.head }

func (q *queue[E]) push(e E) {
	if q.head > 64 && 2*q.head > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, e)
}

func (q *queue[E]) peek() (e E, ok bool) {
	if q.len() == 0 {
		return e, false
	}
	return q.items[q.head], true
}

func (q *queue[E]) pop() (e E, ok bool) {
	if e, ok = q.peek(); ok {
		var none E
		q.items[q.head] = none
		q.head++
	}
	return e, ok
}
