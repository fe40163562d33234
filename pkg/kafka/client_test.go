package kafka_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func ping(t *testing.T, within time.Duration, brokers ...string) error {
	t.Helper()
	s, err := kafka.GroupConfig(kafka.Config{Brokers: brokers}, "test")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return kafka.Ping(ctx, brokers, s)
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestPing_SaysThatNobodyListens(t *testing.T) {
	l := listener(t)
	require.NoError(t, l.Close())
	require.Error(t, ping(t, 10*time.Second, l.Addr().String()))
}

func TestPing_WaitsNoLongerThanItsContextForABrokerThatSaysNothing(t *testing.T) {
	l := listener(t) // it takes connections, as a broker does that was stopped in its tracks
	begun := time.Now()
	require.Error(t, ping(t, 100*time.Millisecond, l.Addr().String()))
	require.Less(t, time.Since(begun), 5*time.Second)
}

func TestPing_IsContentWithOneBroker(t *testing.T) {
	brokers := testbackend.Kafka(t)
	l := listener(t)
	require.NoError(t, l.Close())
	require.NoError(t, ping(t, 10*time.Second, append([]string{l.Addr().String()}, brokers...)...))
}
