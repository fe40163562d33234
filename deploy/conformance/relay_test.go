package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox/outboxtest"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestRelay(t *testing.T) {
	brokers(t, func(t *testing.T, brokers []string) {
		outboxtest.Run(t, testbackend.Mongo, func(t testing.TB) outboxtest.Broker { return relayBroker(t, brokers) })
	})
}

// relayBroker is a producer with two topics of its own.
func relayBroker(t testing.TB, brokers []string) outboxtest.Broker {
	t.Helper()
	config := kafka.Config{
		Brokers: brokers, TopicPartitions: 6, TopicReplication: 1, TopicMinISR: 1, TopicRetention: time.Hour,
	}
	name := "relay-" + strings.ToLower(rand.Text()[:10])
	b := outboxtest.Broker{Topics: [2]string{name + "-one", name + "-two"}}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, kafka.EnsureTopics(ctx, config, "test", slog.New(slog.DiscardHandler), config.Topics(b.Topics[:]...)...))
	producer, err := kafka.NewProducer(config, "test", nil, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- producer.Run(run) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	require.Eventually(t, producer.Connected, 30*time.Second, 10*time.Millisecond)
	client, err := kafka.NewClient(config, "test")
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	b.Publisher = producer
	b.Records = func(t testing.TB, topic string) []outboxtest.Record { return topicRecords(t, client, topic) }
	return b
}

// topicRecords reads a topic from its beginning up to its present end.
func topicRecords(t testing.TB, client sarama.Client, topic string) (all []outboxtest.Record) {
	t.Helper()
	partitions, err := client.Partitions(topic)
	require.NoError(t, err)
	consumer, err := sarama.NewConsumerFromClient(client)
	require.NoError(t, err)
	defer func() { require.NoError(t, consumer.Close()) }()
	for _, partition := range partitions {
		var end int64
		require.Eventually(t, func() bool { // a topic that was made a moment ago may have no leader yet
			end, err = client.GetOffset(topic, partition, sarama.OffsetNewest)
			return !errors.Is(err, sarama.ErrNotLeaderForPartition)
		}, 10*time.Second, 50*time.Millisecond)
		require.NoError(t, err)
		if end == 0 {
			continue
		}
		reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		require.NoError(t, err)
		for m := range reader.Messages() {
			r := outboxtest.Record{Key: string(m.Key), Value: string(m.Value), Partition: m.Partition, Headers: map[string]string{}}
			for _, h := range m.Headers {
				r.Headers[string(h.Key)] = string(h.Value)
			}
			all = append(all, r)
			if m.Offset == end-1 {
				break
			}
		}
		require.NoError(t, reader.Close())
	}
	return all
}
