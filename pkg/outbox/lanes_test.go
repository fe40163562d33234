package outbox

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world is a store, two topics, and processes that crash: all that lanes is about, without any I/O.
type world struct {
	limits    limits
	now       time.Time
	stored    map[string][]Entry // outboxes
	versions  map[string]int
	sequences map[laneKey]int64
	processes []*process
	log       map[laneKey][]int64 // what the broker holds, per document and topic
}

// process is one relay's memory and what is on its way to it.
type process struct {
	lanes   *lanes
	views   []view    // read, and not yet offered: they may be late, and in any order
	asks    []ask     // of writers that have not written yet
	sending []sending // handed to the producer, unanswered
}

// ask is a document as a writer has read it, and whether the writer found all of it published.
type ask struct {
	id          string
	version     int
	older       []Entry
	isPublished bool
}

type view struct {
	id      string
	entries []Entry
}

type sending struct {
	lane  *lane
	entry Entry
}

func (w *world) newProcess() *process { return &process{lanes: newLanes(w.limits)} }

// ask is a writer's reading of a document, and its decision what to do with the outbox.
func (w *world) ask(p *process, id string) {
	p.asks = append(p.asks, ask{id, w.versions[id], w.stored[id], p.lanes.published(id, w.stored[id])})
}

// write is the guarded write of one that has asked: it appends an event, and removes what was found published. The writer's
// view is offered some time, perhaps.
func (w *world) write(p *process, i int, topic string, isTold bool) {
	a := p.asks[i]
	p.asks = slices.Delete(p.asks, i, i+1)
	id := a.id
	if a.version != w.versions[id] {
		return
	}
	w.versions[id]++
	w.sequences[laneKey{id, topic}]++
	n := w.sequences[laneKey{id, topic}]
	older := w.stored[id] // which somebody may have cleared meanwhile
	if a.isPublished {
		if isTold {
			p.lanes.noteRemoved(id, a.older)
		}
		older = nil
	}
	w.stored[id] = append(slices.Clone(older), Entry{ID: fmt.Sprintf("%s/%s/%d", id, topic, n), Topic: topic, Sequence: n, Body: make([]byte, 400*(n%3))})
	p.views = append(p.views, view{id, w.stored[id]})
}

func (w *world) sweep(p *process, id string) {
	if len(w.stored[id]) > 0 {
		p.views = append(p.views, view{id, w.stored[id]})
	}
}

func (w *world) deliverView(p *process, i int) {
	v := p.views[i]
	p.views = slices.Delete(p.views, i, i+1)
	p.lanes.offer(v.id, v.entries)
}

func (w *world) send(p *process) bool {
	ln, e, ok := p.lanes.next(w.now)
	if ok {
		p.sending = append(p.sending, sending{ln, e})
	}
	return ok
}

// answer ends a send: written or not, and told so or not.
func (w *world) answer(p *process, i int, isWritten, isTold bool) {
	s := p.sending[i]
	p.sending = slices.Delete(p.sending, i, i+1)
	if isWritten {
		w.log[s.lane.key] = append(w.log[s.lane.key], s.entry.Sequence)
	}
	if isWritten && isTold {
		p.lanes.acknowledged(s.lane)
	} else {
		p.lanes.failed(s.lane, w.now)
	}
}

func (w *world) clear(p *process, isDone bool) {
	taken, _ := p.lanes.takeClears(3, w.now)
	if isDone {
		for _, a := range taken {
			w.stored[a.id] = slices.DeleteFunc(slices.Clone(w.stored[a.id]), func(e Entry) bool { return e.ID == a.entry })
		}
	}
	p.lanes.settle(taken, isDone, w.now)
}

// disown compares what keeps failing with what is stored: another process may have published and cleared it.
func (w *world) disown(p *process, isLate bool) {
	doubtful := p.lanes.doubtful(2)
	var gone []ack
	for _, d := range doubtful {
		if !slices.ContainsFunc(w.stored[d.id], func(e Entry) bool { return e.ID == d.entry }) {
			gone = append(gone, d)
		}
	}
	if isLate { // the answer comes when the lane may be at work again
		w.now = w.now.Add(10 * time.Second)
		w.send(p)
	}
	for _, d := range gone {
		p.lanes.disown(d, w.now)
	}
}

// check is the promise: the first occurrences of a document's events are in order, without a hole.
func (w *world) check(t require.TestingT) {
	for key, sequences := range w.log {
		var last int64
		for i, n := range sequences {
			require.LessOrEqual(t, n, last+1, "%v: a new event before an older one: %v", key, sequences[:i+1])
			last = max(last, n)
		}
	}
	for _, p := range w.processes {
		p.check(t)
		for key, ln := range p.lanes.byKey {
			for _, e := range w.stored[key.id] {
				require.False(t, e.Topic == key.topic && e.Sequence <= ln.removed, "%v is stored, and its clearing forgotten", e.ID)
			}
		}
	}
}

// check holds for the memory of a process: one unacknowledged entry per lane, bounds kept, and the counts right.
func (p *process) check(t require.TestingT) {
	entries, bytes := 0, 0
	for key, ln := range p.lanes.byKey {
		require.Equal(t, key, ln.key)
		entries += len(ln.queue)
		for i, e := range ln.queue {
			bytes += e.size()
			require.True(t, i == 0 || ln.queue[i-1].Sequence < e.Sequence)
		}
	}
	require.Equal(t, entries, p.lanes.entries)
	require.Equal(t, bytes, p.lanes.bytes)
	require.LessOrEqual(t, entries, p.lanes.limits.entries)
	require.Len(t, p.sending, p.lanes.sending)
	busy := map[laneKey]bool{}
	for _, s := range p.sending {
		require.False(t, busy[s.lane.key], "two unacknowledged events of %v", s.lane.key)
		busy[s.lane.key] = true
	}
}

// TestLanes_KeepTheOrderWhateverHappens: writes, late views, lost answers, failed clears, crashes and expiry in any
// order, over several processes, never put a new event before an older one; and in the end everything is published.
func TestLanes_KeepTheOrderWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			limits: limits{
				entries: rapid.IntRange(1, 8).Draw(t, "entries"), bytes: 2000, forgetAfter: 2,
				sending: rapid.IntRange(1, 4).Draw(t, "sending"),
				idle:    rapid.IntRange(0, 3).Draw(t, "idle"), linger: 3 * time.Second,
				backoff: func(n int) time.Duration { return time.Duration(n) * time.Second },
			},
			now:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
			stored: map[string][]Entry{}, versions: map[string]int{}, sequences: map[laneKey]int64{}, log: map[laneKey][]int64{},
		}
		w.processes = []*process{w.newProcess(), w.newProcess()}
		ids, topics := []string{"a", "b", "c"}, []string{"x", "y"}
		some := func(t *rapid.T) *process {
			return w.processes[rapid.IntRange(0, len(w.processes)-1).Draw(t, "process")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				if p := some(t); len(p.asks) > 0 {
					w.write(p, rapid.IntRange(0, len(p.asks)-1).Draw(t, "ask"), rapid.SampledFrom(topics).Draw(t, "topic"), rapid.Bool().Draw(t, "told"))
				}
			},
			"ask":   func(t *rapid.T) { w.ask(some(t), rapid.SampledFrom(ids).Draw(t, "id")) },
			"sweep": func(t *rapid.T) { w.sweep(some(t), rapid.SampledFrom(ids).Draw(t, "id")) },
			"view": func(t *rapid.T) {
				if p := some(t); len(p.views) > 0 {
					w.deliverView(p, rapid.IntRange(0, len(p.views)-1).Draw(t, "view"))
				}
			},
			"loseView": func(t *rapid.T) {
				if p := some(t); len(p.views) > 0 {
					p.views = p.views[1:]
				}
			},
			"send": func(t *rapid.T) { w.send(some(t)) },
			"answer": func(t *rapid.T) {
				if p := some(t); len(p.sending) > 0 {
					isWritten := rapid.IntRange(0, 3).Draw(t, "lost") > 0
					isTold := rapid.IntRange(0, 3).Draw(t, "told") > 0
					w.answer(p, rapid.IntRange(0, len(p.sending)-1).Draw(t, "send"), isWritten, isTold)
				}
			},
			"clear":  func(t *rapid.T) { w.clear(some(t), rapid.Bool().Draw(t, "done")) },
			"disown": func(t *rapid.T) { w.disown(some(t), rapid.Bool().Draw(t, "late")) },
			"later": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
				for _, p := range w.processes {
					p.lanes.expire(w.now)
				}
			},
			"crash": func(t *rapid.T) {
				i := rapid.IntRange(0, len(w.processes)-1).Draw(t, "process")
				w.processes[i] = w.newProcess()
			},
			"": func(t *rapid.T) { w.check(t) },
		})
		w.heal(t)
	})
}

// heal lets all end well, and finds everything published and the store empty.
func (w *world) heal(t *rapid.T) {
	for range 200 {
		for _, p := range w.processes {
			for _, id := range slices.Sorted(maps.Keys(w.stored)) {
				w.sweep(p, id)
			}
			for len(p.views) > 0 {
				w.deliverView(p, 0)
			}
			for w.send(p) || len(p.sending) > 0 {
				if len(p.sending) > 0 {
					w.answer(p, 0, true, true)
				}
			}
			for len(p.lanes.clears) > 0 {
				w.clear(p, true)
			}
		}
		w.now = w.now.Add(10 * time.Second)
		w.check(t)
	}
	for id, outbox := range w.stored {
		require.Empty(t, outbox, id)
	}
	for key, n := range w.sequences {
		require.Equal(t, n, slices.Max(append(w.log[key], 0)), "%v", key)
	}
	for _, p := range w.processes {
		p.lanes.expire(w.now)
		require.Empty(t, p.lanes.byKey, "a lane without work is forgotten")
		require.Zero(t, p.lanes.entries)
	}
}

func TestLanes_ForgetWhatKeepsFailingOnlyWhenMemoryIsShort(t *testing.T) {
	for _, tc := range []struct {
		entries, bytes int
		kept           bool
	}{{1, 1 << 20, false}, {100, 1 << 20, true}, {100, 300, false}} {
		l := newLanes(limits{entries: tc.entries, bytes: tc.bytes, sending: 10, idle: 10, linger: time.Hour, forgetAfter: 8, backoff: func(int) time.Duration { return 0 }})
		view := []Entry{{ID: "1", Topic: "x", Sequence: 1}}
		l.offer("a", view)
		now := time.Unix(0, 0)
		for range 8 {
			ln, _, ok := l.next(now)
			require.True(t, ok)
			l.failed(ln, now)
		}
		require.Equal(t, tc.kept, l.entries == 1)
		l.offer("a", view)
		_, _, ok := l.next(now)
		require.True(t, ok, "the sweep brings it back")
	}
}

func TestLanes_DisownWhatIsStoredNoLonger(t *testing.T) {
	l := newLanes(limits{entries: 10, bytes: 1 << 20, sending: 10, idle: 10, linger: time.Hour, forgetAfter: 3, backoff: func(int) time.Duration { return time.Second }})
	now := time.Unix(0, 0)
	removed := []Entry{{ID: "1", Topic: "x", Sequence: 1}}
	next := Entry{ID: "2", Topic: "x", Sequence: 2}
	l.offer("a", append(removed, next))
	var ln *lane
	for range 3 {
		require.Empty(t, l.doubtful(10), "a few failures are the broker's")
		now = now.Add(time.Second)
		ln, _, _ = l.next(now)
		l.failed(ln, now)
	}
	doubtful := l.doubtful(10)
	require.Equal(t, []ack{{id: "a", entry: "1", sequence: 1, lane: ln}}, doubtful)

	now = now.Add(time.Second)
	_, _, ok := l.next(now)
	require.True(t, ok)
	require.False(t, l.disown(doubtful[0], now), "while it is sent, its outcome counts")
	l.failed(ln, now)
	require.True(t, l.disown(doubtful[0], now))
	require.Zero(t, l.entries)
	require.Empty(t, l.waiting)
	require.False(t, l.disown(doubtful[0], now), "once")

	l.offer("a", []Entry{next})
	_, e, ok := l.next(now)
	require.True(t, ok, "what is stored goes on at once")
	require.Equal(t, "2", e.ID)
}

func TestLanes_ALateViewRepeatsNothing(t *testing.T) {
	l := newLanes(limits{entries: 10, bytes: 1 << 20, sending: 10, idle: 10, linger: time.Second, backoff: func(int) time.Duration { return 0 }})
	now := time.Unix(0, 0)
	view := []Entry{{ID: "1", Topic: "x", Sequence: 1}}
	l.offer("a", view)
	ln, _, _ := l.next(now)
	l.acknowledged(ln)
	settleAll(l, now)
	taken, _ := l.offer("a", append(view, Entry{ID: "2", Topic: "x", Sequence: 2}))
	require.Equal(t, 1, taken)
	_, e, _ := l.next(now)
	require.Equal(t, "2", e.ID)
}

// settleAll clears what is to be cleared.
func settleAll(l *lanes, now time.Time) {
	taken, _ := l.takeClears(10, now)
	l.settle(taken, true, now)
}

// TestLanes_KnowWhatIsPublishedByItsID: a document that was put back may have sequences that were published of another.
func TestLanes_KnowWhatIsPublishedByItsID(t *testing.T) {
	l := newLanes(limits{entries: 10, bytes: 1 << 20, sending: 10, idle: 10, linger: time.Second})
	now := time.Unix(0, 0)
	one, two := Entry{ID: "1", Topic: "x", Sequence: 1}, Entry{ID: "2", Topic: "x", Sequence: 2}
	l.offer("a", []Entry{one, two})
	for range 2 {
		require.False(t, l.published("a", []Entry{one, two}))
		ln, _, _ := l.next(now)
		l.acknowledged(ln)
	}
	require.True(t, l.published("a", []Entry{one, two}))
	require.True(t, l.published("a", []Entry{two}))
	require.False(t, l.published("a", []Entry{one}))
	require.False(t, l.published("a", []Entry{one, {ID: "2'", Topic: "x", Sequence: 2}}))
	require.False(t, l.published("b", []Entry{one}))
}

func TestLanes_RefuseWhatDoesNotFit(t *testing.T) {
	big := Entry{ID: "1", Topic: "x", Sequence: 1, Body: make([]byte, 1000)}
	l := newLanes(limits{entries: 10, bytes: 1500, sending: 10})
	taken, left := l.offer("a", []Entry{big})
	require.Equal(t, 1, taken)
	require.Zero(t, left)
	next := big
	next.Sequence = 2
	small := Entry{ID: "3", Topic: "x", Sequence: 3}
	taken, left = l.offer("a", []Entry{big, next, small})
	require.Zero(t, taken, "nothing newer passes an entry that was left out")
	require.Equal(t, 2, left)
}

func TestLanes_RememberABoundedNumberOfIdleOnes(t *testing.T) {
	l := newLanes(limits{entries: 10, bytes: 1 << 20, sending: 10, idle: 5, linger: time.Hour})
	now := time.Unix(0, 0)
	for i := range 50 {
		l.offer(fmt.Sprint(i), []Entry{{ID: "1", Topic: "x", Sequence: 1}})
		ln, _, _ := l.next(now)
		l.acknowledged(ln)
		settleAll(l, now)
	}
	require.Len(t, l.byKey, 5)
	l.expire(now.Add(2 * time.Hour))
	require.Empty(t, l.byKey)
}
