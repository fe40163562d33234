package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// pidFile remembers the children of a run in its data directory, so that the next one can end what a crash left.
type pidFile struct {
	path string
	mu   sync.Mutex
	all  []pidEntry
}

type pidEntry struct {
	Name  string `json:"name"`
	Pid   int    `json:"pid"`
	Start string `json:"start"` // a pid alone is reused
}

func newPidFile(dir string) *pidFile { return &pidFile{path: filepath.Join(dir, "processes.json")} }

func (f *pidFile) add(name string, pid int) error {
	start, err := startTime(pid)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("when was %s started: %w", name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, pidEntry{name, pid, start})
	return f.write()
}

func (f *pidFile) remove(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(e pidEntry) bool { return e.Pid == pid })
	_ = f.write() // a line too many is harmless: its start time will not match
}

func (f *pidFile) write() error {
	if len(f.all) == 0 {
		if err := os.Remove(f.path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	raw, err := json.MarshalIndent(f.all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(f.path, raw, 0o600)
}

// endLeftovers ends the processes that an earlier run noted and that are still there, and gives their names.
// The caller holds the directory's lock, so that run is over.
func (f *pidFile) endLeftovers() ([]string, error) {
	raw, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var old []pidEntry
	if err := json.Unmarshal(raw, &old); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	var ended []string
	for _, e := range old {
		if !e.alive() {
			continue
		}
		ended = append(ended, e.Name)
		_ = syscall.Kill(-e.Pid, syscall.SIGTERM) // gone in between is what we want
	}
	deadline := time.Now().Add(2 * time.Second)
	for _, e := range old {
		for e.alive() {
			if time.Now().After(deadline) {
				_ = syscall.Kill(-e.Pid, syscall.SIGKILL)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return ended, err
	}
	return ended, nil
}

func (e pidEntry) alive() bool {
	start, err := startTime(e.Pid)
	return err == nil && start == e.Start && e.Start != ""
}

// errLocked says that another stack uses the data directory.
var errLocked = errors.New("in use by another stack")

// lockGrace is how long a killed stack may take to let go of its directory.
const lockGrace = time.Second

// lockDir takes the data directory for this process; the kernel gives it back when the process ends, however it does.
func lockDir(dir string, grace time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for begin := time.Now(); errors.Is(err, syscall.EWOULDBLOCK) && time.Since(begin) < grace; {
		time.Sleep(10 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		f.Close() // the lock is what failed
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}
