// Package consumertest is the consumer's acceptance suite: what every broker must bring out of it.
//
// Each test has topics and a group of its own, so that it can run on a broker that is shared. Tests wait for what they
// expect, never for a time.
package consumertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
)

const (
	partitions = 4
	patience   = 60 * time.Second // bounds every wait
)

// Run checks the consumer's promises on the brokers.
func Run(t *testing.T, brokers []string) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"hands over each partition in order and commits it", inOrder},
		{"never commits past unfinished work, and holds only that partition", unfinished},
		{"isolates the record that fails everybody's batch", isolates},
		{"hands over again what a crash left uncommitted", afterCrash},
		{"keeps dead letters with their coordinates and goes on", deadLetters},
		{"keeps a burst of dead letters in order", burst},
		{"reads the retry topic, and a redriven record stays the same dead letter", redriven},
		{"shares partitions, and they move over when a member leaves", shares},
		{"finishes a slow batch before its partitions move over", slowHandler},
		{"commits its marks when it is ended", shutdown},
		{"skips unread what nobody wants", unwanted},
		{"survives a handler that panics", panics},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newSuite(t, brokers)) })
	}
}

type suite struct {
	kafka    kafka.Config
	config   consumer.Config
	topic    string
	producer *kafka.Producer
	client   sarama.Client
}

func newSuite(t *testing.T, brokers []string) *suite {
	t.Helper()
	id := uuid.NewString()[:8]
	s := &suite{
		kafka: kafka.Config{Brokers: brokers, TopicPartitions: partitions, TopicReplication: 1, TopicMinISR: 1, TopicRetention: time.Hour},
		topic: "orders-" + id,
	}
	s.config = consumer.Config{Group: "group-" + id, Topics: []string{s.topic, "shipping-" + id}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	topics := append(s.kafka.Topics(s.config.Topics...), consumer.AllTopics(s.kafka, s.config)...)
	require.NoError(t, kafka.EnsureTopics(ctx, s.kafka, "test", slog.New(slog.DiscardHandler), topics...))

	// The test places every record by hand.
	manual := append(consumer.ManualTopics(s.config), s.config.Topics...)
	var err error
	s.producer, err = kafka.NewProducer(s.kafka, "test", manual, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	run(t, s.producer.Run)
	require.Eventually(t, s.producer.Connected, patience, 10*time.Millisecond)
	s.client, err = kafka.NewClient(s.kafka, "test")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.client.Close()) })
	return s
}

// run starts a long-lived part; stop ends it and waits, and so does the test's end.
func run(t *testing.T, part func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// join starts a member of the group.
func (s *suite) join(t *testing.T, h consumer.Handler) (stop func()) {
	t.Helper()
	g, err := consumer.New(s.kafka, s.config, h, s.producer, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	return run(t, g.Run)
}

func (s *suite) send(t *testing.T, topic string, partition int32, key string, value string, headers ...kafka.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.producer.Send(ctx, &kafka.Message{Topic: topic, Partition: partition, Key: key, Value: []byte(value), Headers: headers}))
}

// fill writes n records to each partition of the topic; their values are the offsets they get in an empty topic.
func (s *suite) fill(t *testing.T, topic string, from, n int) {
	t.Helper()
	for p := range int32(partitions) {
		for i := from; i < from+n; i++ {
			s.send(t, topic, p, "key", strconv.Itoa(i))
		}
	}
}

// committed gives the group's offset of a partition; -1 when there is none.
func (s *suite) committed(t *testing.T, topic string, partition int32) int64 {
	t.Helper()
	admin, err := sarama.NewClusterAdminFromClient(s.client)
	require.NoError(t, err)
	offsets, err := admin.ListConsumerGroupOffsets(s.config.Group, map[string][]int32{topic: {partition}})
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		return -1 // brokers differ in what they say of a group that never committed
	}
	require.NoError(t, err)
	block := offsets.GetBlock(topic, partition)
	require.NotNil(t, block)
	return block.Offset
}

func (s *suite) awaitCommitted(t *testing.T, topic string, partition int32, want int64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.committed(t, topic, partition) == want }, patience, 50*time.Millisecond,
		"%s/%d committed at %d", topic, partition, want)
}

// read gives the first n records of a partition.
func (s *suite) read(t *testing.T, topic string, partition int32, n int) []*sarama.ConsumerMessage {
	t.Helper()
	c, err := sarama.NewConsumerFromClient(s.client)
	require.NoError(t, err)
	pc, err := c.ConsumePartition(topic, partition, sarama.OffsetOldest)
	require.NoError(t, err)
	defer func() { require.NoError(t, pc.Close()) }()
	var records []*sarama.ConsumerMessage
	timeout := time.After(patience)
	for len(records) < n {
		select {
		case m := <-pc.Messages():
			records = append(records, m)
		case <-timeout:
			require.FailNow(t, "too few records", "%d of %d in %s/%d", len(records), n, topic, partition)
		}
	}
	return records
}

// journal is the effect that handlers have: what was done, in the order it was.
type journal struct {
	mu      sync.Mutex
	done    map[string][]int64 // topic/partition → offsets
	tries   int
	changed chan struct{}
}

func newJournal() *journal { return &journal{done: map[string][]int64{}, changed: make(chan struct{})} }

func place(topic string, partition int32) string { return fmt.Sprintf("%s/%d", topic, partition) }

func (j *journal) add(r *consumer.Record) {
	j.change(func() {
		p := place(r.Topic, r.Partition)
		j.done[p] = append(j.done[p], r.Offset)
	})
}

func (j *journal) change(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
	close(j.changed)
	j.changed = make(chan struct{})
}

// await waits until the condition holds; it is called under the journal's lock.
func (j *journal) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		j.mu.Lock()
		ok, changed := condition(), j.changed
		j.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			require.FailNow(t, "waited in vain", "%s: %v", what, j.done)
		}
	}
}

func (j *journal) offsets(topic string, partition int32) []int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.done[place(topic, partition)])
}

// holds tells whether each partition of the topic has n different records.
func (j *journal) holds(topic string, n int) func() bool {
	return func() bool {
		for p := range int32(partitions) {
			if len(distinct(j.done[place(topic, p)])) < n {
				return false
			}
		}
		return true
	}
}

func distinct(offsets []int64) []int64 {
	sorted := slices.Sorted(slices.Values(offsets))
	return slices.Compact(sorted)
}

func upTo(n int) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i)
	}
	return all
}

// apply writes the batch to the journal.
func (j *journal) apply(_ context.Context, batch []*consumer.Record) []error {
	for _, r := range batch {
		j.add(r)
	}
	return make([]error, len(batch))
}
