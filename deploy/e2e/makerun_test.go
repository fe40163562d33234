package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// TestMakeRun_EndsAtCtrlCAndHasItsDataAtTheNextStart is the life of what the README's first command starts.
func TestMakeRun_EndsAtCtrlCAndHasItsDataAtTheNextStart(t *testing.T) {
	r := newMakeRun(t)
	r.start()
	require.Contains(t, r.said(), "putting in demo products and stock")
	admins := regexp.MustCompile(`metrics and health (\S+)`).FindAllStringSubmatch(r.greeting, -1)
	require.Len(t, admins, len(stack.Services()), r.greeting)
	for _, admin := range admins {
		require.Equal(t, http.StatusOK, r.client(admin[1], "").do("GET", "/readyz", nil, nil).status, admin[1])
	}
	require.Equal(t, http.StatusOK, r.client(r.address("inventory"), "").do("GET", "/v1/stock", nil, nil).status)
	require.Equal(t, http.StatusOK, r.client(r.gateway, r.token).do("GET", "/v1/orders", nil, nil).status, "the demo token is good")

	if dispatch, deliver := readmeCarrier(t); runtime.GOOS == "linux" {
		require.ElementsMatch(t, []string{"CARRIER_DISPATCH_AFTER=" + dispatch, "CARRIER_DELIVER_AFTER=" + deliver}, r.environ("shipping", "CARRIER_"))
	}

	require.Len(t, r.try, 3, "commands to try:\n%s", r.greeting)
	place, watch, stock := r.try[0], r.try[1], r.try[2]
	id := r.place(place)
	watching := r.stream("exec " + watch)
	watching.until("watching all that demo may see")
	second := r.place(place)
	watching.until(second, "order-updated", "confirmed")
	require.Zero(t, watching.interrupt())
	require.Contains(t, r.must(stock), `"sku":"mug-blue"`)
	r.interrupt()

	token := r.token
	r.start()
	require.NotContains(t, r.said(), "demo products", "that is done once")
	require.NotContains(t, r.said(), "an earlier run has left")
	for _, id := range []string{id, second} {
		o := r.client(r.gateway, token).order(id) // the token is as good as before, too
		require.Contains(t, []string{"confirmed", "shipped", "delivered"}, o.Status)
	}
	r.place(place)
	r.interrupt()
}

// makeRun is `make run` in a directory of its own, with everything but the build.
type makeRun struct {
	t   *testing.T
	dir string
	env []string

	cmd    *exec.Cmd
	stdout *bufio.Scanner
	ends   int // how often it was interrupted

	// What it greets with: the whole, and what commands need of it.
	greeting                       string
	gateway, token, kafka, mongodb string
	try                            []string
}

// newMakeRun moves the ports to free ones and adds env. Whatever else a stack listens to is left out of the environment:
// it is to be that of a newcomer.
func newMakeRun(t *testing.T, env ...string) *makeRun {
	t.Helper()
	for _, tool := range []string{"make", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, "the commands of the README need "+tool)
		}
	}
	r := &makeRun{t: t, dir: t.TempDir()}
	require.NoError(t, os.Symlink(binaries(t), filepath.Join(r.dir, "bin")))
	ours := regexp.MustCompile(`^((KAFKA|MONGODB|JWT|CARRIER|ORDERWIRE|TEST|MAKE)\w*|MFLAGS|DEV_LOGIN)=`)
	r.env = slices.DeleteFunc(os.Environ(), ours.MatchString)
	var ports stack.Ports
	t.Cleanup(ports.Close)
	for _, name := range []string{
		"GATEWAY", "KAFKA", "MONGODB", "ORDER_API", "ORDER_API_ADMIN", "INVENTORY", "INVENTORY_ADMIN",
		"SHIPPING", "SHIPPING_ADMIN", "NOTIFIER", "NOTIFIER_ADMIN",
	} {
		n, err := ports.Free()
		require.NoError(t, err)
		r.env = append(r.env, name+"_PORT="+strconv.Itoa(n))
	}
	r.env = append(r.env, env...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.said())
			keepLogs(t, r.data())
		}
	})
	return r
}

func (r *makeRun) data() string { return filepath.Join(r.dir, ".orderwire") }

// start returns when it has greeted.
func (r *makeRun) start() {
	r.t.Helper()
	makefile, err := filepath.Abs(filepath.Join("..", "..", "Makefile"))
	require.NoError(r.t, err)
	stderr, err := os.Create(filepath.Join(r.dir, "stderr"))
	require.NoError(r.t, err)
	defer stderr.Close() // it has its own handle
	cmd := exec.Command("make", "-f", makefile, "--old-file=check-run", "--old-file=programs", "run")
	cmd.Dir, cmd.Env, cmd.Stderr = r.dir, r.env, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal's shell does
	stdout, err := cmd.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, cmd.Start())
	r.cmd, r.stdout = cmd, bufio.NewScanner(stdout)
	r.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // Wait tells
			cmd.Wait()                                      //nolint:errcheck // it was killed
		}
	})
	r.greeting = ""
	for !strings.Contains(r.greeting, "Ctrl-C ends everything") {
		if !r.stdout.Scan() {
			if strings.Contains(r.said(), "no MongoDB found") {
				missing(r.t, r.said())
			}
			require.FailNow(r.t, "make run has ended before it was ready", r.said())
		}
		r.greeting += r.stdout.Text() + "\n"
	}
	r.gateway, r.token = r.address("page and API"), r.address("demo token")
	r.kafka, r.mongodb = r.address("Kafka"), r.address("MongoDB")
	r.try = nil
	_, try, _ := strings.Cut(r.greeting, "Try in another terminal:\n\n")
	try, _, _ = strings.Cut(try, "\n\n")
	for line := range strings.Lines(try) {
		r.try = append(r.try, strings.TrimSpace(line))
	}
}

// address gives what the greeting says of something.
func (r *makeRun) address(of string) string {
	r.t.Helper()
	found := regexp.MustCompile(`(?m)^  ` + of + ` +(\S+)`).FindStringSubmatch(r.greeting)
	require.NotNil(r.t, found, "%s is not in the greeting:\n%s", of, r.greeting)
	return found[1]
}

// said is what it has said on standard error since its start.
func (r *makeRun) said() string {
	raw, err := os.ReadFile(filepath.Join(r.dir, "stderr"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// child is a line of processes.json.
type child struct {
	Name string
	Pid  int
}

func (r *makeRun) processes() []child {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.data(), "processes.json"))
	require.NoError(r.t, err)
	var all []child
	require.NoError(r.t, json.Unmarshal(raw, &all))
	return all
}

// environ is what the environment of one of them has of a prefix.
func (r *makeRun) environ(name, prefix string) []string {
	r.t.Helper()
	all := r.processes()
	n := slices.IndexFunc(all, func(c child) bool { return c.Name == name })
	require.GreaterOrEqual(r.t, n, 0, name)
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(all[n].Pid), "environ"))
	require.NoError(r.t, err)
	return slices.DeleteFunc(strings.Split(string(raw), "\x00"), func(kv string) bool { return !strings.HasPrefix(kv, prefix) })
}

// endsWithin is far more than the five seconds that it takes.
const endsWithin = 30 * time.Second

// interrupt does what Ctrl-C does, to the whole process group, and sees all of it end by itself: make, orderctl and
// every process that this has started.
func (r *makeRun) interrupt() {
	r.t.Helper()
	children := r.processes()
	require.Greater(r.t, len(children), len(stack.Services()), "the services and a database")
	group := r.cmd.Process.Pid
	require.NoError(r.t, syscall.Kill(-group, syscall.SIGINT))
	late := time.AfterFunc(endsWithin, func() {
		syscall.Kill(-group, syscall.SIGKILL) //nolint:errcheck // it may end now
	})
	for r.stdout.Scan() { // it ends with the last of them that can write
	}
	var exit *exec.ExitError
	if err := r.cmd.Wait(); err != nil {
		require.ErrorAs(r.t, err, &exit)
	}
	require.True(r.t, late.Stop(), "it has not ended within %s", endsWithin)
	require.Contains(r.t, r.said(), "ending; once more kills")
	require.NotContains(r.t, r.said(), "a part has ended by itself")
	require.ErrorIs(r.t, syscall.Kill(-group, 0), syscall.ESRCH)
	for _, c := range children {
		require.ErrorIs(r.t, syscall.Kill(-c.Pid, 0), syscall.ESRCH, c.Name)
	}
	r.ends++
	require.NoFileExists(r.t, filepath.Join(r.data(), "processes.json"))
	for _, name := range stack.Services() {
		log, err := os.ReadFile(filepath.Join(r.data(), "logs", name+".log"))
		require.NoError(r.t, err)
		require.Equal(r.t, r.ends, strings.Count(string(log), `"msg":"stopped"`), "%s has ended in good order each time", name)
		require.NotContains(r.t, string(log), "did not stop in time", "%s had broker and database until its end", name)
	}
}

// client is somebody at an address of the greeting.
func (r *makeRun) client(base, token string) *client {
	return &client{t: r.t, sys: &system{&stack.Stack{GatewayURL: base}}, token: token}
}

// command is a line for a shell, in the directory in which make runs and with the addresses that have been moved.
func (r *makeRun) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(line, "http://127.0.0.1:8080", r.gateway))
	cmd.Dir = r.dir
	cmd.Env = append(slices.Clone(r.env), "ORDERWIRE_URL="+r.gateway, "KAFKA_BROKERS="+r.kafka, "MONGODB_URI="+r.mongodb)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run gives the exit code of a command, and all that it prints.
func (r *makeRun) run(line string) (code int, out string) {
	r.t.Helper()
	cmd := r.command(line)
	raw, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(r.t, err, line)
	}
	return cmd.ProcessState.ExitCode(), string(raw)
}

// must gives what a command prints that has to end well.
func (r *makeRun) must(line string) string {
	r.t.Helper()
	code, out := r.run(line)
	require.Zero(r.t, code, "%s\n%s", line, out)
	return out
}

// place runs a command that places an order, and gives the order's id.
func (r *makeRun) place(line string) string {
	r.t.Helper()
	out := r.must(line)
	found := regexp.MustCompile(`(?m)^order +(\S+)`).FindStringSubmatch(out)
	require.NotNil(r.t, found, out)
	return found[1]
}

// stream is a command that goes on until it is interrupted.
type stream struct {
	t     *testing.T
	line  string
	cmd   *exec.Cmd
	lines chan string
	seen  []string
}

// stream starts a command.
func (r *makeRun) stream(line string) *stream {
	r.t.Helper()
	s := &stream{t: r.t, line: line, cmd: r.command(line), lines: make(chan string, 10_000)}
	out, err := s.cmd.StdoutPipe()
	require.NoError(r.t, err)
	s.cmd.Stderr = s.cmd.Stdout
	require.NoError(r.t, s.cmd.Start())
	r.t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.cmd.Process.Kill() //nolint:errcheck // Wait tells
			s.cmd.Wait()         //nolint:errcheck // it was killed
		}
	})
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	return s
}

// until waits for a line that has all of these in it.
func (s *stream) until(parts ...string) {
	s.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, open := <-s.lines:
			require.True(s.t, open, "%s ended before %v\n%s", s.line, parts, strings.Join(s.seen, "\n"))
			s.seen = append(s.seen, line)
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return
			}
		case <-timeout:
			require.FailNow(s.t, "a line never came", "%s: %v\n%s", s.line, parts, strings.Join(s.seen, "\n"))
		}
	}
}

// interrupt is Ctrl-C; it gives the exit code, -1 of what the signal itself has ended.
func (s *stream) interrupt() int {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(os.Interrupt))
	return s.end()
}

// end waits for the command's own end, and gives the exit code and all that it has printed.
func (s *stream) end() int {
	s.t.Helper()
	late := time.AfterFunc(patience, func() {
		s.cmd.Process.Kill() //nolint:errcheck // it may end now
	})
	for line := range s.lines {
		s.seen = append(s.seen, line)
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil {
		require.ErrorAs(s.t, err, &exit, s.line)
	}
	require.True(s.t, late.Stop(), "%s has not ended within %s", s.line, patience)
	return s.cmd.ProcessState.ExitCode()
}
