package stack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/ports"
)

// fakeBin makes a directory with the four services, played by this test binary.
func fakeBin(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range Services() {
		require.NoError(t, os.Symlink(self, filepath.Join(dir, name)))
	}
	return dir
}

// testEnviron is ours without what would lead a test to backends that are not its own.
func testEnviron(pairs ...string) environment {
	return environment(os.Environ()).without("MONGODB_URI", "KAFKA_BROKERS").with(pairs...)
}

// needDatabase skips where no database program is at hand.
func needDatabase(t *testing.T) {
	t.Helper()
	if _, err := findMongo(t.Context(), testEnviron(), false, t.Logf); err != nil {
		if os.Getenv("REQUIRE_BACKENDS") == "1" {
			t.Fatalf("REQUIRE_BACKENDS=1: %v", err)
		}
		t.Skipf("SKIP: %v", err)
	}
}

// startFake starts a stack of fake services on a real broker and a real database.
func startFake(t *testing.T, c Config) *Stack {
	t.Helper()
	needDatabase(t)
	if c.BinDir == "" {
		c.BinDir = fakeBin(t)
	}
	if c.Environ == nil {
		c.Environ = testEnviron()
	}
	c.Kafka = KafkaFake
	s, err := Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

// answer is an HTTP response that was read.
type answer struct {
	StatusCode int
	Header     http.Header
}

func get(t *testing.T, url string) (answer, []byte) {
	t.Helper()
	resp, err := http.Get(url) //nolint:gosec // a test of its own server
	require.NoError(t, err)
	defer resp.Body.Close() // only read
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header}, body
}

func TestStack_GatewayRoutesToEachService(t *testing.T) {
	s := startFake(t, Config{})
	for path, service := range map[string]string{
		"/v1/orders": OrderAPI, "/v1/orders/1/history": OrderAPI, "/v1/products/mug": OrderAPI, "/dev/token": OrderAPI,
		"/v1/stock": Inventory, "/v1/shipments/1": Shipping, "/v1/tickets": Notifier,
	} {
		resp, body := get(t, s.GatewayURL+path)
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		var seen struct {
			Service, Path, Host, Forwarded string
			Env                            environment
		}
		require.NoError(t, json.Unmarshal(body, &seen))
		require.Equal(t, service, seen.Service, path)
		require.Equal(t, path, seen.Path)
		require.Equal(t, strings.TrimPrefix(s.GatewayURL, "http://"), seen.Host, "the host that the browser sees")
		require.Equal(t, "127.0.0.1", seen.Forwarded)
		require.Equal(t, s.DatabaseName(service), seen.Env.get("MONGODB_DATABASE"))
		require.Equal(t, s.Database.URI, seen.Env.get("MONGODB_URI"))
		require.Equal(t, strings.Join(s.Broker.Brokers, ","), seen.Env.get("KAFKA_BROKERS"))
		require.Len(t, seen.Env.get("JWT_SECRET"), 64)
	}
	for _, path := range []string{"/v1", "/v1/", "/v1/order", "/v1/ordersx", "/dev/", "/v1/../v1/nothing"} {
		resp, body := get(t, s.GatewayURL+path)
		require.Equal(t, http.StatusNotFound, resp.StatusCode, path)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), path)
		require.NotEmpty(t, resp.Header.Get("X-Request-Id"), path)
		require.Contains(t, string(body), `"code":"not_found"`)
	}
}

func TestStack_GatewaySaysWhichServiceIsAway(t *testing.T) {
	s := startFake(t, Config{})
	resp, body := get(t, s.GatewayURL+"/v1/stock/broken")
	require.Equal(t, http.StatusBadGateway, resp.StatusCode, "it took the request and gave no answer")
	require.Contains(t, string(body), `"code":"bad_gateway"`)

	for name, end := range map[string]func(*Instance){
		"killed":  (*Instance).Kill,
		"stopped": func(i *Instance) { i.Stop(t.Context()) },
	} {
		i := s.Instances(Inventory)[0]
		end(i)
		resp, body = get(t, s.GatewayURL+"/v1/stock")
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, name)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), name)
		require.NotEmpty(t, resp.Header.Get("Retry-After"), name)
		require.Contains(t, string(body), "inventory", name)
		require.NoError(t, i.Start(t.Context()), name)
		resp, _ = get(t, s.GatewayURL+"/v1/stock")
		require.Equal(t, http.StatusOK, resp.StatusCode, name)
	}
}

func TestStack_GatewayBalancesAndSparesRequestsAKilledInstance(t *testing.T) {
	s := startFake(t, Config{})
	two, err := s.Add(t.Context(), Inventory)
	require.NoError(t, err)
	served := func() map[string]bool {
		pids := map[string]bool{}
		for range 20 {
			resp, body := get(t, s.GatewayURL+"/v1/stock")
			require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
			var seen struct{ Pid int }
			require.NoError(t, json.Unmarshal(body, &seen))
			pids[fmt.Sprint(seen.Pid)] = true
		}
		return pids
	}
	require.Len(t, served(), 2)
	two.Kill()
	require.Len(t, served(), 1)
	require.NoError(t, two.Start(t.Context()))
	require.Len(t, served(), 2)
}

func TestStack_StreamsPassTheGatewayAndEndWithIt(t *testing.T) {
	s := startFake(t, Config{})
	resp, err := http.Get(s.GatewayURL + "/v1/events")
	require.NoError(t, err)
	defer resp.Body.Close() // only read
	lines := bufio.NewScanner(resp.Body)
	require.True(t, lines.Scan())
	require.Equal(t, "data: 0", lines.Text(), "it comes while the answer is still being written")

	conn, err := net.Dial("tcp", strings.TrimPrefix(s.GatewayURL, "http://"))
	require.NoError(t, err)
	defer conn.Close() // the test is over
	fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	upgraded, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	defer upgraded.Body.Close() // the connection is closed above
	require.Equal(t, http.StatusSwitchingProtocols, upgraded.StatusCode)
	fmt.Fprintln(conn, "ping")
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ping\n", line)

	s.Stop(t.Context()) // returns although both are open
	for lines.Scan() {
	}
	_, err = r.ReadString('\n')
	require.ErrorIs(t, err, io.EOF)
	_, err = net.Dial("tcp", strings.TrimPrefix(s.GatewayURL, "http://"))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestStack_EphemeralLeavesNothingBehind(t *testing.T) {
	s := startFake(t, Config{Environ: testEnviron("FAKE_DEAF=" + Shipping)})
	pids := []int{s.Database.process.cmd.Process.Pid}
	for _, name := range Services() {
		pids = append(pids, s.Instances(name)[0].Pid())
	}
	s.Stop(t.Context())
	for _, pid := range pids {
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	}
	require.NoDirExists(t, s.Dir)
}

func TestStack_StopsInOrder(t *testing.T) {
	s := startFake(t, Config{DataDir: t.TempDir(), Environ: freePorts(t)})
	s.Stop(t.Context())
	for _, name := range Services() {
		raw, err := os.ReadFile(filepath.Join(s.Dir, "logs", name+".log"))
		require.NoError(t, err)
		require.Contains(t, string(raw), name+" drained")
	}
	require.NoFileExists(t, filepath.Join(s.Dir, "processes.json"), "nothing is left to be ended")
}

func TestStack_SecretSurvivesARestartAndTheDirectoryIsTakenOnce(t *testing.T) {
	dir, bin := t.TempDir(), fakeBin(t)
	s := startFake(t, Config{DataDir: dir, BinDir: bin, Environ: freePorts(t)})
	secret := s.Secret()
	_, err := Start(t.Context(), Config{DataDir: dir, BinDir: bin, Environ: freePorts(t), Kafka: KafkaFake})
	require.ErrorIs(t, err, errLocked)
	s.Stop(t.Context())
	s = startFake(t, Config{DataDir: dir, BinDir: bin, Environ: freePorts(t)})
	require.Equal(t, secret, s.Secret())
}

func TestStack_SaysWhichPartEndedByItself(t *testing.T) {
	s := startFake(t, Config{})
	require.NoError(t, syscall.Kill(s.Instances(Shipping)[0].Pid(), syscall.SIGKILL))
	err := <-s.Failed()
	require.ErrorContains(t, err, "shipping: signal: killed")
	require.ErrorContains(t, err, "shipping says hello", "the end of its log")

	s = startFake(t, Config{})
	require.NoError(t, syscall.Kill(s.Database.process.cmd.Process.Pid, syscall.SIGKILL))
	require.ErrorContains(t, <-s.Failed(), "mongodb: signal: killed")
}

func TestStart_AServiceThatEndsIsToldWithItsLogAndTheRestIsStopped(t *testing.T) {
	needDatabase(t)
	dir := t.TempDir()
	_, err := Start(t.Context(), Config{
		DataDir: dir, BinDir: fakeBin(t), Kafka: KafkaFake, Environ: freePorts(t).with("FAKE_CRASH_AT_START=" + Inventory),
	})
	require.ErrorContains(t, err, "inventory: exit status 3")
	require.ErrorContains(t, err, "no database, no life")
	require.NoFileExists(t, filepath.Join(dir, "processes.json"))
}

func TestStart_GivenUpIsCleanedUp(t *testing.T) {
	needDatabase(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	waiting := sync.OnceFunc(cancel)
	_, err := Start(ctx, Config{
		DataDir: dir, BinDir: fakeBin(t), Kafka: KafkaFake, Environ: freePorts(t).with("FAKE_NEVER_READY=" + Notifier),
		Say: func(format string, args ...any) {
			if strings.HasPrefix(format, "starting the services") {
				waiting()
			}
		},
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NoFileExists(t, filepath.Join(dir, "processes.json"))
}

func TestStart_SaysWhichPortIsTakenAndHowToMoveIt(t *testing.T) {
	needDatabase(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close() // the test is over
	number := taken.Addr().(*net.TCPAddr).Port
	for _, variable := range []string{"GATEWAY_PORT", "INVENTORY_PORT", "NOTIFIER_ADMIN_PORT", "KAFKA_PORT", "MONGODB_PORT"} {
		_, err := Start(t.Context(), Config{
			DataDir: t.TempDir(), BinDir: fakeBin(t), Kafka: KafkaFake, Environ: freePorts(t).with(fmt.Sprintf("%s=%d", variable, number)),
		})
		require.ErrorContains(t, err, fmt.Sprintf("port %d is taken", number), variable)
		require.ErrorContains(t, err, "set "+variable, variable)
	}
	_, err = Start(t.Context(), Config{
		DataDir: t.TempDir(), BinDir: fakeBin(t), Environ: freePorts(t).with("GATEWAY_PORT=http", fmt.Sprintf("MONGODB_PORT=%d", number)),
	})
	require.ErrorContains(t, err, `GATEWAY_PORT="http" is no port`)
	require.ErrorContains(t, err, "set MONGODB_PORT", "all at once")
}

func TestStart_NamesTheBinaryThatIsMissing(t *testing.T) {
	bin := fakeBin(t)
	require.NoError(t, os.Remove(filepath.Join(bin, Shipping)))
	_, err := Start(t.Context(), Config{BinDir: bin})
	require.ErrorContains(t, err, filepath.Join(bin, Shipping))
}

func TestStart_EndsWhatACrashedRunHasLeft(t *testing.T) {
	needDatabase(t)
	dir := t.TempDir()
	// A deaf child of a run that is over: its pid file is all that is known.
	pids := newPidFile(dir)
	self, err := os.Executable()
	require.NoError(t, err)
	deaf := filepath.Join(t.TempDir(), Shipping)
	require.NoError(t, os.Symlink(self, deaf))
	p, err := startProcess(command{
		name: "shipping", path: deaf, env: testEnviron("FAKE_DEAF="+Shipping, "HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0"),
	}, filepath.Join(dir, "logs"), pids)
	require.NoError(t, err)
	copied, err := os.ReadFile(pids.path)
	require.NoError(t, err)
	// A stranger that got the pid of another child since: its start time differs.
	var entries []pidEntry
	require.NoError(t, json.Unmarshal(copied, &entries))
	entries = append(entries, pidEntry{"stranger", os.Getpid(), "1"})
	changed, err := json.Marshal(entries)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(pids.path, changed, 0o600))

	said := make(chan string, 100)
	startFake(t, Config{DataDir: dir, Environ: freePorts(t), Say: func(f string, a ...any) { said <- fmt.Sprintf(f, a...) }})
	<-p.done
	require.Equal(t, "ended what an earlier run has left: shipping", <-said)
}

func TestStack_ServicesNoticeThatTheirParentDied(t *testing.T) {
	s := startFake(t, Config{})
	i := s.Instances(Inventory)[0]
	p := i.current()
	p.wanted.Store(true)
	p.closeStdin() // what the kernel does for a parent that is gone
	<-p.done
	raw, err := os.ReadFile(i.Log())
	require.NoError(t, err)
	require.Contains(t, string(raw), "inventory lost its parent")
}

func TestBackends_RestartOnTheSamePortAndData(t *testing.T) {
	needDatabase(t)
	b, err := StartBackends(t.Context(), BackendsConfig{Environ: testEnviron(), Kafka: KafkaFake, Say: t.Logf})
	require.NoError(t, err)
	dir := b.dir.path
	b.Database.Kill()
	b.Broker.Stop(t.Context())
	require.Error(t, reachable(t.Context(), b.Broker.Brokers, time.Millisecond))
	require.NoError(t, b.Broker.Start(t.Context()))
	require.NoError(t, b.Database.Start(t.Context()))
	require.NoError(t, askBroker(t.Context(), b.Broker.Brokers))
	require.NoError(t, awaitMongo(t.Context(), b.Database.URI, 5*time.Second))
	require.NoError(t, b.Close())
	require.NoDirExists(t, dir)
	require.Error(t, awaitMongo(t.Context(), b.Database.URI, 10*time.Millisecond))
}

func TestBackends_WhatTheEnvironmentNamesIsUsedAndLeftAlone(t *testing.T) {
	needDatabase(t)
	theirs, err := StartBackends(t.Context(), BackendsConfig{Environ: testEnviron(), Kafka: KafkaFake, Say: t.Logf})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, theirs.Close()) })
	ours, err := StartBackends(t.Context(), BackendsConfig{
		Environ: testEnviron("MONGODB_URI="+theirs.Database.URI, "KAFKA_BROKERS="+theirs.Broker.Brokers[0]), Kafka: KafkaFake, Say: t.Logf,
	})
	require.NoError(t, err)
	require.Equal(t, "external", ours.Broker.Kind)
	require.Equal(t, theirs.Database.URI, ours.Database.URI)
	require.NoError(t, ours.Close())
	require.NoError(t, askBroker(t.Context(), theirs.Broker.Brokers))
	require.NoError(t, awaitMongo(t.Context(), theirs.Database.URI, 5*time.Second))
}

func TestTemporaryDirectories_OfKilledRunsAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	live, err := temporaryDirectory()
	require.NoError(t, err)
	stale, err := temporaryDirectory()
	require.NoError(t, err)
	require.NoError(t, stale.lock.Close()) // as the kernel does for a killed process
	for _, d := range []*directory{live, stale} {
		long := time.Now().Add(-time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(d.path, "lock"), long, long))
	}
	next, err := temporaryDirectory()
	require.NoError(t, err)
	require.NoDirExists(t, stale.path)
	require.DirExists(t, live.path)
	require.NoError(t, errors.Join(next.release(true), live.release(true)))
}

// freePorts moves every port of a stack to a free one.
func freePorts(t *testing.T) environment {
	t.Helper()
	env := testEnviron()
	var reserved Ports
	t.Cleanup(reserved.Close)
	for _, p := range ports.Needed(environment{}.get, true) {
		n, err := reserved.Free()
		require.NoError(t, err)
		env = env.with(fmt.Sprintf("%s=%d", p.Variable, n))
	}
	return env
}
