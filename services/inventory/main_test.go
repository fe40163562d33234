package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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
	addr, admin, nobody := freeAddr(t), freeAddr(t), freeAddr(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	log := &started{running: make(chan struct{})}
	go func() {
		ended <- run(ctx, []string{
			"HTTP_ADDR=" + addr, "ADMIN_ADDR=" + admin, "KAFKA_BROKERS=" + nobody,
			"MONGODB_URI=" + os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE=" + db.Name(),
			"JWT_SECRET=" + strings.Repeat("s", 32),
		}, log)
	}()
	select {
	case <-log.running:
	case err := <-ended:
		t.Fatal("it ended: ", err)
	case <-time.After(20 * time.Second):
		t.Fatal("it does not start")
	}
	status, body := get(t, "http://"+addr+"/v1/stock")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[]}`, body)
	status, body = get(t, "http://"+admin+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	var ready struct {
		Checks []struct {
			Name         string
			Required, OK bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &ready))
	require.Len(t, ready.Checks, 2)
	for _, c := range ready.Checks {
		require.True(t, c.Required, "inventory needs both")
		require.Equal(t, c.Name == "mongodb", c.OK, c.Name)
	}
	_, body = get(t, "http://"+admin+"/metrics")
	require.Contains(t, body, "inventory_decisions_total")
	stop()
	require.NoError(t, <-ended)
}

// started is a log that tells when the service says that it is running.
type started struct {
	mu      sync.Mutex
	text    bytes.Buffer
	once    sync.Once
	running chan struct{}
}

func (s *started) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if strings.Contains(s.text.String(), `"msg":"running"`) {
		s.once.Do(func() { close(s.running) })
	}
	return len(p), nil
}

// get asks until there is an answer: the ports open one after the other.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var resp *http.Response
	require.Eventually(t, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		resp, err = client.Do(req) //nolint:bodyclose // closed below, once there is one
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
