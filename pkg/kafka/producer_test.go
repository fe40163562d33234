package kafka

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestProducer_EndsWithoutABroker: what it holds then is on its way for minutes, and nobody waits that long for its end.
func TestProducer_EndsWithoutABroker(t *testing.T) {
	broker := sarama.NewMockBroker(t, 1)
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t).SetApiKeys([]sarama.ApiVersionsResponseKey{
			{ApiKey: 0, MaxVersion: 8}, {ApiKey: 3, MaxVersion: 9}, {ApiKey: 18, MaxVersion: 3}, {ApiKey: 22, MaxVersion: 3},
		}),
		"MetadataRequest":       sarama.NewMockMetadataResponse(t).SetBroker(broker.Addr(), 1).SetLeader("orders", 0, 1),
		"InitProducerIDRequest": sarama.NewMockInitProducerIDResponse(t),
	})
	p, err := NewProducer(Config{Brokers: []string{broker.Addr()}}, "test", nil, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, err)
	p.closeWithin = 50 * time.Millisecond
	// What sarama keeps on trying is over in seconds, so that its end is seen here as well.
	pause := func(int, int) time.Duration { return 500 * time.Millisecond }
	p.config.Producer.Retry.Max, p.config.Producer.Retry.BackoffFunc = 2, pause
	p.config.Metadata.Retry.Max, p.config.Metadata.Retry.BackoffFunc = 2, pause
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	require.Eventually(t, p.Connected, 10*time.Second, time.Millisecond)

	broker.Close()
	const sent = 3
	var answered atomic.Int32
	for range sent {
		p.Publish(&Message{Topic: "orders", Key: "o-1"}, func(error) { answered.Add(1) })
	}
	stop()
	require.NoError(t, <-ended)
	require.Less(t, answered.Load(), int32(sent), "it has waited for the broker")
	require.ErrorIs(t, p.Send(t.Context(), &Message{Topic: "orders", Key: "o-1"}), ErrNotConnected)
	for late := time.After(30 * time.Second); ; {
		err := goleak.Find(leftBySarama)
		if err == nil {
			return
		}
		select {
		case <-late:
			require.NoError(t, err)
		default: // Find has waited for a while
		}
	}
}
