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
	complete := []string{"KAFKA_BROKERS=localhost:1", "MONGODB_URI=mongodb://localhost:1", "JWT_SECRET=" + strings.Repeat("s", 32)}
	for name, environ := range map[string][]string{
		"KAFKA_BROKERS": nil,
		"MONGODB_URI":   nil,
		"JWT_SECRET":    complete[:2],
		"HTTP_ADDR":     append([]string{"HTTP_ADDR=nowhere"}, complete...),
		"LOG_LEVEL":     append([]string{"LOG_LEVEL=loud"}, complete...),
		"DEV_LOGIN":     {"DEV_LOGIN=true", "JWT_JWKS_URL=http://localhost:1/keys", complete[0], complete[1]},
	} {
		require.ErrorContains(t, run(t.Context(), environ, io.Discard), name)
	}
}

// With the broker away orders are read and taken all the same, and the service is ready: outboxes fill meanwhile.
func TestRun_IsReadyWithTheBrokerAway(t *testing.T) {
	db := testbackend.Mongo(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+servicetest.FreeAddr(t), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+strings.Repeat("s", 32))
	status, body := s.Get("/v1/products")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[]}`, body)
	status, required, ok := s.Readiness()
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, required)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, ok)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/dev/token", strings.NewReader(`{"customer":"alice"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "the development login is off unless it is asked for")
	require.NoError(t, s.Stop())
}
