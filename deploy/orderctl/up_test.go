package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/fakeservice"
	"github.com/orderwire/orderwire/deploy/orderwiretest"
	"github.com/orderwire/orderwire/deploy/stack"
)

// TestMain lets this test binary be orderctl, or play the services, when it runs under such a name.
func TestMain(m *testing.M) {
	switch name := filepath.Base(os.Args[0]); {
	case name == "orderctl":
		main()
	case slices.Contains(stack.Services(), name):
		os.Exit(fakeservice.Play(name))
	}
	os.Exit(m.Run())
}

// fakeBin makes a bin/ of this test binary. They are hard links: a program that asks where it is must get this place.
func fakeBin(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir, err := os.MkdirTemp(filepath.Dir(self), "bin") //nolint:usetesting // a hard link needs the same file system
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	for _, name := range append(stack.Services(), "orderctl") {
		require.NoError(t, os.Link(self, filepath.Join(dir, name)))
	}
	return dir
}

// running is an `orderctl up` under test.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
	stderr strings.Builder // whole behind wait
	description
}

// up starts orderctl and waits for its line of JSON; under sh, in one process group with it, as make has it.
func up(t *testing.T, bin string, env []string, args ...string) *running {
	t.Helper()
	r := &running{t: t}
	r.cmd = exec.Command("sh", append([]string{"-c", `"$0" "$@"; exit $?`, filepath.Join(bin, "orderctl"), "up", "--json"}, args...)...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Env = append(os.Environ(), env...)
	r.cmd.Stderr = &r.stderr
	var err error
	r.stdin, err = r.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := r.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			r.signal(syscall.SIGKILL)
			r.cmd.Wait() //nolint:errcheck // it was killed
		}
	})
	r.lines = bufio.NewScanner(stdout)
	if !r.lines.Scan() {
		err := r.cmd.Wait()
		if strings.Contains(r.stderr.String(), "no MongoDB found") && os.Getenv("REQUIRE_BACKENDS") != "1" {
			t.Skip("SKIP: " + r.stderr.String())
		}
		require.FailNow(t, "orderctl up has not started", "%v\n%s", err, r.stderr.String())
	}
	require.NoError(t, json.Unmarshal(r.lines.Bytes(), &r.description), r.lines.Text())
	return r
}

// signal sends s to the whole process group, as a terminal does.
func (r *running) signal(s syscall.Signal) {
	require.NoError(r.t, syscall.Kill(-r.cmd.Process.Pid, s))
}

// wait gives the exit code, and makes sure that no service is left.
func (r *running) wait() int {
	r.t.Helper()
	for r.lines.Scan() {
	}
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(r.t, err)
	}
	for name, s := range r.Services {
		require.ErrorIs(r.t, syscall.Kill(s.PID, 0), syscall.ESRCH, name)
	}
	_, err = net.Dial("tcp", strings.TrimPrefix(r.Gateway, "http://"))
	require.Error(r.t, err)
	return r.cmd.ProcessState.ExitCode()
}

func TestUpEphemeral_EndsWithItsStandardInputAndLeavesNothing(t *testing.T) {
	r := up(t, fakeBin(t), nil, "--ephemeral")
	require.Len(t, r.Services, 4)
	require.Equal(t, "a fake token", r.Token)
	require.Len(t, r.JWT.Secret, 64)
	require.Contains(t, r.MongoDB.Databases, stack.OrderAPI)
	resp, err := http.Get(r.Gateway + "/v1/stock")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, r.stdin.Close())
	require.Equal(t, 0, r.wait(), r.stderr.String())
	require.NoDirExists(t, r.Dir)
	require.Equal(t, "starting the services\n", r.stderr.String())
}

func TestUpEphemeral_EndsAtSIGTERM(t *testing.T) {
	r := up(t, fakeBin(t), nil, "--ephemeral")
	r.signal(syscall.SIGTERM)
	for r.lines.Scan() { // sh dies of the signal at once; orderctl holds the pipe until it is done
	}
	require.NoDirExists(t, r.Dir)
	r.wait()
}

func TestUp_CtrlCAtTheWholeGroupDrainsAndTheDataStays(t *testing.T) {
	bin, dir, env := fakeBin(t), t.TempDir(), freePorts(t)
	r := up(t, bin, env, "--data", dir)
	r.signal(syscall.SIGINT)
	r.wait()
	for _, name := range stack.Services() {
		raw, err := os.ReadFile(filepath.Join(dir, "logs", name+".log"))
		require.NoError(t, err)
		require.Contains(t, string(raw), name+" drained", "the signal reached it through the stack only")
	}
	require.Contains(t, r.stderr.String(), "putting in demo products and stock")

	r = up(t, bin, env, "--data", dir)
	r.signal(syscall.SIGINT)
	r.wait()
	require.NotContains(t, r.stderr.String(), "demo", "that is done once")
}

func TestUp_ASecondCtrlCKills(t *testing.T) {
	r := up(t, fakeBin(t), append(freePorts(t), "FAKE_DEAF=shipping"), "--data", t.TempDir())
	pid := r.parent(t)
	require.NoError(t, syscall.Kill(pid, syscall.SIGINT))
	// The gateway stops listening first: then the first signal has been taken.
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.Gateway, "http://"))
		if err != nil {
			return true
		}
		conn.Close() // it was only a try
		return false
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, syscall.Kill(pid, syscall.SIGINT))
	require.Equal(t, exitKilled, r.wait(), r.stderr.String())
}

func TestUp_AKilledStackTakesItsServicesAlongAndTheNextOneStarts(t *testing.T) {
	bin, dir, env := fakeBin(t), t.TempDir(), freePorts(t)
	r := up(t, bin, append(env, "FAKE_DEAF=shipping"), "--data", dir)
	require.NoError(t, syscall.Kill(r.parent(t), syscall.SIGKILL))
	for _, name := range []string{stack.OrderAPI, stack.Inventory, stack.Notifier} {
		pid := r.Services[name].PID
		require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) }, 10*time.Second, 5*time.Millisecond, name)
	}
	require.NoError(t, syscall.Kill(r.Services[stack.Shipping].PID, 0), "it is deaf")
	next := up(t, bin, env, "--data", dir)
	next.signal(syscall.SIGINT)
	next.wait()
	require.Contains(t, next.stderr.String(), "ended what an earlier run has left: ")
	require.Contains(t, next.stderr.String(), "shipping")
}

func TestOrderwiretest_StartsAndEndsWithTheTest(t *testing.T) {
	bin := fakeBin(t)
	t.Setenv("ORDERWIRE_BIN", bin)
	var o *orderwiretest.Orderwire
	t.Run("a test of another team", func(t *testing.T) {
		first := up(t, bin, nil, "--ephemeral") // skips where there is no database
		require.NoError(t, first.stdin.Close())
		require.Equal(t, 0, first.wait())
		o = orderwiretest.Start(t, "RATE_LIMIT=5")
		require.Equal(t, "a fake token", o.OperatorToken)
		require.Equal(t, "a fake token", o.Token(t, "alice"))
		require.NotEmpty(t, o.Kafka.Brokers)
		require.DirExists(t, filepath.Join(o.Dir, "logs"))
		resp, err := http.Get(o.Gateway + "/v1/stock")
		require.NoError(t, err)
		defer resp.Body.Close() // only read
		var seen struct{ Env []string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&seen))
		require.Contains(t, seen.Env, "RATE_LIMIT=5")
	})
	if o == nil {
		t.Skip("SKIP: no database")
	}
	require.NoDirExists(t, o.Dir)
}

// parent gives the pid of orderctl, the parent of the services.
func (r *running) parent(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "ppid=", "-p", strconv.Itoa(r.Services[stack.Inventory].PID)).Output() //nolint:gosec // a test
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	return pid
}

// zombie tells of a process that has ended and that its adoptive parent has not fetched yet.
func zombie(pid int) bool {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && strings.Contains(string(raw), ") Z ")
}

// freePorts moves every port of a stack to one that was free a moment ago, below the range of outgoing connections.
func freePorts(t *testing.T) []string {
	t.Helper()
	var env []string
	names := []string{
		"GATEWAY", "KAFKA", "MONGODB", "ORDER_API", "ORDER_API_ADMIN", "INVENTORY", "INVENTORY_ADMIN",
		"SHIPPING", "SHIPPING_ADMIN", "NOTIFIER", "NOTIFIER_ADMIN",
	}
	for n := 5000 + rand.IntN(9000); len(names) > 0; n++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n)))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		env = append(env, names[0]+"_PORT="+strconv.Itoa(n))
		names = names[1:]
	}
	return env
}
