package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// readyWithin is for how long Kafka may say nothing before this instance is not ready; it answers every 250 ms at least.
const readyWithin = 5 * time.Second

// Live reads all partitions of both topics from the end on and feeds the Sequencer. It has no group and commits nothing.
type Live struct {
	config    kafka.Config
	name      string
	seq       *Sequencer
	log       *slog.Logger
	metric    *Metrics
	lookEvery time.Duration

	mu    sync.Mutex
	heard map[kafka.Partition]time.Time // when a partition was last answered
	since time.Time                     // when reading was begun, or tried to
}

// NewLive makes the part that follows Kafka.
func NewLive(c Config, k kafka.Config, name string, seq *Sequencer, log *slog.Logger, m *Metrics) *Live {
	return &Live{config: k, name: name, seq: seq, log: log, metric: m, heard: map[kafka.Partition]time.Time{}, lookEvery: c.RefreshInterval, since: time.Now()}
}

// Silent tells for how long the quietest partition has not been answered.
func (l *Live) Silent() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.since
	first := true
	for _, at := range l.heard {
		if first || at.Before(oldest) {
			oldest, first = at, false
		}
	}
	return time.Since(oldest)
}

// Ready says nil while Kafka is read.
func (l *Live) Ready(context.Context) error {
	if _, err := l.seq.Now(); err != nil {
		return err
	}
	if silent := l.Silent(); silent > readyWithin {
		return fmt.Errorf("kafka has not answered for %s", silent.Round(time.Second))
	}
	return nil
}

// Run reads until ctx ends. It waits for brokers for as long as it takes.
func (l *Live) Run(ctx context.Context) error {
	if err := l.ensureTopics(ctx); err != nil {
		return err
	}
	for try := 0; ctx.Err() == nil; try++ {
		reader, err := kafka.NewReader(l.config, l.name, l.log)
		if err == nil {
			err = l.follow(ctx, reader)
			if closing := reader.Close(); closing != nil {
				l.log.Debug("close the reader", "error", closing)
			}
		}
		if try%10 == 0 && ctx.Err() == nil {
			l.log.Warn("cannot read from Kafka", "brokers", l.config.Brokers, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait(try)):
		}
	}
	return nil
}

// wait grows from 100 ms to a second, with jitter: all instances miss a broker at once.
func wait(failures int) time.Duration {
	d := min(time.Duration(failures+1)*100*time.Millisecond, time.Second)
	return d/2 + rand.N(d/2) //nolint:gosec // jitter is no secret
}

// ensureTopics creates the topics where they are missing. Another number of partitions than configured is no trouble
// for a reader.
func (l *Live) ensureTopics(ctx context.Context) error {
	err := kafka.EnsureTopics(ctx, l.config, l.name, l.log, l.config.Topics(cursor.Topics[:]...)...)
	var partitions *kafka.PartitionsError
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // told to stop while waiting
	case errors.As(err, &partitions):
		l.log.Warn("a topic has another number of partitions than KAFKA_TOPIC_PARTITIONS", "topic", partitions.Topic,
			"partitions", partitions.Have)
	case err != nil:
		return fmt.Errorf("ensure topics: %w", err)
	}
	return nil
}

// errChanged says that the topics are not what they were when reading began.
var errChanged = errors.New("the topics have changed")

// follow reads with one reader until something is wrong with it.
func (l *Live) follow(ctx context.Context, reader *kafka.Reader) error {
	var cut *kafka.OutOfRangeError // what the reading before has ended with
	for {
		from, err := l.begin(ctx, reader, cut)
		if err != nil {
			return err
		}
		err = l.read(ctx, reader, from)
		cut = nil
		if !errors.Is(err, errChanged) && !errors.As(err, &cut) {
			return err
		}
		l.log.Info("looking at the topics again", "reason", err)
	}
}

// begin looks at the topics and gives the position to read from: the end of each partition the first time, and later
// where the reading has stopped. What is no longer there is a gap; new partitions and topics are read from their start.
//
// That a log ends before the position is believed of the partition alone that a fetch found out of range: a leader that
// was just elected names an end that is too low until its followers have answered it (KIP-207).
func (l *Live) begin(ctx context.Context, reader *kafka.Reader, cut *kafka.OutOfRangeError) (cursor.Cursor, error) {
	shape, err := look(ctx, reader)
	if err != nil {
		return cursor.Cursor{}, err
	}
	at, err := l.seq.Now()
	if errors.Is(err, ErrNotStarted) {
		newest, err := reader.Offsets(ctx, shape.partitions(), kafka.Newest)
		if err != nil {
			return cursor.Cursor{}, err
		}
		at = cursor.Cursor{Lineage: shape.lineage, Next: shape.position(newest)}
		l.seq.Start(at, nil)
		l.heardAll(at.Next)
		return at, nil
	}
	reached := at.Next.Clone()
	if cut != nil {
		reached[cursor.Index(cut.Topic)][cut.Number] = 0
	}
	to, gaps, err := bridge(ctx, reader, shape, at, reached)
	if err != nil {
		return cursor.Cursor{}, err
	}
	for _, g := range gaps {
		l.metric.gaps.WithLabelValues(string(g.reason)).Inc()
		l.log.Warn("events are gone before they were read", "topic", g.Topic, "partition", g.Partition, "reason", string(g.reason),
			"from", g.From, "to", g.To)
	}
	l.seq.Start(to, gaps)
	l.heardAll(to.Next)
	return to, nil
}

// read reads from a position on, and looks at the topics now and then.
func (l *Live) read(ctx context.Context, reader *kafka.Reader, from cursor.Cursor) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer cancel(nil)
	looking.Go(func() {
		if l.watch(ctx, reader, from) {
			cancel(errChanged)
		}
	})
	return reader.Read(ctx, offsets(from.Next), l.take)
}

// watch looks at the topics now and then; true when they have changed.
func (l *Live) watch(ctx context.Context, reader *kafka.Reader, from cursor.Cursor) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(l.lookEvery):
		}
		shape, err := look(ctx, reader)
		if err != nil {
			l.log.Debug("look at the topics", "error", err)
			continue
		}
		if shape.lineage != from.Lineage || shape.counts != counts(from.Next) {
			return true
		}
	}
}

// take feeds what was read to the Sequencer.
func (l *Live) take(chunks []kafka.Chunk) error {
	now := time.Now()
	l.mu.Lock()
	for _, c := range chunks {
		l.heard[c.Partition] = now
	}
	l.mu.Unlock()
	for _, c := range chunks {
		topic := cursor.Index(c.Topic)
		var batch []*Event
		for i := range c.Records {
			e, err := decode(topic, int(c.Number), &c.Records[i])
			switch {
			case err == nil:
				l.metric.records.WithLabelValues("event").Inc()
				batch = append(batch, e)
			case errors.Is(err, events.ErrUnknownType):
				l.metric.records.WithLabelValues("unknown").Inc()
			default: // the services put it into their dead-letter topics; nobody can be told whose it is
				l.metric.records.WithLabelValues("malformed").Inc()
				l.log.Debug("not an event", "topic", c.Topic, "partition", c.Number, "offset", c.Records[i].Offset, "error", err)
			}
		}
		l.seq.publish(topic, int(c.Number), batch, c.Next)
	}
	return nil
}

// heardAll begins to listen to these partitions, and to no others.
func (l *Live) heardAll(p cursor.Position) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = map[kafka.Partition]time.Time{}
	for partition := range offsets(p) {
		l.heard[partition] = now
	}
}
