package dlq

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/consumer"
)

// Filter picks letters; its zero value picks all.
type Filter struct {
	IDs                  []ID
	Topic                string // of the record
	Consumer             string
	Order                string
	Error                string // a part of it, in any case
	OlderThan, NewerThan time.Duration
}

// Empty tells whether nothing was asked for.
func (f Filter) Empty() bool {
	return len(f.IDs) == 0 && f.Topic == "" && f.Consumer == "" && f.Order == "" && f.Error == "" && f.OlderThan <= 0 && f.NewerThan <= 0
}

func (f Filter) picks(l *Letter, now time.Time) bool {
	age := now.Sub(l.Time)
	switch {
	case len(f.IDs) > 0 && !slices.Contains(f.IDs, l.ID),
		f.Topic != "" && f.Topic != l.Topic,
		f.Consumer != "" && f.Consumer != l.Consumer,
		f.Order != "" && f.Order != l.Order,
		!strings.Contains(strings.ToLower(l.Error), strings.ToLower(f.Error)),
		f.OlderThan > 0 && age < f.OlderThan,
		f.NewerThan > 0 && age >= f.NewerThan:
		return false
	}
	return true
}

// Box is all dead letters as they were when it was read.
type Box struct {
	letters []*Letter
	now     time.Time
}

// Read reads all dead-letter topics, those of other services on the same broker included. All letters are held in
// memory, some hundred bytes each: what they hold stays in the log.
func Read(ctx context.Context, log *topics.Log) (*Box, error) {
	names, err := log.Topics(ctx)
	if err != nil {
		return nil, err
	}
	f := newFolder()
	names = slices.DeleteFunc(names, func(topic string) bool { _, ok := consumerOf(topic); return !ok })
	if len(names) == 0 {
		return &Box{now: time.Now()}, nil
	}
	bounds, err := log.Bounds(ctx, names...)
	if err != nil {
		return nil, err
	}
	for topic, partitions := range bounds {
		for n, r := range partitions {
			if err := log.Read(ctx, topic, n, r, func(r *topics.Record) error { f.take(r); return nil }); err != nil {
				return nil, fmt.Errorf("read dead letters: %w", err)
			}
		}
	}
	return &Box{letters: f.letters(), now: time.Now()}, nil
}

// folder makes letters of records and marks. What is said of one letter is in one partition, and so in order.
type folder struct{ byID map[ID]*Letter }

func newFolder() *folder { return &folder{byID: map[ID]*Letter{}} }

func (f *folder) take(r *topics.Record) {
	l := letterOf(r)
	known := f.byID[l.ID]
	decision := State(r.Header(headerDecision))
	switch {
	case decision == "":
		if known != nil {
			l.Tries = known.Tries + 1
		}
		f.byID[l.ID] = l
	case known != nil && (decision == Redriven || decision == Discarded):
		settles, err := strconv.ParseInt(r.Header(headerSettles), 10, 64)
		if err != nil || settles < known.At {
			return // it failed again before the mark was written
		}
		known.State, known.Settled, known.Reason = decision, &l.Time, cut(r.Header(headerReason))
	}
}

// letters gives them in the order of their records, those of an order together.
func (f *folder) letters() []*Letter {
	all := make([]*Letter, 0, len(f.byID))
	for _, l := range f.byID {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Letter) int {
		return cmp.Or(cmp.Compare(a.Consumer, b.Consumer), cmp.Compare(a.In, b.In), cmp.Compare(a.Order, b.Order),
			cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Offset, b.Offset))
	})
	return all
}

// List gives the letters that f picks: the open ones, with settled those too on which was decided.
func (b *Box) List(f Filter, settled bool) []*Letter {
	var picked []*Letter
	for _, l := range b.letters {
		if (settled || l.State == Open) && f.picks(l, b.now) {
			picked = append(picked, l)
		}
	}
	return picked
}

// WithTheirOrders adds to letters all open ones of the same orders and consumers: an order's news is handed back
// together, in sequence.
func (b *Box) WithTheirOrders(letters []*Letter) []*Letter {
	type lane struct{ consumer, order string }
	chosen := map[ID]bool{}
	lanes := map[lane]bool{}
	for _, l := range letters {
		chosen[l.ID] = true
		if l.Order != "" {
			lanes[lane{l.Consumer, l.Order}] = true
		}
	}
	var all []*Letter
	for _, l := range b.letters {
		if chosen[l.ID] || l.State == Open && lanes[lane{l.Consumer, l.Order}] {
			all = append(all, l)
		}
	}
	return all
}

// topicsFor lists where decisions about letters are written.
func topicsFor(letters []*Letter) []string {
	var names []string
	for _, l := range letters {
		names = append(names, l.DeadLetterTopic, consumer.RetryTopic(l.Consumer))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
