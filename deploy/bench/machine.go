package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	host "github.com/orderwire/orderwire/deploy/internal/machine"
	"github.com/orderwire/orderwire/deploy/stack"
)

// machine is what the figures were taken on. What cannot be learnt here is host.Unknown.
type machine struct {
	Cores      int    `json:"cores"`
	CPU        string `json:"cpu"`
	Memory     string `json:"memory"`
	OS         string `json:"os"`
	Go         string `json:"go"`
	FileSystem string `json:"fileSystem"` // of the data
	Load       string `json:"loadBefore"` // load average before anything was started: a busy machine spoils the figures
	Broker     string `json:"broker"`
	Database   string `json:"database"`
	Commit     string `json:"commit"`
}

// readMachine is called before anything is started.
func readMachine(ctx context.Context) machine {
	m := machine{
		Cores: runtime.NumCPU(), Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		CPU: host.CPU(), Memory: host.Memory(), Load: host.Unknown,
		FileSystem: tool(ctx, "stat", "--file-system", "--format=%T", os.TempDir()),
		Commit:     tool(ctx, "git", "describe", "--always", "--dirty", "--abbrev=10"),
	}
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(raw), " ")
	}
	return m
}

func tool(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return host.Unknown
	}
	return strings.TrimSpace(string(out))
}

// backends notes what the stack has found.
func (m *machine) backends(s *stack.Stack) {
	m.Broker, m.Database = s.Broker.String(), s.Database.String()
}

func (m *machine) print(out io.Writer) {
	fmt.Fprintf(out, "machine   %d cores (%s), %s, %s, data on %s\n", m.Cores, m.CPU, m.Memory, m.OS, m.FileSystem)
	fmt.Fprintf(out, "software  commit %s, %s, %s, %s\n", m.Commit, m.Go, m.Broker, m.Database)
	fmt.Fprintf(out, "load      %s before it began; clients, services, broker and database share the machine\n", m.Load)
}
