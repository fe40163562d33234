package inspect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// maxChanges is how many are listed; all are counted.
const maxChanges = 100

// Replay is what a service would make of its topics if it read them again.
type Replay struct {
	Service string    `json:"service"`
	From    time.Time `json:"from,omitzero"`
	Read    int       `json:"read"` // records, of whatever type
	// Judged are those that the service acts on, by what they would do now.
	Judged map[documents.Effect]int `json:"judged"`
	// DeadLettered are those that it could not handle, and that its dead-letter topics hold.
	DeadLettered int `json:"deadLettered"`
	// Pending are those that its group has not committed: it reads them anyway.
	Pending int64    `json:"pending"`
	Total   int      `json:"changes"` // what a healthy system has none of
	Changes []Change `json:"listed"`  // at most 100 of them
}

// Change is one record whose replay would change something.
type Change struct {
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Order     string           `json:"order"`
	Type      string           `json:"type"`
	Sequence  int64            `json:"sequence,omitempty"`
	Effect    documents.Effect `json:"effect"`
	Why       string           `json:"why"`
}

// Reads gives the topics that a service reads, by the catalog.
func Reads(service string) []string {
	read := map[string]bool{}
	for _, typ := range events.Types() {
		if info, _ := events.Lookup(typ); events.ReadBy(service, typ) {
			read[info.Topic] = true
		}
	}
	return slices.Sorted(maps.Keys(read))
}

// replayBatch is how many records are compared with their documents at once.
const replayBatch = 1000

// RunReplay reads what the service's group has finished, from the first record that is not older than from, and
// compares each record with the document as it is now. Offsets are looked up first and documents last, so a system that
// goes on meanwhile looks no worse than it is.
func RunReplay(ctx context.Context, log *topics.Log, d *documents.Databases, service string, from time.Time, say func(string, ...any)) (*Replay, error) {
	committed, err := log.Committed(ctx, service)
	if err != nil {
		return nil, err
	}
	bounds, err := log.After(ctx, from, Reads(service)...)
	if err != nil {
		return nil, err
	}
	box, err := dlq.Read(ctx, log)
	if err != nil {
		return nil, err
	}
	r := &replay{
		Replay:    Replay{Service: service, From: from, Judged: map[documents.Effect]int{}, Changes: []Change{}},
		databases: d, dead: map[dlq.ID]bool{},
	}
	for _, l := range box.List(dlq.Filter{Consumer: service}, true) {
		r.dead[l.ID] = true
	}
	for _, topic := range Reads(service) {
		for _, p := range slices.Sorted(maps.Keys(bounds[topic])) {
			span := bounds[topic][p]
			done := min(max(committed[topic][p], span.Start), span.End)
			r.Pending += span.End - done
			span.End = done
			if span.Start >= span.End {
				continue
			}
			if err := r.partition(ctx, log, topic, p, span); err != nil {
				return nil, err
			}
			say("%s/%d: %d records read", topic, p, r.Read)
		}
	}
	return &r.Replay, nil
}

type replay struct {
	Replay
	databases *documents.Databases
	dead      map[dlq.ID]bool
	batch     []*topics.Record
}

func (r *replay) partition(ctx context.Context, log *topics.Log, topic string, p int32, span topics.Range) error {
	err := log.Read(ctx, topic, p, span, func(rec *topics.Record) error {
		r.Read++
		if !events.ReadBy(r.Service, rec.Type()) {
			return nil
		}
		if r.batch = append(r.batch, rec); len(r.batch) < replayBatch {
			return nil
		}
		return r.judge(ctx)
	})
	return errors.Join(err, r.judge(ctx))
}

// judge compares the batch with its documents.
func (r *replay) judge(ctx context.Context) error {
	var ids []string
	for _, rec := range r.batch {
		ids = append(ids, string(rec.Key))
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	found, err := r.databases.Find(ctx, r.Service, slices.Compact(ids)...)
	if err != nil {
		return err
	}
	for _, rec := range r.batch {
		effect, why := dlq.Unreadable, ""
		c := Change{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Order: string(rec.Key), Type: string(rec.Type())}
		if rec.Event == nil {
			why = rec.Err.Error()
		} else {
			effect, why = documents.EffectOf(r.Service, rec.Event, found[rec.Event.Subject])
			c.Sequence = rec.Event.Sequence
		}
		c.Effect, c.Why = effect, why
		r.count(c)
	}
	r.batch = r.batch[:0]
	return nil
}

func (r *replay) count(c Change) {
	switch {
	case c.Effect == documents.Known || c.Effect == documents.Agrees:
		r.Judged[c.Effect]++
	case r.dead[dlq.ID{Consumer: r.Service, Topic: c.Topic, Partition: c.Partition, Offset: c.Offset}]:
		r.DeadLettered++
	default:
		if !c.Effect.Any() {
			c.Why = "it would become a dead letter and is none: " + c.Why
		}
		r.Judged[c.Effect]++
		r.Total++
		if len(r.Changes) < maxChanges {
			r.Changes = append(r.Changes, c)
		}
	}
}

// String says it in a sentence.
func (r *Replay) String() string {
	return fmt.Sprintf("%s: %d records read, %d known, %d agreed with, %d dead letters, %d not handled yet: %d would change something",
		r.Service, r.Read, r.Judged[documents.Known], r.Judged[documents.Agrees], r.DeadLettered, r.Pending, r.Total)
}
