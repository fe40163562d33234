package kafka

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

func TestWithout_IsWhoAnswersNothingAndIsInNoAnswer(t *testing.T) {
	a, b, c := sarama.NewBroker("a:1"), sarama.NewBroker("b:1"), sarama.NewBroker("c:1")
	known := map[string]bool{"a:1": true, "b:1": true, "c:1": true}
	for name, test := range map[string]struct {
		answers map[string][]*sarama.Broker
		silent  []string
	}{
		"all there":                      {map[string][]*sarama.Broker{"a:1": {a, b, c}, "b:1": {a, b, c}, "c:1": {a, b, c}}, nil},
		"one silent, and given up":       {map[string][]*sarama.Broker{"a:1": {a, b}, "b:1": {a, b}}, []string{"c:1"}},
		"one silent, and not given up":   {map[string][]*sarama.Broker{"a:1": {a, b, c}, "b:1": {a, b}}, nil},
		"one given up that answers":      {map[string][]*sarama.Broker{"a:1": {a, b}, "b:1": {a, b}, "c:1": {c}}, nil},
		"nobody answers: nobody knows":   {nil, nil},
		"one that has just started":      {map[string][]*sarama.Broker{"a:1": {}}, nil},
		"two silent, and one is left":    {map[string][]*sarama.Broker{"a:1": {a}}, []string{"b:1", "c:1"}},
		"one is parted, and sees itself": {map[string][]*sarama.Broker{"c:1": {c}}, []string{"a:1", "b:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var silent []string
			for addr := range without(known, test.answers) {
				silent = append(silent, addr)
			}
			slices.Sort(silent)
			require.Equal(t, test.silent, silent)
		})
	}
}

// TestClient_ItsRefreshEndsWithIt: sarama's goes on, and connects again, for as long as it may try. Another client may be
// opened with the same configuration.
func TestClient_ItsRefreshEndsWithIt(t *testing.T) {
	broker := sarama.NewMockBroker(t, 1)
	defer broker.Close()
	broker.SetHandlerByMap(map[string]sarama.MockResponse{
		"ApiVersionsRequest": sarama.NewMockApiVersionsResponse(t),
		"MetadataRequest":    sarama.NewMockMetadataResponse(t).SetBroker(broker.Addr(), 1).SetError("orders", sarama.ErrLeaderNotAvailable),
	})
	c := Config{Brokers: []string{broker.Addr()}}
	s, err := ReaderConfig(c, "test")
	require.NoError(t, err)
	s.Metadata.Full, s.Metadata.Timeout = false, time.Hour
	s.Metadata.Retry.Max = 1000
	asked := make(chan bool, s.Metadata.Retry.Max)
	s.Metadata.Retry.BackoffFunc = func(int, int) time.Duration {
		asked <- true
		return 200 * time.Millisecond
	}
	for range 2 {
		client, err := Open(c.Brokers, s, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = client.RefreshMetadata("orders") // it fails, sooner or later
		}()
		<-asked
		require.NoError(t, client.Close())
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("it goes on")
		}
	}
}
