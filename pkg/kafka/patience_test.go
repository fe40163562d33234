package kafka

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// unreachable is a client whose leader's address nobody answers at.
type unreachable struct {
	sarama.Client
	asked chan struct{}
}

func (u unreachable) Config() *sarama.Config {
	s := sarama.NewConfig()
	s.Net.DialTimeout = time.Nanosecond
	return s
}

func (u unreachable) LeaderAndEpoch(string, int32) (*sarama.Broker, int32, error) {
	u.asked <- struct{}{}
	b := sarama.NewBroker("127.0.0.1:1")
	return b, 0, b.Open(u.Config())
}

func (u unreachable) RefreshMetadata(...string) error { return nil }

// TestReader_WaitsForABrokerThatCannotBeReached: connecting that takes too long is trouble like any other, not the end
// of the read.
func TestReader_WaitsForABrokerThatCannotBeReached(t *testing.T) {
	client := unreachable{asked: make(chan struct{})}
	r := &Reader{client: client, log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Read(ctx, map[Partition]int64{{Topic: "t"}: 0}, nil) }()
	for range 3 {
		select {
		case <-client.asked:
		case err := <-ended:
			t.Fatal("it has given up: ", err)
		}
	}
	go func() {
		for range client.asked { // whoever asks once more is answered
		}
	}()
	defer close(client.asked)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}
