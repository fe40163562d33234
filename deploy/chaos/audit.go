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
		ID         string         `json:"id"`
		Holds      bool           `json:"holds"`
		Total      int            `json:"total"`
		Violations []auditFinding `json:"violations"`
	} `json:"invariants"`
}

// auditFinding is one violation as the audit tells it: of an order, of a record of the log, or of a document.
type auditFinding struct {
	Order     string `json:"order"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Document  string `json:"document"`
	Detail    string `json:"detail"`
}

// auditTold is how many of an invariant's violations are told; all that the audit lists count.
const auditTold = 5

// add takes over what the audit has found.
func (v *verdict) add(report auditReport) {
	for _, i := range report.Invariants {
		for n, f := range i.Violations {
			found := violation{Invariant: i.ID, Order: f.Order}
			where := f.Document
			if f.Topic != "" {
				found.record = &coordinates{f.Topic, f.Partition, f.Offset}
				where = strings.TrimSpace(fmt.Sprintf("%s %s/%d@%d", where, f.Topic, f.Partition, f.Offset))
			}
			found.Detail = fmt.Sprintf("audit (%d in all): %s: %s", i.Total, where, f.Detail)
			if n < auditTold {
				v.found = append(v.found, found)
			} else {
				v.more = append(v.more, found)
			}
		}
	}
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
	var r auditReport
	err := orderctl(ctx, bin, &r, args...)
	return r, err
}

// orderctl runs a command that prints JSON, and reads that. Where something is violated the command ends with 1, and out
// has what it says.
func orderctl(ctx context.Context, bin string, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "orderctl"), args...)
	var printed, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &says
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || printed.Len() == 0) {
		return fmt.Errorf("orderctl %s: %w: %s", args[0], err, strings.TrimSpace(says.String()))
	}
	if err := json.Unmarshal(printed.Bytes(), out); err != nil {
		return fmt.Errorf("orderctl %s printed what cannot be read: %w", args[0], err)
	}
	return nil
}
