package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/service/servicetest"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun_NamesEveryVariableThatIsWrong(t *testing.T) {
	err := run(t.Context(), []string{"LOG_LEVEL=loud", "HTTP_ADDR=nowhere"}, io.Discard)
	for _, name := range []string{"KAFKA_BROKERS", "MONGODB_URI"} {
		require.ErrorContains(t, err, name)
	}
	err = run(t.Context(), []string{
		"LOG_LEVEL=loud", "HTTP_ADDR=nowhere", "KAFKA_BROKERS=localhost:1", "MONGODB_URI=mongodb://localhost:1",
	}, io.Discard)
	for _, name := range []string{"LOG_LEVEL", "HTTP_ADDR", "JWT_SECRET"} {
		require.ErrorContains(t, err, name)
	}
}

// With the broker away, stock is read over HTTP all the same; the service is just not ready. It ends when it is told to.
func TestRun_AnswersWithTheBrokerAway(t *testing.T) {
	db := testbackend.Mongo(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+servicetest.FreeAddr(t), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+strings.Repeat("s", 32))
	status, body := s.Get("/v1/stock")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[]}`, body)
	status, required, ok := s.Readiness()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": true, "consumer": false}, required, "inventory needs both")
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, ok)
	require.Contains(t, s.Metrics(), "inventory_decisions_total")
	require.NoError(t, s.Stop())
}
