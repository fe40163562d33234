package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

var prepare = sync.OnceValues(func() (string, error) {
	// A build takes minutes and a test's output is kept back: this goes where it is seen at once.
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	return stack.PrepareCaddy(context.Background(), os.Environ(), filepath.Join(root, "deploy", "tools"), say)
})

// caddy gives the path of the Caddy that deploy/tools pins. Where it is not in the cache and cannot be built, the test is
// skipped, or fails where everything must be there.
func caddy(t *testing.T) string {
	t.Helper()
	path, err := prepare()
	if err != nil && os.Getenv("REQUIRE_BACKENDS") != "1" {
		t.Skipf("SKIP: no Caddy: %v", err)
	}
	require.NoError(t, err)
	return path
}

// gateway is a Caddy that runs our Caddyfile as it stands, with another DNS server and other ports.
type gateway struct {
	url   string
	dns   *nameserver
	ports map[string]string // service → the port that the gateway sends to
}

func startGateway(t *testing.T, environ ...string) *gateway {
	t.Helper()
	program := caddy(t)
	if l, err := net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skipf("SKIP: instances need an address each, and only Linux has all of 127.0.0.0/8: %v", err)
	} else {
		l.Close()
	}
	g := &gateway{dns: startNameserver(t), ports: map[string]string{}}
	port, admin := freePort(t), freePort(t)
	g.url = "http://127.0.0.1:" + port
	home := t.TempDir()
	cmd := exec.CommandContext(context.Background(), program, "run", "--config", "Caddyfile", "--adapter", "caddyfile")
	cmd.Env = []string{
		"XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home, "GATEWAY_PORT=" + port, "GATEWAY_ADMIN_PORT=" + admin,
		"GATEWAY_RESOLVER=" + g.dns.addr, "GATEWAY_REFRESH=50ms", "GATEWAY_TRY_DURATION=1s",
	}
	for name, variable := range map[string]string{
		"order-api": "ORDER_API", "inventory": "INVENTORY", "shipping": "SHIPPING", "notifier": "NOTIFIER", "dashboard": "DASHBOARD",
	} {
		g.ports[name] = freePort(t)
		cmd.Env = append(cmd.Env, variable+"_PORT="+g.ports[name])
	}
	cmd.Env = append(cmd.Env, environ...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // Wait tells
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("caddy: %v\n%s", err, log.String())
		}
		http.DefaultClient.CloseIdleConnections()
	})
	// Caddy opens its listeners one after the other: one that answers says nothing of the other.
	for url, status := range map[string]int{"http://127.0.0.1:" + admin + "/healthz": http.StatusOK, g.url + "/dev": http.StatusNotFound} {
		require.Eventually(t, func() bool {
			resp, err := http.Get(url)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			return resp.StatusCode == status
		}, 30*time.Second, 20*time.Millisecond, "caddy does not answer at %s", url)
	}
	return g
}

// freePort gives one that is free on every address of the loopback.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// answer is a response without its body.
type answer struct {
	StatusCode int
	Header     http.Header
}

// do sends a request to the gateway and reads the answer.
func (g *gateway) do(t *testing.T, method, path string, header http.Header, body []byte) (answer, []byte) {
	t.Helper()
	resp, raw, err := g.try(method, path, header, body)
	require.NoError(t, err)
	return resp, raw
}

func (g *gateway) try(method, path string, header http.Header, body []byte) (answer, []byte, error) {
	req, err := http.NewRequest(method, g.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, nil, err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header}, raw, err
}

func (g *gateway) get(t *testing.T, path string) (answer, []byte) {
	t.Helper()
	return g.do(t, http.MethodGet, path, nil, nil)
}

func TestCaddyfiles_AreValidAndFormatted(t *testing.T) {
	program := caddy(t)
	for _, file := range []string{"Caddyfile", "dashboard.Caddyfile"} {
		out, err := exec.Command(program, "validate", "--config", file, "--adapter", "caddyfile").CombinedOutput()
		require.NoError(t, err, string(out))
		out, err = exec.Command(program, "fmt", "--diff", file).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	raw, err := os.ReadFile("Caddyfile")
	require.NoError(t, err)
	broken := filepath.Join(t.TempDir(), "Caddyfile")
	require.NoError(t, os.WriteFile(broken, bytes.Replace(raw, []byte("lb_policy"), []byte("lb_polizei"), 1), 0o644))
	require.Error(t, exec.Command(program, "validate", "--config", broken, "--adapter", "caddyfile").Run())
}
