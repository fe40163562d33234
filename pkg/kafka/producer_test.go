package kafka

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
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
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	require.Eventually(t, p.Connected, 10*time.Second, time.Millisecond)

	broker.Close()
	for range 100 {
		p.Publish(&Message{Topic: "orders", Key: "o-1"}, func(error) {})
	}
	stop()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		require.FailNow(t, "it waits for the broker")
	}
	require.ErrorIs(t, p.Send(t.Context(), &Message{Topic: "orders", Key: "o-1"}), ErrNotConnected)
}
