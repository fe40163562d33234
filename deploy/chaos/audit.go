package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// auditReport is what `orderctl audit --json` prints.
type auditReport struct {
	Orders     int `json:"orders"`
	Events     int `json:"events"`
	Invariants []struct {
		ID         string            `json:"id"`
		Holds      bool              `json:"holds"`
		Total      int               `json:"total"`
		Violations []json.RawMessage `json:"violations"`
	} `json:"invariants"`
}

func (r auditReport) holds() bool {
	for _, i := range r.Invariants {
		if !i.Holds {
			return false
		}
	}
	return len(r.Invariants) > 0
}

// audit runs the audit until it holds or the time to drain is over; what the last one says counts.
func (s *system) audit(ctx context.Context, bin, dir string, accepted []string, drain time.Duration) (auditReport, error) {
	file, err := s.describe(dir)
	if err != nil {
		return auditReport{}, err
	}
	list := filepath.Join(dir, "accepted.txt")
	if err := os.WriteFile(list, []byte(strings.Join(accepted, "\n")+"\n"), 0o600); err != nil {
		return auditReport{}, err
	}
	for end := time.Now().Add(drain); ; {
		report, err := s.auditOnce(ctx, bin, file, list, filepath.Join(dir, "ignore.jsonl"))
		if err == nil && report.holds() || !time.Now().Before(end) || ctx.Err() != nil {
			return report, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *system) auditOnce(ctx context.Context, bin, stackFile, accepted, ignore string) (auditReport, error) {
	args := []string{"audit", "--stack", stackFile, "--quiesced", "--json", "--accepted", accepted}
	if _, err := os.Stat(ignore); err == nil {
		args = append(args, "--ignore", ignore)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "orderctl"), args...)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || out.Len() == 0) {
		return auditReport{}, fmt.Errorf("orderctl audit: %w: %s", err, strings.TrimSpace(says.String()))
	}
	var r auditReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("orderctl audit printed what cannot be read: %w", err)
	}
	return r, nil
}
