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
	chaos.MarkOutOfOrder:     {"F10", "F12"},
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

// controlTries is how many seeds a control may need: whether a fault meets the wrong behaviour is a matter of chance.
const controlTries = 3

// controls switches each wrong behaviour on by itself; one that no seed finds is the failure.
func (c config) controls(ctx context.Context, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONTROL\tFAULTS\tFOUND BY\tORDERS\tSEEDS TRIED")
	missed := 0
	for _, control := range chaos.Controls() {
		if len(c.Control) > 0 && !slices.Contains(c.Control, string(control)) {
			continue
		}
		run := c
		run.Faults, run.Duration, run.Rate, run.drain = directed[control], 15*time.Second, 80, controlDrain
		by, orders, tries, err := run.control(ctx, control)
		if err != nil {
			return fmt.Errorf("%s: %w", control, err)
		}
		if by == "" {
			missed++
			by = "NOT FOUND"
		}
		c.note("%s: %s, %d orders, %d seeds", control, by, orders, tries)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", control, strings.Join(run.Faults, ","), by, orders, tries)
	}
	w.Flush()
	if missed > 0 {
		return fmt.Errorf("%d negative controls were not found: %w", missed, errViolated)
	}
	return nil
}

// control tries seeds until one finds the wrong behaviour. The same run without it goes first and must be clean: what
// that finds is not the control's doing.
func (c config) control(ctx context.Context, control chaos.Control) (by string, orders, tries int, err error) {
	for tries = 1; tries <= controlTries && by == ""; tries++ {
		seed := c.Seed + uint64(tries) - 1
		c.environ = nil
		r, err := c.once(ctx, seed)
		if err != nil {
			return "", 0, tries, fmt.Errorf("without the control: %w", err)
		}
		if len(r.Violations) > 0 {
			table(c.err, []result{r})
			return "", 0, tries, fmt.Errorf("seed %d is not clean without the control: %w", seed, errViolated)
		}
		c.environ = []string{"ORDERWIRE_CONTROL=" + string(control)}
		if r, err = c.once(ctx, seed); err != nil {
			return "", 0, tries, err
		}
		orders += r.Orders
		found := map[string]bool{}
		for _, v := range r.Violations {
			found[v.Invariant] = true
		}
		by = strings.Join(slices.Sorted(maps.Keys(found)), " ")
	}
	return by, orders, tries - 1, nil
}

// controlDrain is shorter than that of other runs: what a control has broken never drains.
const controlDrain = 30 * time.Second
