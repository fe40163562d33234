package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

// TestReader_ReadsFromAnyOffsetOfARealLog is about what is asked of a broker; what the notifier makes of it is tested there,
// with deleted records and topics that are made again.
func TestReader_ReadsFromAnyOffsetOfARealLog(t *testing.T) {
	conf := kafka.Config{
		Brokers: testbackend.Kafka(t), TopicPartitions: 3, TopicReplication: 1, TopicMinISR: 1, TopicRetention: time.Hour,
	}
	topic := fmt.Sprintf("reader-%d", time.Now().UnixNano())
	require.NoError(t, kafka.EnsureTopics(t.Context(), conf, "test", slog.New(slog.DiscardHandler), conf.Topics(topic)...))
	log := slog.New(slog.DiscardHandler)
	producer, err := kafka.NewProducer(conf, "test", nil, log, nil)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- producer.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()
	require.Eventually(t, producer.Connected, 10*time.Second, 10*time.Millisecond)
	const key = "one" // all in one partition
	for i := range 5 {
		require.NoError(t, producer.Send(t.Context(), &kafka.Message{
			Topic: topic, Key: key, Value: fmt.Append(nil, i), Headers: []kafka.Header{{Key: "n", Value: fmt.Sprint(i)}},
		}))
	}

	reader, err := kafka.NewReader(conf, "test", log)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	logs, err := reader.Describe(t.Context(), topic)
	require.NoError(t, err)
	require.EqualValues(t, 3, logs[topic].Partitions)
	require.NotEmpty(t, logs[topic].ClusterID)
	require.NotZero(t, logs[topic].TopicID)
	_, err = reader.Describe(t.Context(), topic, topic+"-not-there")
	require.Error(t, err)

	all := []kafka.Partition{{Topic: topic, Number: 0}, {Topic: topic, Number: 1}, {Topic: topic, Number: 2}}
	newest, err := reader.Offsets(t.Context(), all, kafka.Newest)
	require.NoError(t, err)
	oldest, err := reader.Offsets(t.Context(), all, kafka.Oldest)
	require.NoError(t, err)
	var one kafka.Partition
	for p, end := range newest {
		require.Zero(t, oldest[p])
		if end > 0 {
			one = p
		}
	}
	require.EqualValues(t, 5, newest[one])
	at, err := reader.OffsetsAt(t.Context(), all, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.EqualValues(t, -1, at[one])
	at, err = reader.OffsetsAt(t.Context(), all, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, at[one])

	enough := errors.New("enough")
	var got []string
	heard := map[kafka.Partition]bool{}
	err = reader.Read(t.Context(), map[kafka.Partition]int64{all[0]: 0, all[1]: 0, all[2]: 0, one: 2}, func(chunks []kafka.Chunk) error {
		for _, c := range chunks {
			heard[c.Partition] = true
			for _, r := range c.Records {
				got = append(got, r.Header("n")+string(r.Value))
			}
		}
		if len(got) == 3 && len(heard) == 3 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, "22 33 44", strings.Join(got, " "))

	var cut *kafka.OutOfRangeError
	err = reader.Read(t.Context(), map[kafka.Partition]int64{one: 100}, func([]kafka.Chunk) error { return nil })
	require.ErrorAs(t, err, &cut)
	require.Equal(t, kafka.OutOfRangeError{Partition: one, Offset: 100}, *cut)

	short, cancel := context.WithCancelCause(t.Context())
	err = reader.Read(short, newest, func([]kafka.Chunk) error { cancel(nil); return nil })
	require.ErrorIs(t, err, context.Canceled)
	short, cancel = context.WithCancelCause(t.Context())
	err = reader.Read(short, newest, func([]kafka.Chunk) error { cancel(enough); return nil })
	require.ErrorIs(t, err, enough, "the notifier looks at the topics again, and does not begin anew")
}
