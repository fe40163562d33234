package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// soak runs random seeds and prints a table. A failing one is kept, and does not end it.
func (c config) soak(ctx context.Context, out io.Writer) error {
	var all []result
	violated := false
	for n := range c.Soak {
		r, err := c.once(ctx, rand.Uint64N(1_000_000))
		if err != nil {
			return fmt.Errorf("seed %d of %d: %w", n+1, c.Soak, err)
		}
		all = append(all, r)
		violated = violated || len(r.Violations) > 0
		if c.JSON {
			c.print(out, r)
		} else {
			c.note("seed %d (%d of %d): %d orders, %d violations %s", r.Seed, n+1, c.Soak, r.Orders, len(r.Violations), r.Dir)
		}
	}
	if !c.JSON {
		table(out, all)
	}
	if violated {
		return errViolated
	}
	return nil
}

func table(out io.Writer, all []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEED\tKAFKA\tFAULTS\tINJECTIONS\tREQUESTS\tORDERS\tEVENTS\tPUSHED\tUNAVAILABLE s\tDRAIN s\tVIOLATIONS")
	recovery := map[string][]float64{}
	orders := 0
	for _, r := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%d\n", r.Seed, r.Kafka, strings.Join(r.Faults, ","), r.Injections,
			r.Requests, r.Orders, r.Events, r.Pushed, r.Unavailable, r.DrainedIn, len(r.Violations))
		orders += r.Orders
		for k, v := range r.Recovery {
			recovery[k] = append(recovery[k], v...)
		}
	}
	w.Flush()
	if len(all) > 1 {
		fmt.Fprintf(out, "%d orders in all\n", orders)
	}
	if len(recovery) > 0 {
		fmt.Fprintln(w, "\nRECOVERY\tn\tp50 s\tmax s")
		for _, k := range slices.Sorted(maps.Keys(recovery)) {
			v := slices.Sorted(slices.Values(recovery[k]))
			fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\n", k, len(v), v[len(v)/2], v[len(v)-1])
		}
		w.Flush()
	}
	for _, r := range all {
		if len(r.Violations) > 0 {
			fmt.Fprintf(out, "\nseed %d, kept in %s\n", r.Seed, r.Dir)
		}
		for n, v := range r.Violations {
			if n == 20 {
				fmt.Fprintf(out, "  and %d more\n", len(r.Violations)-n)
				break
			}
			fmt.Fprintf(out, "  %s %s %s\n", v.Invariant, v.Order, v.Detail)
		}
	}
}

// allFaults lists those that this harness knows, by their numbers.
func allFaults() []string {
	return slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
		x, _ := strconv.Atoi(a[1:])
		y, _ := strconv.Atoi(b[1:])
		return x - y
	})
}
