package inspect

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// both are the topics of events.
var both = []string{events.TopicOrders, events.TopicShipping}

// TailFilter picks records; its zero value picks all.
type TailFilter struct {
	Order, Customer string
	Types           []string
	From, Until     time.Time // when a record was written; Until is left out
}

func (f TailFilter) picks(r *topics.Record) bool {
	return (f.Order == "" || string(r.Key) == f.Order) &&
		(f.Customer == "" || r.Header(events.HeaderCustomer) == f.Customer) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, string(r.Type()))) &&
		!r.Time.Before(f.From) && (f.Until.IsZero() || r.Time.Before(f.Until))
}

// Tail hands what f picks to each, in the order of time: all that the topics hold now.
func Tail(ctx context.Context, log *topics.Log, f TailFilter, each func(*topics.Record) error) error {
	bounds, err := bounds(ctx, log, f)
	if err != nil {
		return err
	}
	return merge(ctx, log, bounds, func(r *topics.Record) error {
		if f.picks(r) {
			return each(r)
		}
		return nil
	})
}

// Follow hands what f picks to each as it is written, until ctx ends or each fails; without f.From only what is new.
func Follow(ctx context.Context, log *topics.Log, f TailFilter, each func(*topics.Record) error) error {
	bounds, err := bounds(ctx, log, f)
	if err != nil {
		return err
	}
	from := map[string]map[int32]int64{}
	for topic, partitions := range bounds {
		from[topic] = map[int32]int64{}
		for p, r := range partitions {
			from[topic][p] = r.Start
			if f.From.IsZero() {
				from[topic][p] = r.End
			}
		}
	}
	return log.Follow(ctx, from, func(r *topics.Record) error {
		if f.picks(r) {
			return each(r)
		}
		return nil
	})
}

// bounds leaves out what cannot hold any of it: all records of an order are in one partition of each topic.
func bounds(ctx context.Context, log *topics.Log, f TailFilter) (topics.Bounds, error) {
	all, err := log.After(ctx, f.From, both...)
	if err != nil || f.Order == "" {
		return all, err
	}
	for topic, partitions := range all {
		p := topics.PartitionOf([]byte(f.Order), int32(len(partitions)))
		all[topic] = map[int32]topics.Range{p: partitions[p]}
	}
	return all, nil
}

// source is one partition that is being read ahead.
type source struct {
	records chan *topics.Record
	err     error // once records is closed
	head    *topics.Record
}

// next moves on to the next record; false at the end.
func (s *source) next() bool {
	var ok bool
	s.head, ok = <-s.records
	return ok
}

// merge reads all partitions side by side and hands their records to each in the order of time.
func merge(ctx context.Context, log *topics.Log, bounds topics.Bounds, each func(*topics.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	var sources []*source
	for topic, partitions := range bounds {
		for p, r := range partitions {
			if r.Start >= r.End {
				continue
			}
			s := &source{records: make(chan *topics.Record, 64)}
			sources = append(sources, s)
			reading.Go(func() {
				defer close(s.records)
				s.err = log.Read(ctx, topic, p, r, func(r *topics.Record) error {
					select {
					case s.records <- r:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
			})
		}
	}
	var errs []error
	at := func(i int) {
		if !sources[i].next() {
			errs = append(errs, sources[i].err)
			sources = slices.Delete(sources, i, i+1)
		}
	}
	for i := len(sources) - 1; i >= 0; i-- {
		at(i)
	}
	for len(sources) > 0 {
		first := 0
		for i, s := range sources {
			if s.head.Time.Before(sources[first].head.Time) {
				first = i
			}
		}
		if err := each(sources[first].head); err != nil {
			return err
		}
		at(first)
	}
	return errors.Join(errs...)
}
