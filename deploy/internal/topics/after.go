package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// After asks for the bounds of the named topics, each partition beginning at its first record that is not older than
// from. A topic that does not exist is left out, and a time up to 1970 asks for all: no record is older, and what Kafka
// takes for a time below zero is no time (ListOffsets: -1 is the end, -2 the beginning, others are refused).
func (l *Log) After(ctx context.Context, from time.Time, topics ...string) (Bounds, error) {
	bounds, err := l.Bounds(ctx, topics...)
	if err != nil || from.UnixMilli() <= 0 {
		return bounds, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	starts, err := l.admin.ListOffsetsAfterMilli(ctx, from.UnixMilli(), topics...)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	for topic, partitions := range bounds {
		for p, r := range partitions {
			start, ok := starts.Lookup(topic, p)
			switch {
			case !ok || errors.Is(start.Err, kerr.UnknownTopicOrPartition):
				continue
			case start.Err != nil:
				return nil, unreachable(ctx, fmt.Errorf("offset of %s in %s[%d]: %w", from.Format(time.RFC3339), topic, p, start.Err))
			}
			// Where all is older the answer is an end that may lie beyond the one asked for before.
			partitions[p] = Range{min(max(start.Offset, r.Start), r.End), r.End}
		}
	}
	return bounds, nil
}
