// Package group lets concurrent callers share one batch: whatever arrived while the last batch was in flight goes
// with the next. There is no timer, so an idle caller waits for nobody, and a busy system does few large batches.
//
// It knows nothing of what a batch does. A batch that panics or answers for too few is an error for its callers.
package group

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

var (
	// ErrOverloaded says that the queue is full; nothing was done.
	ErrOverloaded = errors.New("too many callers are waiting")
	// ErrClosed says that the group has ended; nothing was done.
	ErrClosed = errors.New("the group has ended")
)

// Result is what a batch answers for one of its items.
type Result[Out any] struct {
	Value Out
	Err   error
}

// Group collects items of concurrent callers into batches.
type Group[In, Out any] struct {
	workers, maxBatch, maxQueued, maxBytes int

	size func(In) int
	do   func(ctx context.Context, batch []In) []Result[Out]

	mu     sync.Mutex
	queue  []*call[In, Out]
	closed bool
	wake   chan struct{} // holds a token while there may be work
}

type call[In, Out any] struct {
	ctx    context.Context //nolint:containedctx // asked once: has the caller left before its batch began?
	in     In
	size   int
	result chan Result[Out]
}

// New gives a group whose batches hold at most maxBatch items and, by size, maxBytes; a larger item goes alone.
// At most maxQueued callers wait. do answers for each item of its batch, in order; at most workers of them run at once.
func New[In, Out any](workers, maxBatch, maxQueued int, size func(In) int, maxBytes int,
	do func(ctx context.Context, batch []In) []Result[Out],
) *Group[In, Out] {
	return &Group[In, Out]{
		workers: workers, maxBatch: maxBatch, maxQueued: maxQueued, maxBytes: maxBytes,
		size: size, do: do, wake: make(chan struct{}, 1),
	}
}

// Do has in done with the next batch and waits for its result. When ctx ends, only the waiting ends: a batch that has
// begun goes on, so the outcome is unknown. A caller that has left before its batch began is left out of it.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	c := &call[In, Out]{ctx: ctx, in: in, size: g.size(in), result: make(chan Result[Out], 1)}
	var none Out
	if err := g.push(c); err != nil {
		return none, err
	}
	select {
	case r := <-c.result:
		return r.Value, r.Err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (g *Group[In, Out]) push(c *call[In, Out]) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return ErrClosed
	case len(g.queue) >= g.maxQueued:
		return ErrOverloaded
	}
	g.queue = append(g.queue, c)
	g.signal()
	return nil
}

func (g *Group[In, Out]) signal() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Run does the batches until ctx ends; it then does what is queued already, refuses the rest, and returns.
func (g *Group[In, Out]) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range g.workers {
		workers.Go(func() { g.work(ctx) })
	}
	workers.Wait()
	return nil
}

func (g *Group[In, Out]) work(ctx context.Context) {
	for {
		select {
		case <-g.wake:
		case <-ctx.Done():
			g.close()
		}
		for batch := g.next(); len(batch) > 0; batch = g.next() {
			g.run(context.WithoutCancel(ctx), batch)
		}
		if ctx.Err() != nil && g.drained() {
			return
		}
	}
}

func (g *Group[In, Out]) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *Group[In, Out]) drained() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed && len(g.queue) == 0
}

// next takes the next batch off the queue; where something stays behind, another worker is woken for it.
func (g *Group[In, Out]) next() []*call[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	var batch []*call[In, Out]
	bytes, taken := 0, 0
	for _, c := range g.queue {
		if c.ctx.Err() != nil {
			taken++
			continue
		}
		if len(batch) == g.maxBatch || len(batch) > 0 && bytes+c.size > g.maxBytes {
			break
		}
		bytes += c.size
		taken++
		batch = append(batch, c)
	}
	clear(g.queue[:taken]) // lets go of what was taken
	g.queue = g.queue[taken:]
	if len(g.queue) > 0 {
		g.signal()
	}
	return batch
}

func (g *Group[In, Out]) run(ctx context.Context, batch []*call[In, Out]) {
	items := make([]In, len(batch))
	for i, c := range batch {
		items[i] = c.in
	}
	results, err := g.try(ctx, items)
	for i, c := range batch {
		if err != nil {
			c.result <- Result[Out]{Err: err}
			continue
		}
		c.result <- results[i]
	}
}

// try turns a panic into an error: it is one batch's trouble, not the end of all callers.
func (g *Group[In, Out]) try(ctx context.Context, items []In) (results []Result[Out], err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a batch of %d panicked: %v\n%s", len(items), r, debug.Stack())
		}
	}()
	results = g.do(ctx, items)
	if len(results) != len(items) {
		return nil, fmt.Errorf("a batch of %d got %d results", len(items), len(results))
	}
	return results, nil
}
