package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// ErrBusy says that no slot for reading history became free in time.
var ErrBusy = errors.New("too many clients are catching up")

// History reads older positions from Kafka, for a bounded number of clients at once: each slot has a reader.
type History struct {
	config  kafka.Config
	name    string
	seq     *Sequencer
	log     *slog.Logger
	metrics *Metrics
	slots   chan *kafka.Reader // nil: a slot whose reader is yet to be made
	wait    time.Duration
	turn    time.Duration
	queued  atomic.Int32 // who wait for a slot and may have one more

	mu     sync.Mutex
	shares map[string]*share
}

// share is what one customer has of the slots: half of them at most, so that there is one for others.
type share struct {
	held chan struct{} // a token for each slot
	by   int           // who hold one or wait for one
}

// NewHistory makes it; Close it.
func NewHistory(c Config, k kafka.Config, name string, seq *Sequencer, log *slog.Logger, m *Metrics) *History {
	h := &History{
		config: k, name: name, seq: seq, log: log, metrics: m, slots: make(chan *kafka.Reader, c.CatchUpSlots), wait: c.CatchUpWait, turn: c.CatchUpTurn,
		shares: map[string]*share{},
	}
	for range c.CatchUpSlots {
		h.slots <- nil
	}
	return h
}

// Close ends the readers, once nobody reads any more.
func (h *History) Close(ctx context.Context) error {
	var errs []error
	for range cap(h.slots) {
		select {
		case reader := <-h.slots:
			if reader != nil {
				errs = append(errs, reader.Close())
			}
		case <-ctx.Done():
			return errors.Join(append(errs, ctx.Err())...)
		}
	}
	return errors.Join(errs...)
}

// Step is one record on the way: the partition's next offset behind it, and the event, nil where it was none. Topic is
// an index of cursor.Topics.
type Step struct {
	Topic, Partition int
	Next             int64
	Event            *Event
}

// Reading is a slot while it is held.
type Reading struct {
	h        *History
	customer string
	since    time.Time
	reader   *kafka.Reader
	broken   bool
}

// Open takes a slot for a customer, who may have half of all; "" is for operators, who may have all. ErrBusy when none
// became free. Close it.
func (h *History) Open(ctx context.Context, customer string) (*Reading, error) {
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	return h.open(ctx, customer, timer.C)
}

// OpenWhenFree takes a slot for a session that is under way: it waits for as long as it takes, and has its turn.
func (h *History) OpenWhenFree(ctx context.Context, customer string) (*Reading, error) {
	return h.open(ctx, customer, nil)
}

func (h *History) open(ctx context.Context, customer string, busy <-chan time.Time) (*Reading, error) {
	select {
	case h.join(customer) <- struct{}{}:
	case <-busy:
		h.leave(customer, false)
		return nil, ErrBusy
	case <-ctx.Done():
		h.leave(customer, false)
		return nil, ctx.Err()
	}
	r := &Reading{h: h, customer: customer}
	var err error
	h.queued.Add(1)
	defer h.queued.Add(-1)
	select {
	case r.reader = <-h.slots:
		r.since = time.Now()
		if err = r.open(); err == nil {
			return r, nil
		}
		h.slots <- nil
	case <-busy:
		err = ErrBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.leave(customer, true)
	return nil, err
}

// IsOver tells that the slot was held for a turn, and that others wait for it: however much somebody reads, they are
// not kept from the little that they have missed.
func (r *Reading) IsOver() bool { return r.h.queued.Load() > 0 && time.Since(r.since) >= r.h.turn }

// join gives where a customer puts a token for each slot; leave comes after it.
func (h *History) join(customer string) chan<- struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shares[customer]
	if s == nil {
		most := (cap(h.slots) + 1) / 2
		if customer == "" {
			most = cap(h.slots)
		}
		s = &share{held: make(chan struct{}, most)}
		h.shares[customer] = s
	}
	s.by++
	return s.held
}

func (h *History) leave(customer string, holding bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shares[customer]
	if holding {
		<-s.held
	}
	if s.by--; s.by == 0 {
		delete(h.shares, customer)
	}
}

// open makes the slot's reader where there is none.
func (r *Reading) open() error {
	if r.reader != nil {
		return nil
	}
	reader, err := kafka.NewReader(r.h.config, r.h.name+"-history", r.h.log)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	r.reader = reader
	return nil
}

// Close gives the slot back.
func (r *Reading) Close() {
	if r.broken {
		if err := r.reader.Close(); err != nil {
			r.h.log.Debug("close a reader of history", "error", err)
		}
		r.reader = nil
	}
	r.h.slots <- r.reader
	r.h.leave(r.customer, true)
}

// Bridge takes a client's cursor over to the logs as they are, and gives what it will not see. ErrNoPartition: no
// notifier has given the cursor.
func (r *Reading) Bridge(ctx context.Context, at cursor.Cursor) (cursor.Cursor, []Gap, error) {
	now, err := r.h.seq.Now()
	if err != nil {
		return cursor.Cursor{}, nil, err
	}
	s, err := widen(ctx, r.reader, shape{lineage: now.Lineage, counts: counts(now.Next)}, at)
	if errors.Is(err, ErrNoPartition) {
		return cursor.Cursor{}, nil, err
	}
	if err != nil {
		return cursor.Cursor{}, nil, r.failed(fmt.Errorf("compare a cursor with the topics: %w", err))
	}
	to, gaps, err := bridge(ctx, r.reader, s, at, now.Next)
	if err != nil {
		return cursor.Cursor{}, nil, r.failed(fmt.Errorf("compare a cursor with the logs: %w", err))
	}
	for _, g := range gaps {
		r.h.metrics.gaps.WithLabelValues(string(g.reason)).Inc()
	}
	return to, gaps, nil
}

// Earliest gives the beginning of the logs.
func (r *Reading) Earliest(ctx context.Context) (cursor.Cursor, error) {
	now, err := r.h.seq.Now()
	if err != nil {
		return cursor.Cursor{}, err
	}
	s := shape{lineage: now.Lineage, counts: counts(now.Next)}
	oldest, err := r.reader.Offsets(ctx, s.partitions(), kafka.Oldest)
	if err != nil {
		return cursor.Cursor{}, r.failed(fmt.Errorf("find the beginning: %w", err))
	}
	return cursor.Cursor{Lineage: now.Lineage, Next: s.position(oldest)}, nil
}

// Since gives the place of the first records that are not older than t; where there is none, the position of now.
func (r *Reading) Since(ctx context.Context, t time.Time) (cursor.Cursor, error) {
	now, err := r.h.seq.Now() // first: what comes after it is not skipped
	if err != nil {
		return cursor.Cursor{}, err
	}
	s := shape{lineage: now.Lineage, counts: counts(now.Next)}
	found, err := r.reader.OffsetsAt(ctx, s.partitions(), t)
	if err != nil {
		return cursor.Cursor{}, r.failed(fmt.Errorf("find a time: %w", err))
	}
	next := s.position(found)
	for topic := range next {
		for p, offset := range next[topic] {
			if offset < 0 {
				next[topic][p] = now.Next[topic][p]
			}
		}
	}
	return cursor.Cursor{Lineage: now.Lineage, Next: next}, nil
}

// errThere ends a read that has reached its end.
var errThere = errors.New("everything is read")

// errQuiet interrupts a read that gets no further.
var errQuiet = errors.New("nothing more comes")

// quietFor is for how long a partition may bring nothing before its end is asked for: what is read was there once.
const quietFor = 5 * time.Second

// Read gives every record from one position up to another, in order in each partition, until steps fails; a call brings
// some 64 records or 256 kB, which it may keep. An OutOfRangeError of package kafka says that something is gone meanwhile: Bridge tells what.
func (r *Reading) Read(ctx context.Context, from, to cursor.Position, steps func([]Step) error) error {
	return r.read(ctx, from, to, quietFor, steps)
}

func (r *Reading) read(ctx context.Context, from, to cursor.Position, quiet time.Duration, steps func([]Step) error) error {
	open := map[kafka.Partition]int64{} // partitions that are not there yet, and their ends
	next := map[kafka.Partition]int64{}
	for p, end := range offsets(to) {
		at, _ := from.At(cursor.Index(p.Topic), int(p.Number))
		if at < end {
			next[p], open[p] = at, end
		}
	}
	for len(open) > 0 {
		err := r.readOpen(ctx, open, next, quiet, steps)
		switch {
		case errors.Is(err, errThere):
		case errors.Is(err, errQuiet):
			if err := r.stillThere(ctx, open, next); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// readOpen reads the open partitions on from next, until all are there or one of them is quiet for long.
func (r *Reading) readOpen(ctx context.Context, open, next map[kafka.Partition]int64, quiet time.Duration, steps func([]Step) error) error {
	begin := map[kafka.Partition]int64{}
	moved := map[kafka.Partition]time.Time{}
	for p := range open {
		begin[p], moved[p] = next[p], time.Now()
	}
	return r.reader.Read(ctx, begin, func(chunks []kafka.Chunk) error {
		for _, c := range chunks {
			end, ok := open[c.Partition]
			if !ok {
				continue
			}
			if c.Next == next[c.Partition] {
				if time.Since(moved[c.Partition]) > quiet {
					return errQuiet
				}
				continue
			}
			if err := r.give(c, end, steps); err != nil {
				return err
			}
			next[c.Partition], moved[c.Partition] = c.Next, time.Now()
			if c.Next >= end {
				delete(open, c.Partition)
			}
		}
		if len(open) == 0 {
			return errThere
		}
		return nil
	})
}

// stillThere gives an OutOfRangeError for a partition whose log ends now before what is to be read: its end was lost
// with a leader. A reader of such a log is not told so, it waits.
func (r *Reading) stillThere(ctx context.Context, open, next map[kafka.Partition]int64) error {
	newest, err := r.reader.Offsets(ctx, slices.Collect(maps.Keys(open)), kafka.Newest)
	if err != nil {
		return r.failed(fmt.Errorf("ask where the logs end: %w", err))
	}
	for p, end := range open {
		if newest[p] < end {
			return &kafka.OutOfRangeError{Partition: p, Offset: next[p]}
		}
	}
	return nil
}

// Bounds of what Read gives at once. It is kept for as long as a client that reads slowly takes over it, and must not hold
// on to all that one answer of a broker brought.
const (
	mostSteps     = 64
	mostStepBytes = maxQueuedBytes
)

// give gives the records before end, and behind them a last step for what is invisible.
func (r *Reading) give(c kafka.Chunk, end int64, steps func([]Step) error) error {
	topic := cursor.Index(c.Topic)
	var batch []Step
	var size int
	for i := range c.Records {
		record := &c.Records[i]
		if record.Offset >= end {
			break
		}
		e, err := decode(topic, int(c.Number), record)
		if err != nil { // Live has counted it, or will
			e = nil
		}
		r.h.metrics.replayed.Inc()
		batch = append(batch, Step{Topic: topic, Partition: int(c.Number), Next: record.Offset + 1, Event: e})
		if size += len(record.Value); len(batch) == mostSteps || size >= mostStepBytes {
			if err := steps(batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
	}
	return steps(append(batch, Step{Topic: topic, Partition: int(c.Number), Next: min(c.Next, end)}))
}

// failed notes that the reader is better made anew.
func (r *Reading) failed(err error) error {
	r.broken = true
	return err
}
