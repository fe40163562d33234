package consumertest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
)

var errNotNow = errors.New("not now")

func inOrder(t *testing.T, s *suite) {
	const n = 50
	j := newJournal()
	s.fill(t, s.config.Topics[0], 0, n)
	s.fill(t, s.config.Topics[1], 0, n)
	s.join(t, j.apply)
	for _, topic := range s.config.Topics {
		j.await(t, "all records", j.holds(topic, n))
		for p := range int32(partitions) {
			require.Equal(t, upTo(n), j.offsets(topic, p), "each once and in order")
			s.awaitCommitted(t, topic, p, n)
		}
	}
}

func unfinished(t *testing.T, s *suite) {
	const n, bad = 10, 5
	s.fill(t, s.topic, 0, n)
	j := newJournal()
	var healed atomic.Bool
	s.join(t, func(_ context.Context, batch []*consumer.Record) []error {
		outcomes := make([]error, len(batch))
		for i, r := range batch {
			if r.Partition == 2 && r.Offset == bad && !healed.Load() {
				outcomes[i] = errNotNow
				j.change(func() { j.tries++ })
				continue
			}
			j.add(r)
		}
		return outcomes
	})
	s.awaitCommitted(t, s.topic, 2, bad)
	for _, p := range []int32{0, 1, 3} {
		s.awaitCommitted(t, s.topic, p, n)
	}
	j.await(t, "tries again and again", func() bool { return j.tries >= 4 })
	s.fill(t, s.topic, n, n)
	for _, p := range []int32{0, 1, 3} {
		s.awaitCommitted(t, s.topic, p, 2*n)
		require.Equal(t, upTo(2*n), j.offsets(s.topic, p), "the others are handled once")
	}
	require.EqualValues(t, bad, s.committed(t, s.topic, 2))
	healed.Store(true)
	s.awaitCommitted(t, s.topic, 2, 2*n)
	require.Equal(t, upTo(2*n), distinct(j.offsets(s.topic, 2)))
}

func isolates(t *testing.T, s *suite) {
	const n, bad = 20, 7
	s.fill(t, s.topic, 0, n)
	j := newJournal()
	var healed atomic.Bool
	s.join(t, func(ctx context.Context, batch []*consumer.Record) []error {
		poisoned := slices.ContainsFunc(batch, func(r *consumer.Record) bool { return r.Partition == 1 && r.Offset == bad })
		if poisoned && !healed.Load() {
			outcomes := make([]error, len(batch))
			for i := range outcomes {
				outcomes[i] = errNotNow
			}
			return outcomes
		}
		return j.apply(ctx, batch)
	})
	for _, p := range []int32{0, 2, 3} {
		s.awaitCommitted(t, s.topic, p, n)
	}
	s.awaitCommitted(t, s.topic, 1, bad)
	healed.Store(true)
	s.awaitCommitted(t, s.topic, 1, n)
	require.Equal(t, upTo(n), j.offsets(s.topic, 1))
}

func afterCrash(t *testing.T, s *suite) {
	const n = 10
	s.fill(t, s.topic, 0, n)
	j := newJournal()
	stop := s.join(t, func(ctx context.Context, batch []*consumer.Record) []error {
		j.apply(ctx, batch) // the effect is there, and nobody hears of it
		<-ctx.Done()
		outcomes := make([]error, len(batch))
		for i := range outcomes {
			outcomes[i] = ctx.Err()
		}
		return outcomes
	})
	j.await(t, "a first effect", func() bool { return len(j.done) > 0 })
	stop()
	for p := range int32(partitions) {
		require.Negative(t, s.committed(t, s.topic, p))
	}
	again := newJournal()
	s.join(t, again.apply)
	again.await(t, "all of it again", again.holds(s.topic, n))
	for p := range int32(partitions) {
		require.Equal(t, upTo(n), again.offsets(s.topic, p))
	}
}

func deadLetters(t *testing.T, s *suite) {
	j := newJournal()
	s.send(t, s.topic, 3, "key", "0")
	s.send(t, s.topic, 3, "key", "garbage", kafka.Header{Key: "ce_id", Value: "e1"}, kafka.Header{Key: "dlq-offset", Value: "a lie"})
	s.send(t, s.topic, 3, "", "2")
	s.send(t, s.topic, 3, "key", "3")
	s.join(t, func(_ context.Context, batch []*consumer.Record) []error {
		outcomes := make([]error, len(batch))
		for i, r := range batch {
			if _, err := strconv.Atoi(string(r.Value)); err != nil || len(r.Key) == 0 {
				outcomes[i] = consumer.Permanent(errors.New("cannot be decoded"))
				continue
			}
			j.add(r)
		}
		return outcomes
	})
	s.awaitCommitted(t, s.topic, 3, 4)
	require.Equal(t, []int64{0, 3}, j.offsets(s.topic, 3))
	letters := s.read(t, consumer.DeadLetterTopic(s.topic, s.config.Group), 3, 2)
	for i, want := range []struct{ key, value, offset string }{{"key", "garbage", "1"}, {"", "2", "2"}} {
		r := consumer.Record{Headers: letters[i].Headers}
		require.Equal(t, want.value, string(letters[i].Value))
		require.Equal(t, want.key, string(letters[i].Key))
		require.Equal(t, s.topic, r.Header(consumer.HeaderTopic))
		require.Equal(t, "3", r.Header(consumer.HeaderPartition))
		require.Equal(t, want.offset, r.Header(consumer.HeaderOffset))
		require.Equal(t, s.config.Group, r.Header(consumer.HeaderGroup))
		require.Equal(t, "cannot be decoded", r.Header(consumer.HeaderError))
		require.NotEmpty(t, r.Header(consumer.HeaderTime))
	}
	require.Nil(t, letters[1].Key, "a null key stays one")
	require.Equal(t, "e1", (&consumer.Record{Headers: letters[0].Headers}).Header("ce_id"))
}

func burst(t *testing.T, s *suite) {
	const n = 500
	all := make([]*kafka.Message, n)
	for i := range all {
		all[i] = &kafka.Message{Topic: s.topic, Partition: 2, Key: "key", Value: strconv.AppendInt(nil, int64(i), 10)}
	}
	for _, err := range s.producer.SendAll(t.Context(), all) {
		require.NoError(t, err)
	}
	s.join(t, func(_ context.Context, batch []*consumer.Record) []error {
		return slices.Repeat([]error{consumer.Permanent(errNotNow)}, len(batch))
	})
	s.awaitCommitted(t, s.topic, 2, n)
	for i, letter := range s.read(t, consumer.DeadLetterTopic(s.topic, s.config.Group), 2, n) {
		require.Equal(t, strconv.Itoa(i), string(letter.Value))
		require.Equal(t, strconv.Itoa(i), (&consumer.Record{Headers: letter.Headers}).Header(consumer.HeaderOffset))
	}
}

func redriven(t *testing.T, s *suite) {
	retry := consumer.RetryTopic(s.config.Group)
	s.send(t, retry, 1, "key", "again", kafka.Header{Key: consumer.HeaderTopic, Value: s.config.Topics[1]},
		kafka.Header{Key: consumer.HeaderPartition, Value: "1"}, kafka.Header{Key: consumer.HeaderOffset, Value: "4711"})
	s.send(t, retry, 1, "key", "stranger", kafka.Header{Key: consumer.HeaderTopic, Value: "nobody-reads-this"})
	s.join(t, func(_ context.Context, batch []*consumer.Record) []error {
		outcomes := make([]error, len(batch))
		for i := range batch {
			outcomes[i] = consumer.Permanent(errNotNow)
		}
		return outcomes
	})
	s.awaitCommitted(t, retry, 1, 2)
	letter := s.read(t, consumer.DeadLetterTopic(s.config.Topics[1], s.config.Group), 1, 1)[0]
	r := consumer.Record{Headers: letter.Headers}
	require.Equal(t, s.config.Topics[1], r.Header(consumer.HeaderTopic))
	require.Equal(t, "4711", r.Header(consumer.HeaderOffset))
	letter = s.read(t, consumer.DeadLetterTopic(s.topic, s.config.Group), 1, 1)[0]
	r = consumer.Record{Headers: letter.Headers}
	require.Equal(t, retry, r.Header(consumer.HeaderTopic), "without a source it is a record of the retry topic")
	require.Equal(t, "1", r.Header(consumer.HeaderOffset))
}

func shares(t *testing.T, s *suite) {
	const n = 10
	first, second := newJournal(), newJournal()
	stopFirst := s.join(t, first.apply)
	s.fill(t, s.topic, 0, 1)
	first.await(t, "the first has all", first.holds(s.topic, 1))
	s.join(t, second.apply)
	// Records are written until the second one has some: then the partitions are shared.
	next := 1
	for len(second.places()) == 0 {
		s.fill(t, s.topic, next, 1)
		next++
	}
	before := first.places()
	s.fill(t, s.topic, next, n)
	next += n
	for p := range int32(partitions) {
		s.awaitCommitted(t, s.topic, p, int64(next))
	}
	require.Len(t, before, partitions)
	require.Less(t, len(second.places()), partitions, "both have work")
	stopFirst()
	s.fill(t, s.topic, next, n)
	next += n
	for p := range int32(partitions) {
		s.awaitCommitted(t, s.topic, p, int64(next))
		all := append(first.offsets(s.topic, p), second.offsets(s.topic, p)...)
		require.Equal(t, upTo(next), distinct(all), "nothing is skipped")
	}
	require.Len(t, second.places(), partitions, "the work moved over")
}

func (j *journal) places() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []string
	for p := range j.done {
		all = append(all, p)
	}
	return all
}

func slowHandler(t *testing.T, s *suite) {
	const n = 10
	s.fill(t, s.topic, 0, n)
	first, second := newJournal(), newJournal()
	var once sync.Once
	s.join(t, func(ctx context.Context, batch []*consumer.Record) []error {
		first.apply(ctx, batch)
		once.Do(func() { <-ctx.Done() }) // as long as it may
		return make([]error, len(batch))
	})
	first.await(t, "the batch in flight", func() bool { return len(first.done) > 0 })
	s.join(t, second.apply)
	for p := range int32(partitions) {
		s.awaitCommitted(t, s.topic, p, n)
		all := append(first.offsets(s.topic, p), second.offsets(s.topic, p)...)
		require.Equal(t, upTo(n), slices.Sorted(slices.Values(all)), "what the slow one finished is not done again")
	}
}

func shutdown(t *testing.T, s *suite) {
	const n = 10
	s.fill(t, s.topic, 0, n)
	j := newJournal()
	stop := s.join(t, j.apply)
	j.await(t, "all records", j.holds(s.topic, n))
	stop()
	for p := range int32(partitions) {
		require.EqualValues(t, n, s.committed(t, s.topic, p))
	}
}

func unwanted(t *testing.T, s *suite) {
	j := newJournal()
	s.config.Wants = func(r *consumer.Record) bool { return r.Header("ce_type") == "wanted" }
	for i := range 6 {
		s.send(t, s.topic, 0, "key", "x", kafka.Header{Key: "ce_type", Value: []string{"wanted", "other"}[i%2]})
	}
	s.join(t, j.apply)
	s.awaitCommitted(t, s.topic, 0, 6)
	require.Equal(t, []int64{0, 2, 4}, j.offsets(s.topic, 0))
}

func panics(t *testing.T, s *suite) {
	const n = 5
	s.fill(t, s.topic, 0, n)
	j := newJournal()
	var tries atomic.Int32
	s.join(t, func(ctx context.Context, batch []*consumer.Record) []error {
		if tries.Add(1) <= 2 {
			panic("a bug")
		}
		return j.apply(ctx, batch)
	})
	for p := range int32(partitions) {
		s.awaitCommitted(t, s.topic, p, n)
		require.Equal(t, upTo(n), j.offsets(s.topic, p))
	}
}
