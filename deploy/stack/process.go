package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is one child in a process group of its own, with its output in a log file.
type process struct {
	name    string
	logFile string
	cmd     *exec.Cmd
	stdin   *os.File    // write end of the pipe that a service watches; nil for others
	wanted  atomic.Bool // somebody here has asked it to end
	onEnd   func(error)
	done    chan struct{}
	err     error // valid once done is closed
}

// command says what to start.
type command struct {
	name string
	path string
	args []string
	env  []string
	dir  string
	// watch gives the child a pipe as standard input that closes when this process ends.
	watch bool
	// onEnd hears of an end that nobody here has asked for; may be nil.
	onEnd func(error)
}

// startProcess starts c with its output appended to <logDir>/<name>.log and its pid noted in pids.
func startProcess(c command, logDir string, pids *pidFile) (*process, error) {
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &process{name: c.name, logFile: filepath.Join(logDir, c.name+".log"), onEnd: c.onEnd, done: make(chan struct{})}
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	defer log.Close()                       // the child has its own handle
	p.cmd = exec.Command(c.path, c.args...) //nolint:noctx // it lives until stop or kill
	p.cmd.Env, p.cmd.Dir = c.env, c.dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = childAttributes()
	var stdin *os.File
	if c.watch {
		if stdin, p.stdin, err = os.Pipe(); err != nil {
			return nil, fmt.Errorf("start %s: %w", c.name, err)
		}
		p.cmd.Stdin = stdin
	}
	err = spawn(p.cmd)
	if stdin != nil {
		stdin.Close() // the child has its own handle
	}
	if err != nil {
		p.closeStdin()
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	noted := pids.add(p.name, p.cmd.Process.Pid)
	go p.wait(pids)
	if noted != nil {
		p.kill()
		return nil, fmt.Errorf("start %s: %w", c.name, noted)
	}
	return p, nil
}

func (p *process) wait(pids *pidFile) {
	p.err = p.cmd.Wait()
	p.closeStdin()
	pids.remove(p.cmd.Process.Pid)
	close(p.done)
	if p.onEnd != nil && !p.wanted.Load() {
		p.onEnd(p.endError())
	}
}

func (p *process) closeStdin() {
	if p.stdin != nil {
		p.stdin.Close() // nothing was written
	}
}

// stop asks the process to end, and kills its group when it has not after grace or when ctx ends. It returns when the
// process is gone.
func (p *process) stop(ctx context.Context, grace time.Duration) {
	p.wanted.Store(true)
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-ctx.Done():
	case <-timer.C:
	}
	p.kill()
}

// kill ends the whole group at once, what the child itself has started too, and returns when the process is gone.
func (p *process) kill() {
	p.wanted.Store(true)
	p.signal(syscall.SIGKILL)
	<-p.done
}

// signal sends s to the group. A group that is gone already is what was wanted.
func (p *process) signal(s syscall.Signal) {
	if !p.ended() {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// ended tells whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// pid is 0 of a process that is gone or was never there.
func (p *process) pid() int {
	if p == nil || p.ended() {
		return 0
	}
	return p.cmd.Process.Pid
}

// endError says how the process ended and what it said last.
func (p *process) endError() error {
	state := "ended by itself"
	if p.err != nil {
		state = p.err.Error()
	}
	return fmt.Errorf("%s: %s\n%s(log: %s)", p.name, state, tail(p.logFile, 10), p.logFile)
}

// awaitReady asks check every few milliseconds until it says nil, the process ends, or ctx does.
func (p *process) awaitReady(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.endError()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s(log: %s)", p.name, errors.Join(ctx.Err(), err), tail(p.logFile, 10), p.logFile)
		case <-tick.C:
		}
	}
}

// tail gives the last n lines of a log file, indented; "" if there is none.
func tail(file string, n int) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() // only read
	const most = 8 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		if _, err := f.Seek(max(0, size-most), io.SeekStart); err != nil {
			return ""
		}
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	if len(lines) == 1 && len(lines[0]) == 0 {
		return ""
	}
	var b bytes.Buffer
	for _, line := range lines[max(0, len(lines)-n):] {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String()
}

// The kernel's parent-death signal fires when the *thread* that started the child ends, so all children are started
// from one goroutine that keeps its thread for the life of this process.
var spawner = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

func spawn(cmd *exec.Cmd) error {
	result := make(chan error)
	spawner() <- func() { result <- cmd.Start() }
	return <-result
}
