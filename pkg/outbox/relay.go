package outbox

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// Publisher sends a record and calls done exactly once, from any goroutine: with nil once it is acknowledged, with an
// error when its outcome is unknown.
type Publisher interface {
	Publish(m *kafka.Message, done func(error))
}

// Relay publishes the entries of a collection's outboxes and removes them once they are acknowledged.
type Relay struct {
	coll      *mongo.Collection
	publisher Publisher
	log       *slog.Logger
	metrics   *metrics
	settings  settings

	writer chan struct{} // holds a token while somebody writes a batch or clears

	mu       sync.Mutex
	lanes    *lanes
	draining bool
	hungry   bool      // a sweep ended for want of room
	logged   time.Time // when a failure was last logged

	sendWake, clearWake, sweepWake chan struct{} // each holds a token while there may be work
}

// NewRelay gives the relay of one collection. It takes offers at once and publishes while it runs. reg may be nil.
func NewRelay(coll *mongo.Collection, p Publisher, log *slog.Logger, reg prometheus.Registerer, opts ...Option) *Relay {
	s := defaults()
	for _, option := range opts {
		option(&s)
	}
	return &Relay{
		coll: coll, publisher: p, log: log.With("collection", coll.Name()), metrics: newMetrics(reg, coll.Name()), settings: s,
		writer: make(chan struct{}, 1),
		lanes: newLanes(limits{
			entries: s.maxEntries, bytes: s.maxBytes, sending: s.maxSending,
			idle: s.maxIdle, linger: s.linger, forgetAfter: s.forgetAfter, backoff: s.backoff,
		}),
		sendWake: make(chan struct{}, 1), clearWake: make(chan struct{}, 1), sweepWake: make(chan struct{}, 1),
	}
}

// Offer tells the relay of a document's outbox: older as it was read, and the fresh entries that were written after
// it. The relay takes what it does not know yet, as far as there is room; the rest is found by the sweep.
func (r *Relay) Offer(id string, older, fresh []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return
	}
	view := older
	if len(fresh) > 0 {
		view = append(slices.Clip(older), fresh...) // at once: see lanes.offer
	}
	_, left := r.offer(id, view)
	r.metrics.overflow.Add(float64(min(left, len(fresh)))) // the others were counted when they were fresh
}

func (r *Relay) offer(id string, view []Entry) (taken, left int) {
	taken, left = r.lanes.offer(id, view)
	if taken > 0 {
		signal(r.sendWake)
	}
	r.gauge()
	return taken, left
}

// published tells whether all entries of a document, as it was read, are known to be published.
func (r *Relay) published(id string, stored []Entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lanes.published(id, stored)
}

// noteRemoved spares the relay the clearing of entries that a write has removed.
func (r *Relay) noteRemoved(id string, entries []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lanes.noteRemoved(id, entries)
}

// Run publishes, clears and sweeps until ctx ends. Then it takes no more offers, sends what it holds, waits for the
// acknowledgements and clears them, all within the drain time-out. What is left stays stored for the next relay.
//
// A publisher that does not come back from Publish is left behind at the time-out: it is closed after the relay.
func (r *Relay) Run(ctx context.Context) error {
	// What is under way when ctx ends is finished, in bounded time.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r.sendLoop(work)
	}()
	var loops sync.WaitGroup
	loops.Go(func() { r.clearLoop(ctx) })
	loops.Go(func() { r.sweepLoop(ctx, r.sweep) })
	<-ctx.Done()
	loops.Wait()
	r.drain(work, sent)
	return nil
}

// drain waits until what the relay holds is sent and acknowledged, and clears it.
func (r *Relay) drain(ctx context.Context, sent <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, r.settings.drainTimeout)
	defer cancel()
	r.mu.Lock()
	r.draining = true
	r.mu.Unlock()
	signal(r.sendWake)
	select {
	case <-sent:
	case <-ctx.Done():
		r.log.Warn("the outbox is not drained; what is left is published after the next start")
	}
	r.clear(ctx)
}

// sendLoop hands entries to the publisher, as far as lanes allow it, until ctx ends or the relay is drained. After each
// burst it gathers the next for a while: a record of its own costs the broker, and every reader, much more than one that
// comes in a request with others.
func (r *Relay) sendLoop(ctx context.Context) {
	for burst := 0; ; {
		ln, e, wait := r.next()
		if ln != nil {
			burst++
			if chaos.On(chaos.TwoInFlight) {
				r.publishNext(ln)
			}
			if chaos.On(chaos.ClearBeforeAck) {
				r.done(ln, e, nil)
				r.publisher.Publish(e.message(), func(error) {})
				continue
			}
			r.publisher.Publish(e.message(), func(err error) { r.done(ln, e, err) })
			continue
		}
		if wait == 0 {
			return
		}
		if burst > 0 {
			if !sleep(ctx, gathering(burst)) {
				return
			}
			burst = 0
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.sendWake:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// gathering is how long to wait after a burst of n entries, so that the next is a larger one: a millisecond for each, 25 at
// most. Of fewer than one a millisecond the next burst is smaller, and soon nobody waits; of more, each is larger.
func gathering(n int) time.Duration {
	return time.Duration(min(n, 25)) * time.Millisecond
}

// next gives what to send now, or how long there is nothing to do unless somebody wakes; 0 at the end.
func (r *Relay) next() (*lane, Entry, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if ln, e, ok := r.lanes.next(now); ok {
		return ln, e, 0
	}
	if r.draining && r.lanes.drained() {
		return nil, Entry{}, 0
	}
	r.lanes.expire(now)
	if due, ok := r.lanes.nextDue(); ok {
		return nil, Entry{}, max(time.Until(due), time.Millisecond)
	}
	return nil, Entry{}, time.Minute
}

// done is called by the publisher: it must not wait for anybody.
func (r *Relay) done(ln *lane, e Entry, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if err == nil {
		chaos.Pass(chaos.BeforeClear)
		if ln.failures > 0 {
			r.metrics.repeated.Inc()
		}
		r.metrics.published.Inc()
		r.lanes.acknowledged(ln)
		signal(r.clearWake)
	} else {
		r.metrics.errors.Inc()
		r.lanes.failed(ln, now)
		r.complain(e, err, now)
	}
	if r.hungry && r.lanes.hasRoom() {
		r.hungry = false
		signal(r.sweepWake)
	}
	signal(r.sendWake)
	r.gauge()
}

// complain logs a failure, one a second: with the broker away there are thousands.
func (r *Relay) complain(e Entry, err error, now time.Time) {
	if now.Sub(r.logged) < time.Second {
		return
	}
	r.logged = now
	r.log.Warn("an event is not acknowledged and will be sent again",
		"topic", e.Topic, "key", e.Key, "event_id", e.ID, "error", err, "waiting", r.lanes.waiting.Len())
}

func (r *Relay) gauge() {
	r.metrics.queued.Set(float64(r.lanes.entries))
	r.metrics.sending.Set(float64(r.lanes.sending))
}

// lock makes the caller the one writer of batches and clears of this process.
func (r *Relay) lock(ctx context.Context) error {
	select {
	case r.writer <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Relay) unlock() { <-r.writer }

func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// exponential gives waits that double from first to longest, with jitter.
func exponential(first, longest time.Duration) func(failures int) time.Duration {
	return func(failures int) time.Duration {
		wait := min(first<<min(failures-1, 20), longest)
		return wait/2 + rand.N(wait/2+1)
	}
}
