package kafka

import (
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
	"github.com/stretchr/testify/require"
)

var local = Config{Brokers: []string{"127.0.0.1:9092"}, TopicPartitions: 12, TopicReplication: 1, TopicMinISR: 1, TopicRetention: time.Hour}

// TestProducerConfig_IsSafe pins every value that decides whether an acknowledged record can be lost or reordered.
func TestProducerConfig_IsSafe(t *testing.T) {
	s, err := ProducerConfig(local, "test", []string{"x.dlq"})
	require.NoError(t, err)
	require.NoError(t, s.Validate())
	require.Equal(t, sarama.WaitForAll, s.Producer.RequiredAcks)
	require.True(t, s.Producer.Idempotent)
	require.Equal(t, 1, s.Net.MaxOpenRequests)
	require.Equal(t, 20, s.Producer.Retry.Max)
	require.True(t, s.Producer.Return.Successes)
	require.True(t, s.Producer.Return.Errors)
	require.Equal(t, sarama.CompressionLZ4, s.Producer.Compression)
	require.Equal(t, MaxMessageBytes+EnvelopeBytes, s.Producer.MaxMessageBytes)
	require.Equal(t, 200*time.Microsecond, s.Producer.Flush.Frequency)
	s.Producer.Flush.Frequency = 0
	require.Zero(t, s.Producer.Flush, "a limit that is not reached must not be waited for")
	require.Empty(t, s.Producer.Transaction.ID)
	require.Greater(t, leastPatience(s.Producer.Retry.BackoffFunc, s.Producer.Retry.Max), 30*time.Second,
		"longer than a broker's restart, whatever the jitter")
	require.Greater(t, s.Metadata.Timeout-longestBackoff, breakerMemory, "a look for a leader fails after the breaker has forgotten the last one")
	require.Greater(t, leastPatience(s.Metadata.Retry.BackoffFunc, s.Metadata.Retry.Max), s.Metadata.Timeout, "or it fails sooner")

	events, manual := s.Producer.Partitioner("order-events"), s.Producer.Partitioner("x.dlq")
	_, err = events.Partition(&sarama.ProducerMessage{}, 12)
	require.ErrorIs(t, err, errNoKey)
	p, err := events.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder("0193d2a0-0000-7000-8000-000000000001")}, 12)
	require.NoError(t, err)
	require.Equal(t, int32(murmur2([]byte("0193d2a0-0000-7000-8000-000000000001"))&0x7fffffff)%12, p, "where a Java client puts it")
	p, err = manual.Partition(&sarama.ProducerMessage{Partition: 7}, 12)
	require.NoError(t, err)
	require.Equal(t, int32(7), p)
}

// leastPatience is how long so many tries take at least.
func leastPatience(backoff func(retries, most int) time.Duration, tries int) (all time.Duration) {
	for i := range tries {
		least := backoff(i, tries)
		for range 20 {
			least = min(least, backoff(i, tries))
		}
		all += least
	}
	return all
}

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2, written down again so that the test has its own opinion.
func murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	h := uint32(0x9747b28c) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h = h*m ^ k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// TestGroupConfig_IsSafe pins every value that decides whether a record can be skipped, or have two owners for long.
func TestGroupConfig_IsSafe(t *testing.T) {
	s, err := GroupConfig(local, "test")
	require.NoError(t, err)
	require.NoError(t, s.Validate())
	require.Equal(t, sarama.OffsetOldest, s.Consumer.Offsets.Initial)
	require.True(t, s.Consumer.Offsets.AutoCommit.Enable, "marks are flushed at revocation and close only with it")
	require.Equal(t, 300*time.Millisecond, s.Consumer.Offsets.AutoCommit.Interval)
	require.True(t, s.Consumer.Return.Errors)
	require.True(t, s.Consumer.Group.ResetInvalidOffsets)
	require.Len(t, s.Consumer.Group.Rebalance.GroupStrategies, 1)
	require.Equal(t, sarama.RangeBalanceStrategyName, s.Consumer.Group.Rebalance.GroupStrategies[0].Name())
	require.Empty(t, s.Consumer.Group.InstanceId, "a dynamic member unless it is given a name")
	require.GreaterOrEqual(t, s.Consumer.Group.Session.Timeout, 15*time.Second)
	require.LessOrEqual(t, s.Consumer.Group.Heartbeat.Interval, s.Consumer.Group.Session.Timeout/3)
	require.Equal(t, 20*time.Second, s.Consumer.Group.Rebalance.Timeout)
	require.Greater(t, s.Net.ReadTimeout, s.Consumer.Group.Rebalance.Timeout, "or JoinGroup breaks")
	require.Equal(t, sarama.ReadCommitted, s.Consumer.IsolationLevel)
	require.Zero(t, s.Consumer.Fetch.Max, "otherwise a bigger record is skipped")
	require.Equal(t, 5*time.Second, s.Consumer.MaxProcessingTime)
	require.Equal(t, 256, s.ChannelBufferSize)
}

func TestBase_CreatesNoTopicByAccident(t *testing.T) {
	s, err := base(local, "test")
	require.NoError(t, err)
	require.False(t, s.Metadata.AllowAutoTopicCreation)
	require.GreaterOrEqual(t, s.Metadata.Retry.Max, 10)
	require.Equal(t, 10*time.Second, s.Metadata.Timeout)
	require.Equal(t, time.Minute, s.Metadata.RefreshFrequency, "new partitions are seen")
	require.Equal(t, int32(64<<20), sarama.MaxDecompressedBatchSize)
	require.True(t, metrics.UseNilMetrics, "sarama's own leak")
	require.Equal(t, 30*time.Second, s.Net.ReadTimeout)
}

func TestConfig_RefusesWhatWouldBeUnsafe(t *testing.T) {
	require.NoError(t, local.Validate())
	for variable, spoil := range map[string]func(*Config){
		"KAFKA_BROKERS":           func(c *Config) { c.Brokers = []string{"localhost"} },
		"KAFKA_TLS_CA_FILE":       func(c *Config) { c.TLSCAFile = "ca.pem" },
		"KAFKA_SASL_MECHANISM":    func(c *Config) { c.SASLMechanism = "PLAIN" },
		"KAFKA_SASL_USERNAME":     func(c *Config) { c.SASLMechanism, c.SASLPassword = "SCRAM-SHA-512", "x" },
		"KAFKA_SASL_PASSWORD":     func(c *Config) { c.SASLMechanism, c.SASLUsername = "SCRAM-SHA-512", "x" },
		"KAFKA_GROUP_INSTANCE_ID": func(c *Config) { c.GroupInstanceID = "a name" },
		"KAFKA_TOPIC_PARTITIONS":  func(c *Config) { c.TopicPartitions = 0 },
		"KAFKA_TOPIC_REPLICATION": func(c *Config) { c.TopicReplication = 0 },
		"KAFKA_TOPIC_MIN_ISR":     func(c *Config) { c.TopicMinISR = 2 },
		"KAFKA_TOPIC_RETENTION":   func(c *Config) { c.TopicRetention = 0 },
	} {
		c := local
		spoil(&c)
		require.ErrorContains(t, c.Validate(), variable)
	}
	c := local
	c.SASLUsername = "without a mechanism"
	require.ErrorContains(t, c.Validate(), "KAFKA_SASL_MECHANISM")
}

func TestSecure_SetsSCRAMAndTLS(t *testing.T) {
	c := local
	c.TLS, c.SASLMechanism, c.SASLUsername, c.SASLPassword = true, "SCRAM-SHA-512", "inventory", "secret"
	s, err := base(c, "test")
	require.NoError(t, err)
	require.NoError(t, s.Validate())
	require.True(t, s.Net.TLS.Enable)
	require.True(t, s.Net.SASL.Enable)
	client := s.Net.SASL.SCRAMClientGeneratorFunc()
	require.NoError(t, client.Begin("inventory", "secret", ""))
	first, err := client.Step("")
	require.NoError(t, err)
	require.Contains(t, first, "n=inventory")
}
