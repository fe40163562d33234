// Package kafkatest plays a service's neighbours on the test's broker: it writes what they would say, and reads what
// they would hear. The topics must be there; what a record means is left to the test.
package kafkatest

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// patience is how long a record may take; nothing here asserts how quick it is.
const patience = time.Minute

// Publish writes a record to the partition of its key, and returns when it is in the log.
func Publish(t testing.TB, brokers []string, m *kafka.Message) {
	t.Helper()
	record := &sarama.ProducerMessage{Topic: m.Topic, Key: sarama.StringEncoder(m.Key), Value: sarama.ByteEncoder(m.Value)}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
	}
	producer, err := sarama.NewSyncProducer(brokers, producerConfig(t, brokers))
	require.NoError(t, err)
	defer producer.Close()
	_, _, err = producer.SendMessage(record)
	require.NoError(t, err)
}

// Read hands over the records of a key, from the first in the topic, until take has what it waits for. Records of the
// key in another partition than the key's are not seen.
func Read(t testing.TB, brokers []string, topic, key string, take func(*kafka.Record) (enough bool)) {
	t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: brokers}, "test")
	require.NoError(t, err)
	defer client.Close()
	partitions, err := client.Partitions(topic)
	require.NoError(t, err)
	partition, err := producerConfig(t, brokers).Producer.Partitioner(topic).Partition(
		&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(key)}, int32(len(partitions))) //nolint:gosec // a broker's own count
	require.NoError(t, err)
	reader, err := sarama.NewConsumerFromClient(client)
	require.NoError(t, err)
	defer reader.Close()
	records, err := reader.ConsumePartition(topic, partition, sarama.OffsetOldest)
	require.NoError(t, err)
	defer records.Close()
	late := time.After(patience)
	for taken := 0; ; {
		select {
		case m := <-records.Messages():
			if string(m.Key) != key {
				continue
			}
			taken++
			if take(&kafka.Record{Offset: m.Offset, Time: m.Timestamp, Key: m.Key, Value: m.Value, Headers: m.Headers}) {
				return
			}
		case <-late:
			t.Fatalf("%s[%d] has %d records of %s, and not yet the one that is waited for", topic, partition, taken, key)
		}
	}
}

func producerConfig(t testing.TB, brokers []string) *sarama.Config {
	t.Helper()
	s, err := kafka.ProducerConfig(kafka.Config{Brokers: brokers}, "test", nil)
	require.NoError(t, err)
	return s
}
