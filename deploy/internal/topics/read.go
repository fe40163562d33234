package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What one reader holds at most: a fetch under work and the next one. They are compressed: what becomes of them in memory
// is many times as large.
const (
	fetchBytes = 512 << 10
	// idle is how long a partition may say nothing before it is asked where it begins and ends.
	idle = 5 * time.Second
)

// ErrStop ends a reading from inside without being an error.
var ErrStop = errors.New("stop reading")

// Read hands the records of one partition from r.Start up to r.End, in order, to each, until that fails. What retention
// has taken meanwhile is left out, and so is what transactions leave behind: their markers and what they took back. The
// record is each's to keep.
func (l *Log) Read(ctx context.Context, topic string, partition int32, r Range, each func(*Record) error) error {
	if r.Start >= r.End {
		return nil
	}
	// Offsets may end in the marker of a transaction: without it the reader would wait for a record that never comes.
	client, err := l.reader(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(r.Start)}}, kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	for next := r.Start; next < r.End; {
		fetches, err := poll(ctx, client)
		if err != nil {
			return fmt.Errorf("read %s[%d]@%d: %w", topic, partition, next, err)
		}
		if fetches.NumRecords() == 0 {
			// The rest may be gone by retention, or the broker.
			bounds, err := l.Bounds(ctx, topic)
			if err != nil {
				return err
			}
			if bounds[topic][partition].Start >= r.End || bounds[topic][partition].End < r.End {
				return nil
			}
			continue
		}
		for _, k := range fetches.Records() {
			if k.Offset >= r.End {
				return nil
			}
			next = k.Offset + 1
			if k.Attrs.IsControl() {
				continue
			}
			switch err := each(decoded(k)); {
			case errors.Is(err, ErrStop):
				return nil
			case err != nil:
				return err
			}
		}
	}
	return nil
}

// Follow hands the records of these topics to each as they are written, from the given offsets on, until ctx ends or
// each fails. Partitions keep their order, between them there is none. A partition that is not named is not read.
func (l *Log) Follow(ctx context.Context, from map[string]map[int32]int64, each func(*Record) error) error {
	offsets := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range from {
		offsets[topic] = map[int32]kgo.Offset{}
		for p, at := range partitions {
			offsets[topic][p] = kgo.NewOffset().At(at)
		}
	}
	client, err := l.reader(offsets)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		fetches, err := poll(ctx, client)
		if err != nil {
			return fmt.Errorf("follow the topics: %w", err)
		}
		for _, k := range fetches.Records() {
			switch err := each(decoded(k)); {
			case errors.Is(err, ErrStop):
				return nil
			case err != nil:
				return err
			}
		}
	}
}

func (l *Log) reader(from map[string]map[int32]kgo.Offset, more ...kgo.Opt) (*kgo.Client, error) {
	opts := slices.Concat(l.opts, more, []kgo.Opt{
		kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes), kgo.MaxConcurrentFetches(1),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	})
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka reader: %w", err)
	}
	return client, nil
}

// poll waits for records, at most as long as a partition may be idle.
func poll(ctx context.Context, client *kgo.Client) (kgo.Fetches, error) {
	wait, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	fetches := client.PollFetches(wait)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			return nil, unreachable(ctx, e.Err)
		}
	}
	return fetches, nil
}
