package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// MaxMessageBytes is the most that an event may take; EnvelopeBytes is what a dead letter may add to it.
const (
	MaxMessageBytes = 1 << 20
	EnvelopeBytes   = 64 << 10
)

// What a group member may take before others think it dead, and how long a rebalance waits for it. A handler must be
// done in less than half of the latter.
const (
	SessionTimeout   = 20 * time.Second
	RebalanceTimeout = 20 * time.Second
)

// What sarama keeps for the whole process.
func init() {
	// sarama's own metrics leak where clients come and go; ours are Prometheus'.
	metrics.UseNilMetrics = true
	// A small compressed batch may not fill the memory.
	sarama.MaxDecompressedBatchSize = 64 << 20
}

// breakerMemory is how long a circuit breaker of sarama's producer remembers a failure, and stays open. It cannot be set.
const breakerMemory = 10 * time.Second

const longestBackoff = 2500 * time.Millisecond

// backoff doubles from 100 ms to 2 s, with up to a quarter of jitter on top; over the producer's 20 tries that is more than
// 30 s, which is longer than a broker's restart.
func backoff(retries, _ int) time.Duration {
	d := min(100*time.Millisecond<<min(retries, 10), 4*longestBackoff/5)
	return d + rand.N(d/4)
}

// base holds what all clients have in common.
func base(c Config, clientID string) (*sarama.Config, error) {
	s := sarama.NewConfig()
	s.ClientID = clientID
	s.Version = sarama.V2_8_0_0
	s.MetricRegistry = metrics.NewRegistry()
	s.Net.DialTimeout = 5 * time.Second
	// Longer than the rebalance time-out, or JoinGroup breaks.
	s.Net.ReadTimeout = 30 * time.Second
	s.Net.WriteTimeout = 10 * time.Second
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Retry.Max = 10
	s.Metadata.Retry.BackoffFunc = backoff
	s.Metadata.Timeout = 10 * time.Second
	s.Metadata.RefreshFrequency = time.Minute
	if err := secure(s, c); err != nil {
		return nil, err
	}
	return s, nil
}

func secure(s *sarama.Config, c Config) error {
	if c.TLS {
		s.Net.TLS.Enable = true
		s.Net.TLS.Config = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.TLSCAFile != "" {
			pem, err := os.ReadFile(c.TLSCAFile)
			if err != nil {
				return fmt.Errorf("KAFKA_TLS_CA_FILE: %w", err)
			}
			s.Net.TLS.Config.RootCAs = x509.NewCertPool()
			if !s.Net.TLS.Config.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("KAFKA_TLS_CA_FILE: %s holds no certificate", c.TLSCAFile)
			}
		}
	}
	if c.SASLMechanism == "" {
		return nil
	}
	password, err := c.password()
	if err != nil {
		return err
	}
	s.Net.SASL.Enable = true
	s.Net.SASL.Handshake = true
	s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASLMechanism)
	s.Net.SASL.User, s.Net.SASL.Password = c.SASLUsername, password
	s.Net.SASL.SCRAMClientGeneratorFunc = newSCRAM(c.SASLMechanism)
	return nil
}

// ProducerConfig is that of an idempotent producer that waits for all in-sync replicas. Records of manualTopics go to
// the partition that they name, all others to that of their key's Murmur2 hash, as Java clients place them.
func ProducerConfig(c Config, clientID string, manualTopics []string) (*sarama.Config, error) {
	s, err := base(c, clientID)
	if err != nil {
		return nil, err
	}
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Idempotent = true
	s.Net.MaxOpenRequests = 1
	s.Producer.Timeout = 10 * time.Second
	// Three looks for a leader that fail within breakerMemory of each other make sarama refuse every record of the
	// partition for as long again, also when the broker is back meanwhile. Each look is patient for longer instead.
	s.Metadata.Timeout, s.Metadata.Retry.Max = breakerMemory+2*longestBackoff+time.Second, 20
	// A huge number of retries allocates per partition; whoever wants more tries again above.
	s.Producer.Retry.Max = 20
	s.Producer.Retry.BackoffFunc = backoff
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true
	// Long enough for records that are handed over one right after the other to be in one request. Without it the first of a
	// burst goes in a request of its own, which costs the broker and every reader a whole request. In a process that is idle
	// Go makes a millisecond of it.
	s.Producer.Flush.Frequency = 200 * time.Microsecond
	s.Producer.MaxMessageBytes = MaxMessageBytes + EnvelopeBytes
	s.Producer.Compression = sarama.CompressionLZ4
	manual := make(map[string]bool, len(manualTopics))
	for _, topic := range manualTopics {
		manual[topic] = true
	}
	s.Producer.Partitioner = func(topic string) sarama.Partitioner {
		if manual[topic] {
			return sarama.NewManualPartitioner(topic)
		}
		if chaos.On(chaos.RandomPartitioner) {
			return sarama.NewRandomPartitioner(topic)
		}
		return keyed{sarama.NewMurmur2Partitioner(topic)}
	}
	return s, nil
}

var errNoKey = errors.New("a record without a key has no partition")

// keyed refuses records without a key, which would be placed at random.
type keyed struct{ sarama.Partitioner }

func (k keyed) Partition(m *sarama.ProducerMessage, n int32) (int32, error) {
	if m.Key == nil || m.Key.Length() == 0 {
		return 0, errNoKey
	}
	return k.Partitioner.Partition(m, n)
}

func (k keyed) RequiresConsistency() bool { return true }

// ReaderConfig is that of a reader without a group: it sees committed records only, and starts where it is told to.
func ReaderConfig(c Config, clientID string) (*sarama.Config, error) {
	s, err := base(c, clientID)
	if err != nil {
		return nil, err
	}
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Fetch.Max = 0 // otherwise a bigger record is skipped
	s.Consumer.Fetch.Default = 1 << 20
	s.Consumer.MaxWaitTime = 250 * time.Millisecond
	// A reader that falls behind keeps its subscription; 100 ms, the default, drops it.
	s.Consumer.MaxProcessingTime = 5 * time.Second
	s.ChannelBufferSize = 256
	return s, nil
}

// GroupConfig is that of a group member: range assignment, so that partition p of every topic has the same owner;
// offsets are committed when they are marked, every 300 ms, at revocation and when closing.
func GroupConfig(c Config, clientID string) (*sarama.Config, error) {
	s, err := ReaderConfig(c, clientID)
	if err != nil {
		return nil, err
	}
	if chaos.On(chaos.StartAtNewest) {
		s.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	s.Consumer.Offsets.AutoCommit.Enable = true
	s.Consumer.Offsets.AutoCommit.Interval = 300 * time.Millisecond
	s.Consumer.Offsets.Retry.Max = 3
	s.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	s.Consumer.Group.Session.Timeout = SessionTimeout
	s.Consumer.Group.Heartbeat.Interval = 3 * time.Second
	s.Consumer.Group.Rebalance.Timeout = RebalanceTimeout
	s.Consumer.Group.Rebalance.Retry.Max = 10
	// Not 2 s, the default: a first start meets a coordinator that is not there yet, and must be ready within a second.
	s.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	s.Consumer.Group.InstanceId = c.GroupInstanceID
	// With false one partition with a bad offset ends the session of all.
	s.Consumer.Group.ResetInvalidOffsets = true
	return s, nil
}
