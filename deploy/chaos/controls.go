package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// controls switches each wrong behaviour on by itself; a run that finds nothing is the failure.
func (c config) controls(ctx context.Context, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONTROL\tFOUND BY\tORDERS")
	missed := 0
	for _, control := range chaos.Controls() {
		run := c
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
		fmt.Fprintf(w, "%s\t%s\t%d\n", control, found, r.Orders)
	}
	w.Flush() //nolint:errcheck // a reader that is gone
	if missed > 0 {
		return fmt.Errorf("%d negative controls were not found: %w", missed, errViolated)
	}
	return nil
}
