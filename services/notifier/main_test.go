package main

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun_NamesEveryVariableThatIsWrong(t *testing.T) {
	err := run(t.Context(), []string{"LOG_LEVEL=loud"}, io.Discard)
	require.ErrorContains(t, err, "KAFKA_BROKERS")
	err = run(t.Context(), []string{
		"KAFKA_BROKERS=localhost:1", "LOG_LEVEL=loud", "HTTP_ADDR=nowhere", "MAX_CONNECTIONS=0", "MAX_CONNECTIONS_PER_CUSTOMER=0",
		"MAX_CONNECTION_AGE=0s", "HEARTBEAT_INTERVAL=0s", "PING_INTERVAL=0s", "PONG_TIMEOUT=0s", "SLOW_CLIENT_TIMEOUT=0s",
		"KAFKA_LOST_AFTER=0s", "DRAIN_WINDOW=-1s", "KAFKA_METADATA_REFRESH=0s", "CATCHUP_SLOTS=0", "CATCHUP_WAIT=0s", "CATCHUP_TURN=0s",
	}, io.Discard)
	for _, name := range []string{
		"LOG_LEVEL", "HTTP_ADDR", "JWT_SECRET", "MAX_CONNECTIONS ", "MAX_CONNECTIONS_PER_CUSTOMER", "MAX_CONNECTION_AGE",
		"HEARTBEAT_INTERVAL", "PING_INTERVAL", "PONG_TIMEOUT", "SLOW_CLIENT_TIMEOUT", "KAFKA_LOST_AFTER", "DRAIN_WINDOW",
		"KAFKA_METADATA_REFRESH", "CATCHUP_SLOTS", "CATCHUP_WAIT", "CATCHUP_TURN",
	} {
		require.ErrorContains(t, err, name)
	}
	err = run(t.Context(), []string{
		"KAFKA_BROKERS=localhost:1", "JWT_SECRET=" + authConfig.Secret, "DRAIN_WINDOW=30s",
	}, io.Discard)
	require.ErrorContains(t, err, "DRAIN_WINDOW must be shorter than SHUTDOWN_TIMEOUT")
}

// Without a broker from the start it answers that it is not ready, refuses clients for a while, and ends when told to.
func TestRun_WaitsForABroker(t *testing.T) {
	w := newWorld(t, []string{freeAddr(t)})
	n := w.launch()
	require.Eventually(t, func() bool { return n.ready() == http.StatusServiceUnavailable }, patience, 5*time.Millisecond)
	require.Eventually(t, func() bool { // the ports open one after the other
		res, err := plain.Get(n.url + "/openapi.yaml")
		if err == nil {
			res.Body.Close()
		}
		return err == nil
	}, patience, 5*time.Millisecond)
	res := n.get(t.Context(), w.token("alice"), nil, "")
	defer res.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.Equal(t, 1013, n.dial(w.token("alice"), nil).ends())
}
