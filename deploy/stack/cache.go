package stack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Progress hears of each step that takes a while, in whole sentences without a newline.
type Progress func(format string, args ...any)

// cacheDir is where brokers and databases that were fetched or built are kept, outside any clone.
func cacheDir(env environment) (string, error) {
	base := env.get("XDG_CACHE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no place for a cache: set XDG_CACHE_HOME: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	dir := filepath.Join(base, "orderwire")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("no place for a cache: set XDG_CACHE_HOME: %w", err)
	}
	return dir, nil
}

// lockPoll is how often it is tried whether the other process is done: waiting for a lock itself cannot be given up.
const lockPoll = 100 * time.Millisecond

// locked runs fill while no other process fills the same cache; a second caller says so and waits for the first, until ctx
// ends.
func locked(ctx context.Context, dir string, say Progress, fill func() error) error {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // closing gives the lock back
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return fill()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", dir, err)
		}
		if !told {
			say("waiting for another process that fetches or builds something in %s", dir)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the lock of %s: %w", dir, ctx.Err())
		case <-tick.C:
		}
	}
}

// runTool runs a command that takes a while. Every 15 s it says how far it is, by the number of output lines that
// contain step; where it fails, the error shows the last lines.
func runTool(ctx context.Context, say Progress, what, step string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = childAttributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var last []string
	count := make(chan int, 1)
	count <- 0
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if step != "" && bytes.Contains(lines.Bytes(), []byte(step)) {
				count <- 1 + <-count
			}
			if last = append(last, lines.Text()); len(last) > 12 {
				last = last[1:]
			}
		}
		io.Copy(io.Discard, r) //nolint:errcheck // a line too long for the scanner must not block the tool
	}()
	begin := time.Now()
	ended := make(chan struct{})
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			n := <-count
			count <- n
			if n > 0 {
				say("  … %s: %d parts done after %s", what, n, time.Since(begin).Round(time.Second))
			} else {
				say("  … %s: %s", what, time.Since(begin).Round(time.Second))
			}
		}
	}()
	err := spawn(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	close(ended)
	w.Close() // a pipe's end never fails
	<-read
	<-reported
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w\n    %s", what, name, strings.Join(args, " "), err, strings.Join(last, "\n    "))
	}
	return nil
}

// onPath tells whether the tool can be run.
func onPath(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}
