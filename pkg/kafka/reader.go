package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Partition is one partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

// Record is one committed record of a partition.
type Record struct {
	Offset     int64
	Time       time.Time
	Key, Value []byte
	Headers    []*sarama.RecordHeader
}

// Header gives the value of a record header, "" where there is none; the first of several.
func (r *Record) Header(name string) string {
	for _, h := range r.Headers {
		if string(h.Key) == name {
			return string(h.Value)
		}
	}
	return ""
}

// Chunk is what was read of a partition: its records in order, and the offset to go on from. The latter may lie beyond
// the last record, behind records that nobody sees: transaction markers and what was aborted.
type Chunk struct {
	Partition
	Records []Record
	Next    int64
}

// OutOfRangeError says that a partition has no record at an offset: the log was cut at its beginning or at its end.
type OutOfRangeError struct {
	Partition
	Offset int64
}

func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("%s/%d has no offset %d", e.Topic, e.Number, e.Offset)
}

// Reader reads partitions from given offsets, without a group and committed records only. Unlike sarama's own partition
// consumers it reads all partitions of a broker with one request, it tells how far it got where records are invisible,
// and it shows when it is answered and when not.
type Reader struct {
	client sarama.Client
	log    *slog.Logger
}

// abandon is how long the end of a read waits for a request that is under way. sarama cannot cancel one: where the
// broker does not answer, the request is left to its own time-out.
const abandon = time.Second

// NewReader makes a reader with connections of its own; a broker must be there. Close it.
func NewReader(c Config, clientID string, log *slog.Logger) (*Reader, error) {
	s, err := ReaderConfig(c, clientID)
	if err != nil {
		return nil, err
	}
	s.Metadata.Retry.Max = 1 // the loops here are patient, and end with their context
	client, err := Open(c.Brokers, s, log)
	if err != nil {
		return nil, err
	}
	return &Reader{client: client, log: log}, nil
}

// Close ends the connections.
func (r *Reader) Close() error { return r.client.Close() }

// Read reads from the offsets of from until ctx ends, take fails, or an offset is out of range (OutOfRangeError); it
// gives that error. take is called by one goroutine at a time, with what one answer brought: a chunk for every partition
// that was answered, also without records, as a sign of life. An error of take is given before any other, and take is not
// called again after it. Any other trouble is retried for as long as it takes.
func (r *Reader) Read(ctx context.Context, from map[Partition]int64, take func([]Chunk) error) error {
	next := make(map[Partition]int64, len(from))
	for p, offset := range from {
		next[p] = offset
	}
	for try := 0; ; try++ {
		begun := time.Now()
		err := r.round(ctx, next, take)
		var stop *stopError
		if errors.As(err, &stop) {
			return stop.error
		}
		if time.Since(begun) > time.Minute {
			try = 0
		}
		if try%10 == 0 && ctx.Err() == nil {
			r.log.Warn("reading from Kafka is interrupted", "error", err)
		}
		if err := r.refresh(ctx, next, try); err != nil {
			return err
		}
	}
}

// refresh waits a little and asks who leads the partitions now. It gives why ctx has ended, where it has.
func (r *Reader) refresh(ctx context.Context, next map[Partition]int64, try int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(backoff(try, 0)):
	}
	topics := map[string]bool{}
	for p := range next {
		topics[p.Topic] = true
	}
	for topic := range topics {
		if _, err := await(ctx, func() (struct{}, error) { return struct{}{}, r.client.RefreshMetadata(topic) }); err != nil {
			r.log.Debug("refresh metadata", "topic", topic, "error", err)
		}
	}
	return context.Cause(ctx)
}

// stopError is an error that ends a read; any other ends a round.
type stopError struct{ error }

func (e *stopError) Unwrap() error { return e.error }

// round reads from every leader side by side until one of them fails.
func (r *Reader) round(ctx context.Context, next map[Partition]int64, take func([]Chunk) error) error {
	leaders := map[*sarama.Broker][]Partition{}
	epochs := map[Partition]int32{}
	for p := range next {
		leader, err := await(ctx, func() (led, error) {
			b, epoch, err := r.client.LeaderAndEpoch(p.Topic, p.Number)
			return led{b, epoch}, err
		})
		if err != nil {
			if ctx.Err() != nil {
				return &stopError{context.Cause(ctx)}
			}
			return fmt.Errorf("find the leader of %s/%d: %w", p.Topic, p.Number, err)
		}
		leaders[leader.broker] = append(leaders[leader.broker], p)
		epochs[p] = leader.epoch
	}
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var mu sync.Mutex // guards next, calls of take, and what it refused
	var refused error
	takeUntil := func(chunks []Chunk) error { // another broker's answer may be waiting for its turn already
		if refused == nil {
			refused = take(chunks)
		}
		return refused
	}
	share := int32(max(maxFetchBytes/max(len(leaders), 1), minFetchBytes)) //nolint:gosec // at most maxFetchBytes
	for broker, partitions := range leaders {
		all.Go(func() {
			f := fetch{broker: broker, conf: r.client.Config(), partitions: partitions, epochs: epochs, maxBytes: share}
			cancel(f.loop(reading, &mu, next, takeUntil))
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return &stopError{context.Cause(ctx)}
	}
	if refused != nil { // whatever broke beside it, first perhaps
		return &stopError{refused}
	}
	return context.Cause(reading) // a connection that could not be made in time is a DeadlineExceeded, too
}

type led struct {
	broker *sarama.Broker
	epoch  int32
}

// await runs do, which cannot be cancelled, and leaves it behind when it does not end within abandon after ctx has.
func await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := do()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(abandon):
		var none T
		return none, ctx.Err()
	}
}
