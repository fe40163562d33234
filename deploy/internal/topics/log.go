package topics

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// UnreachableError says that the brokers do not answer.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return "reach Kafka: " + e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// askTimeout bounds every question but reading.
const askTimeout = 15 * time.Second

// Log is a way to the topics of a cluster.
type Log struct {
	opts  []kgo.Opt
	admin *kadm.Client
}

// Open makes a Log; nothing is asked of the brokers yet. The caller closes it.
func Open(c kafka.Config) (*Log, error) {
	opts, err := options(c)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	return &Log{opts: opts, admin: kadm.NewClient(client)}, nil
}

// Close ends the connections.
func (l *Log) Close() { l.admin.Close() }

// options are the client's: who it is and how patient. They follow the variables that the services know.
func options(c kafka.Config) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("orderctl"), kgo.DialTimeout(5 * time.Second),
		kgo.RetryTimeout(askTimeout),
	}
	if c.TLS {
		t := &tls.Config{MinVersion: tls.VersionTLS12}
		if c.TLSCAFile != "" {
			pem, err := os.ReadFile(c.TLSCAFile)
			if err != nil {
				return nil, fmt.Errorf("KAFKA_TLS_CA_FILE: %w", err)
			}
			t.RootCAs = x509.NewCertPool()
			if !t.RootCAs.AppendCertsFromPEM(pem) {
				return nil, errors.New("KAFKA_TLS_CA_FILE holds no certificate")
			}
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASLMechanism == "" {
		return opts, nil
	}
	password := c.SASLPassword
	if c.SASLPasswordFile != "" {
		raw, err := os.ReadFile(c.SASLPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_SASL_PASSWORD_FILE: %w", err)
		}
		password = strings.TrimRight(string(raw), "\r\n")
	}
	auth := scram.Auth{User: c.SASLUsername, Pass: password}
	mechanisms := map[string]sasl.Mechanism{"SCRAM-SHA-256": auth.AsSha256Mechanism(), "SCRAM-SHA-512": auth.AsSha512Mechanism()}
	m, ok := mechanisms[c.SASLMechanism]
	if !ok {
		return nil, fmt.Errorf("KAFKA_SASL_MECHANISM is %q: want SCRAM-SHA-256 or SCRAM-SHA-512", c.SASLMechanism)
	}
	return append(opts, kgo.SASL(m)), nil
}

// Range is a part of a partition: from Start on, End left out.
type Range struct{ Start, End int64 }

// Bounds are what is in the log: by topic and partition.
type Bounds map[string]map[int32]Range

// Bounds asks where the named topics begin and end now. An end is the last stable offset: what a transaction that is still
// open has written lies beyond it, as for every consumer. A topic that does not exist is left out.
func (l *Log) Bounds(ctx context.Context, topics ...string) (Bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	starts, err := l.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	ends, err := l.admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	bounds := Bounds{}
	for topic, partitions := range ends {
		for p, end := range partitions {
			start, ok := starts.Lookup(topic, p)
			err := errors.Join(end.Err, start.Err)
			switch {
			case errors.Is(err, kerr.UnknownTopicOrPartition):
				continue
			case err != nil:
				return nil, unreachable(ctx, fmt.Errorf("offsets of %s[%d]: %w", topic, p, err))
			case !ok:
				return nil, fmt.Errorf("offsets of %s[%d]: the broker names no start", topic, p)
			}
			if bounds[topic] == nil {
				bounds[topic] = map[int32]Range{}
			}
			bounds[topic][p] = Range{start.Offset, end.Offset}
		}
	}
	return bounds, nil
}

// Committed asks what a group has committed, by topic and partition; what it never committed is left out.
func (l *Log) Committed(ctx context.Context, group string) (map[string]map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := l.admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unreachable(ctx, fmt.Errorf("offsets of group %s: %w", group, err))
	}
	committed := map[string]map[int32]int64{}
	for topic, partitions := range answer {
		for p, o := range partitions {
			if o.Err != nil {
				return nil, unreachable(ctx, fmt.Errorf("offsets of group %s: %w", group, o.Err))
			}
			if o.At < 0 {
				continue
			}
			if committed[topic] == nil {
				committed[topic] = map[int32]int64{}
			}
			committed[topic][p] = o.At
		}
	}
	return committed, nil
}

// Topics names all topics, those of the cluster itself left out.
func (l *Log) Topics(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	details, err := l.admin.ListTopics(ctx)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	return details.Names(), nil
}

// unreachable wraps an error that is not the caller's own wish to end.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &UnreachableError{err}
}
