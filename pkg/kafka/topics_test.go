package kafka_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

// TestEnsureTopics_ServicesThatStartTogether: whoever comes first makes the topics, and all come back when they are
// there, as they shall be; what is there otherwise is refused and left alone.
func TestEnsureTopics_ServicesThatStartTogether(t *testing.T) {
	conf := kafka.Config{Brokers: testbackend.Kafka(t), TopicPartitions: 3, TopicReplication: 1, TopicMinISR: 1, TopicRetention: 1e12}
	prefix := uuid.NewString()
	topics := conf.Topics(prefix+"-a", prefix+"-b", prefix+"-c")
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			if err := kafka.EnsureTopics(t.Context(), conf, "test", slog.New(slog.DiscardHandler), topics[n/2:]...); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()

	admin, err := sarama.NewClusterAdmin(conf.Brokers, nil)
	require.NoError(t, err)
	defer admin.Close()
	there, err := admin.ListTopics()
	require.NoError(t, err)
	for _, topic := range topics {
		require.Equal(t, int32(3), there[topic.Name].NumPartitions, topic.Name)
		require.Equal(t, "delete", *there[topic.Name].ConfigEntries["cleanup.policy"])
	}

	conf.TopicPartitions = 6
	var wrong *kafka.PartitionsError
	require.ErrorAs(t, kafka.EnsureTopics(t.Context(), conf, "test", slog.New(slog.DiscardHandler), conf.Topics(prefix+"-d", prefix+"-a")...), &wrong)
	require.Equal(t, kafka.PartitionsError{Topic: prefix + "-a", Want: 6, Have: 3}, *wrong)
	there, err = admin.ListTopics()
	require.NoError(t, err)
	require.Equal(t, int32(6), there[prefix+"-d"].NumPartitions, "what is missing is made all the same: a reader needs it")
}

// TestEnsureTopics_SaysWhatItWaitsFor: a service that waits for ever, because a broker refuses it, tells why.
func TestEnsureTopics_SaysWhatItWaitsFor(t *testing.T) {
	l := listener(t)
	require.NoError(t, l.Close())
	conf := kafka.Config{Brokers: []string{l.Addr().String()}, TopicPartitions: 3, TopicReplication: 1, TopicMinISR: 1, TopicRetention: 1e12}
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, kafka.EnsureTopics(ctx, conf, "test", slog.New(slog.NewTextHandler(&log, nil)), conf.Topics("a")...), context.DeadlineExceeded)
	require.Contains(t, log.String(), "waiting for topics")
	require.Contains(t, log.String(), l.Addr().String())
}
