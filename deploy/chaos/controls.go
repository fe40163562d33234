package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// directed are the faults that bring each wrong behaviour to light.
var directed = map[chaos.Control][]string{
	chaos.NoDedup:            {"F11"},
	chaos.MarkOnReceipt:      {"F1", "F10"},
	chaos.MarkOutOfOrder:     {"F1", "F10"},
	chaos.ClearBeforeAck:     {"F1", "F6"},
	chaos.PublishBeforeWrite: {"F2", "F10"},
	chaos.UnguardedStock:     {"F5"},
	chaos.RandomPartitioner:  {"F11"},
	chaos.StartAtNewest:      {"F1"},
	chaos.SwallowDeadLetters: {"F12"},
	chaos.SkipSilently:       {"F4"},
	chaos.TwoInFlight:        {"F6", "F8"},
	chaos.NoVersionGuard:     {"F5"},
	chaos.TrustType:          {"F1", "F11"},
}

// controls switches each wrong behaviour on by itself; a run that finds nothing is the failure. The same run without it
// goes first and must be clean: what that finds, or would find later, is not the control's doing.
func (c config) controls(ctx context.Context, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONTROL\tFAULTS\tFOUND BY\tORDERS")
	missed := 0
	clean := map[string]bool{}
	for _, control := range chaos.Controls() {
		if len(c.Control) > 0 && !slices.Contains(c.Control, string(control)) {
			continue
		}
		run := c
		run.Faults, run.Duration, run.Rate, run.drain = directed[control], 15*time.Second, 80, controlDrain
		set := strings.Join(run.Faults, ",")
		if !clean[set] {
			r, err := run.once(ctx, c.Seed)
			if err != nil {
				return fmt.Errorf("%s without a control: %w", set, err)
			}
			if len(r.Violations) > 0 {
				table(out, []result{r})
				return fmt.Errorf("%s without a control is not clean: %w", set, errViolated)
			}
			clean[set] = true
		}
		run.environ = []string{"ORDERWIRE_CONTROL=" + string(control)}
		r, err := run.once(ctx, c.Seed)
		if err != nil {
			return fmt.Errorf("%s: %w", control, err)
		}
		by := map[string]bool{}
		for _, v := range r.Violations {
			by[v.Invariant] = true
		}
		found := strings.Join(slices.Sorted(maps.Keys(by)), " ")
		if len(by) == 0 {
			missed++
			found = "NOT FOUND"
		}
		c.note("%s: %s, %d orders", control, found, r.Orders)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", control, set, found, r.Orders)
	}
	w.Flush()
	if missed > 0 {
		return fmt.Errorf("%d negative controls were not found: %w", missed, errViolated)
	}
	return nil
}

// controlDrain is shorter than that of other runs: what a control has broken never drains.
const controlDrain = 30 * time.Second
