package feed

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// shape is what the topics look like: which logs they are, and how many partitions each has.
type shape struct {
	lineage cursor.Lineage
	counts  [len(cursor.Topics)]int
}

// look asks for it.
func look(ctx context.Context, reader *kafka.Reader) (shape, error) {
	logs, err := reader.Describe(ctx, cursor.Topics[:]...)
	if err != nil {
		return shape{}, err
	}
	var s shape
	for t, name := range cursor.Topics {
		s.lineage[t] = cursor.Hash(logs[name].ClusterID, logs[name].TopicID)
		s.counts[t] = int(logs[name].Partitions)
	}
	return s, nil
}

// partitions lists all.
func (s shape) partitions() []kafka.Partition {
	var all []kafka.Partition
	for t, n := range s.counts {
		for p := range n {
			all = append(all, kafka.Partition{Topic: cursor.Topics[t], Number: int32(p)})
		}
	}
	return all
}

// position makes one of offsets.
func (s shape) position(found map[kafka.Partition]int64) cursor.Position {
	var p cursor.Position
	for t, n := range s.counts {
		p[t] = make([]int64, n)
		for i := range n {
			p[t][i] = found[kafka.Partition{Topic: cursor.Topics[t], Number: int32(i)}]
		}
	}
	return p
}

// counts gives how many partitions a position knows.
func counts(p cursor.Position) (n [len(cursor.Topics)]int) {
	for t := range p {
		n[t] = len(p[t])
	}
	return n
}

// offsets gives a position as the reader wants it.
func offsets(p cursor.Position) map[kafka.Partition]int64 {
	all := map[kafka.Partition]int64{}
	for t := range p {
		for i, next := range p[t] {
			all[kafka.Partition{Topic: cursor.Topics[t], Number: int32(i)}] = next
		}
	}
	return all
}

// ErrNoPartition says that a cursor names partitions that its topic never had.
var ErrNoPartition = errors.New("the cursor names partitions that the topic does not have")

// widen makes room for the partitions that a cursor knows and now does not yet: an instance that looked at the topics
// later may have given it. ErrNoPartition: the topic does not have them either. What does not exist would never be
// reached, and the cursor would be ahead for good.
func widen(ctx context.Context, reader *kafka.Reader, now shape, at cursor.Cursor) (shape, error) {
	isWider := func(s shape) (t int, yes bool) {
		for t, n := range s.counts {
			if at.Lineage[t] == s.lineage[t] && len(at.Next[t]) > n {
				return t, true
			}
		}
		return 0, false
	}
	if _, yes := isWider(now); !yes {
		return now, nil
	}
	there, err := look(ctx, reader)
	if err != nil {
		return shape{}, err
	}
	if there.lineage != now.lineage {
		return shape{}, errChanged // Live will see it, too
	}
	if t, yes := isWider(there); yes {
		return shape{}, fmt.Errorf("%w: %s has %d, not %d", ErrNoPartition, cursor.Topics[t], there.counts[t], len(at.Next[t]))
	}
	return there, nil
}

// bridge takes a position over to the logs as they are now. What it points to and is gone is a gap; a partition that
// it does not know begins at its start. Where reached is further than the log's end, which a broker may not know yet,
// nothing is gone.
func bridge(ctx context.Context, reader *kafka.Reader, now shape, at cursor.Cursor, reached cursor.Position) (cursor.Cursor, []Gap, error) {
	oldest, err := reader.Offsets(ctx, now.partitions(), kafka.Oldest)
	if err != nil {
		return cursor.Cursor{}, nil, err
	}
	newest, err := reader.Offsets(ctx, now.partitions(), kafka.Newest)
	if err != nil {
		return cursor.Cursor{}, nil, err
	}
	first, last := now.position(oldest), now.position(newest).Max(reached)
	to := cursor.Cursor{Lineage: now.lineage, Next: at.Next.Clone()}
	var gaps []Gap
	for t := range now.counts {
		for p := range now.counts[t] {
			from, known := at.Next.At(t, p)
			begin, end := first[t][p], last[t][p]
			switch {
			case !known:
				to.Next[t] = append(to.Next[t], begin)
			case at.Lineage[t] != now.lineage[t]:
				gaps = append(gaps, newGap(Recreated, t, p, from, begin))
				to.Next[t][p] = begin
			case from < begin:
				gaps = append(gaps, newGap(Retention, t, p, from, begin))
				to.Next[t][p] = begin
			case from > end:
				gaps = append(gaps, newGap(Truncated, t, p, from, end))
				to.Next[t][p] = end
			}
		}
		if at.Lineage[t] != now.lineage[t] && len(to.Next[t]) > now.counts[t] {
			to.Next[t] = to.Next[t][:now.counts[t]] // partitions of the log that is gone
		}
	}
	return to, gaps, nil
}
