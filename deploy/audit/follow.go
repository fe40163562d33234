package audit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// ErrViolated says that an invariant was broken while a system was followed.
var ErrViolated = errors.New("an invariant is violated")

// defaultEvery is how often a follower looks.
const defaultEvery = 10 * time.Second

// Follow makes a live audit, and then, every so often, one of what is new since the one before: of the orders that
// events were written about. Each report goes to each, until ctx ends or each fails. It ends with ErrViolated if any
// invariant was violated. A broker or a database that goes away after the first audit is waited for.
//
// What is new is audited as if the log began there, and what is remembered of each order's last sequences tells holes
// from beginnings. That memory is bounded: of an order that was silent while 100,000 others spoke nothing is known.
func Follow(ctx context.Context, c Config, each func(*Report) error) error {
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	if c.Every == 0 {
		c.Every = defaultEvery
	}
	c.Quiesced = false
	w := &window{known: map[string]lasts{}}
	holds := true
	for {
		report, err := run(ctx, c, w)
		var broker *topics.UnreachableError
		var database *UnreachableError
		switch {
		case ctx.Err() != nil:
		case err == nil:
			holds = holds && report.Holds()
			if err := each(report); err != nil {
				return err
			}
			c.Accepted = nil
		case w.since != nil && (errors.As(err, &broker) || errors.As(err, &database)):
			c.Say("%v; it is asked again", err)
		default:
			return err
		}
		select {
		case <-ctx.Done():
			if !holds {
				return ErrViolated
			}
			return nil
		case <-time.After(c.Every):
		}
	}
}

// lasts are the last sequences that the log has shown of an order's streams.
type lasts [streams]int64

// window is what a follower remembers.
type window struct {
	since  map[string]map[int32]int64 // where the new part of the topics begins; nil before the first audit
	only   map[string]bool            // the orders that this audit is about
	known  map[string]lasts           // the younger half of what is remembered
	before map[string]lasts           // the older one
}

// maxKnown is how many orders a half holds.
const maxKnown = 100_000

func (w *window) last(id string) lasts {
	if l, ok := w.known[id]; ok {
		return l
	}
	return w.before[id]
}

func (w *window) remember(id string, d *dossier) {
	l := d.before
	for i := range d.streams {
		l[i] = max(l[i], d.streams[i].last)
	}
	if len(w.known) >= maxKnown {
		w.known, w.before = map[string]lasts{}, w.known
	}
	w.known[id] = l
}

// follows tells whether only what is new is audited.
func (a *auditor) follows() bool { return a.window != nil && a.window.since != nil }

// news finds the orders that something was written about since the audit before, up to where the topics end now. What
// is written while their documents are read is looked at again the next time.
func (a *auditor) news(ctx context.Context) error {
	a.window.only = map[string]bool{}
	for topic, partitions := range a.window.since {
		for p, since := range partitions {
			r := topics.Range{Start: since, End: a.bounds[topic][p].End}
			err := a.log.Read(ctx, topic, p, r, func(rec *topics.Record) error {
				if rec.Event != nil {
					a.window.only[rec.Event.Subject] = true
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// ids are the orders that this audit is about, in pages; one page of nil stands for all.
func (a *auditor) ids() [][]string {
	if !a.follows() {
		return [][]string{nil}
	}
	return slices.Collect(slices.Chunk(slices.Sorted(maps.Keys(a.window.only)), 1000))
}

// endsOf gives where the two topics end.
func endsOf(b topics.Bounds) map[string]map[int32]int64 {
	ends := map[string]map[int32]int64{}
	for _, topic := range []string{events.TopicOrders, events.TopicShipping} {
		ends[topic] = map[int32]int64{}
		for p, r := range b[topic] {
			ends[topic][p] = r.End
		}
	}
	return ends
}
