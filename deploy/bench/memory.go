package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	host "github.com/orderwire/orderwire/deploy/internal/machine"
	"github.com/orderwire/orderwire/deploy/stack"
)

const maxIdle = 40 // MB

// measureMemory reads what each service has resident after some seconds of idleness.
func measureMemory(ctx context.Context, l *lab) ([]figure, error) {
	select {
	case <-time.After(l.sizes.settle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var figures []figure
	for _, name := range stack.Services() {
		bytes, err := resident(ctx, l.instance(name).Pid())
		if err != nil {
			return figures, fmt.Errorf("memory of %s: %w", name, err)
		}
		figures = append(figures, figure{name: name, unit: megabytes, value: bytes / 1e6, sense: atMost, limit: maxIdle})
	}
	return figures, nil
}

// resident gives the resident set of a process in bytes.
func resident(ctx context.Context, pid int) (float64, error) {
	text := strings.TrimSuffix(host.Value(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"), " kB")
	if text == host.Unknown { // no Linux
		out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
		if err != nil {
			return 0, fmt.Errorf("ask ps for process %d: %w", pid, err)
		}
		text = strings.TrimSpace(string(out))
	}
	kilobytes, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return kilobytes * 1024, nil
}
