// Package servicetest runs a service's run function in the test's own process, and asks it over HTTP.
package servicetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
)

// patience is how long a start may take; nothing here asserts how quick it is.
const patience = 30 * time.Second

// Secret is the JWT_SECRET of services that are asked by Ask.
const Secret = "a secret of at least thirty-two bytes"

// Service is one that runs.
type Service struct {
	URL, AdminURL string

	t     testing.TB
	stop  context.CancelFunc
	ended chan error
}

// Start runs a service on free ports with more environment, and waits until it says that it is running. It is stopped
// at the end of the test, unless it was before.
func Start(t testing.TB, run func(ctx context.Context, environ []string, stdout io.Writer) error, environ ...string) *Service {
	t.Helper()
	addr, admin := FreeAddr(t), FreeAddr(t)
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{URL: "http://" + addr, AdminURL: "http://" + admin, t: t, stop: stop, ended: make(chan error, 1)}
	log := &log{running: make(chan struct{})}
	go func() {
		s.ended <- run(ctx, append([]string{"HTTP_ADDR=" + addr, "ADMIN_ADDR=" + admin}, environ...), log)
	}()
	select {
	case <-log.running:
	case err := <-s.ended:
		stop()
		t.Fatalf("it ended: %v\n%s", err, log.String())
	case <-time.After(patience):
		stop()
		t.Fatalf("it does not start: %s", log.String())
	}
	t.Cleanup(func() {
		stop()
		if err, ok := <-s.ended; ok && err != nil {
			t.Error(err)
		}
	})
	return s
}

// Stop tells the service to end, and gives what its run function gives.
func (s *Service) Stop() error {
	s.stop()
	err := <-s.ended
	close(s.ended)
	return err
}

// Readiness is what /readyz says: the status, and of each check whether it is required and whether it passes.
func (s *Service) Readiness() (status int, required, ok map[string]bool) {
	s.t.Helper()
	status, body := s.get(s.AdminURL + "/readyz")
	var ready struct {
		Checks []struct {
			Name         string
			Required, OK bool
		}
	}
	require.NoError(s.t, json.Unmarshal([]byte(body), &ready))
	required, ok = map[string]bool{}, map[string]bool{}
	for _, c := range ready.Checks {
		required[c.Name], ok[c.Name] = c.Required, c.OK
	}
	return status, required, ok
}

// Metrics is the page that Prometheus reads.
func (s *Service) Metrics() string {
	s.t.Helper()
	_, body := s.get(s.AdminURL + "/metrics")
	return body
}

// Get asks the public port.
func (s *Service) Get(path string) (status int, body string) {
	s.t.Helper()
	return s.get(s.URL + path)
}

// Ask asks the public port as somebody; a body is JSON.
func (s *Service) Ask(who auth.Principal, method, path, body string) (status int, answer string) {
	s.t.Helper()
	verifier, err := auth.NewVerifier(s.t.Context(), auth.Config{Secret: Secret, Issuer: "orderwire", Audience: "orderwire"})
	require.NoError(s.t, err)
	token, err := verifier.Sign(who, time.Hour)
	require.NoError(s.t, err)
	return s.do(method, s.URL+path, body, http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}})
}

func (s *Service) get(url string) (status int, body string) {
	s.t.Helper()
	return s.do(http.MethodGet, url, "", nil)
}

// do asks until there is an answer: the public port opens a moment after the service says that it runs.
func (s *Service) do(method, url, body string, header http.Header) (status int, answer string) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var resp *http.Response
	require.Eventually(s.t, func() bool {
		req, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
		require.NoError(s.t, err)
		maps.Copy(req.Header, header)
		resp, err = client.Do(req) //nolint:bodyclose // closed below, once there is one
		return err == nil
	}, patience, 10*time.Millisecond)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, string(raw)
}

// FreeAddr gives a loopback address on which nobody listens.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// log tells when the service says that it is running.
type log struct {
	mu      sync.Mutex
	text    bytes.Buffer
	once    sync.Once
	running chan struct{}
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if strings.Contains(l.text.String(), `"msg":"running"`) {
		l.once.Do(func() { close(l.running) })
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
