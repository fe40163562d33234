package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// table prints runs, what they injected and how long it took to recover from it, and the violations.
func table(out io.Writer, all []result) {
	if len(all) == 0 {
		fmt.Fprintln(out, "no run")
		return
	}
	slices.SortStableFunc(all, func(a, b result) int { return a.Began.Compare(b.Began) })
	from, to := all[0].Began, all[len(all)-1].Began
	fmt.Fprintf(out, "machine   %s\n", strings.Join(distinct(all, func(r result) string { return r.Machine }), "; "))
	fmt.Fprintf(out, "began     %s to %s\n", from.Format(time.DateTime), to.Format(time.DateTime))
	fmt.Fprintf(out, "faults    %s\n\n", strings.Join(distinct(all, func(r result) string { return strings.Join(r.Faults, ",") }), "; "))

	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEED\tCOMMIT\tKAFKA\tDURATION\tFAULTS\tREQUESTS\tORDERS\tEVENTS\tPUSHED\tUNAVAILABLE s\tDRAIN s\tI6 CHECKED\tVIOLATIONS")
	var sum result
	violations := 0
	for _, r := range all {
		found := strconv.Itoa(len(r.Violations))
		if r.Error != "" {
			found = "NOT RUN"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%d\t%s\n", r.Seed, r.Commit, r.Kafka, time.Duration(r.Duration),
			r.Injections, r.Requests, r.Orders, r.Events, r.Pushed, r.Unavailable, r.DrainedIn, r.Committed, found)
		sum.Duration += r.Duration
		sum.Injections += r.Injections
		sum.Requests += r.Requests
		sum.Orders += r.Orders
		sum.Events += r.Events
		sum.Pushed += r.Pushed
		sum.Unavailable += r.Unavailable
		sum.Committed += r.Committed
		violations += len(r.Violations)
	}
	if len(all) > 1 {
		fmt.Fprintf(w, "%d runs\t\t\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t\t%d\t%d\n", len(all), time.Duration(sum.Duration), sum.Injections,
			sum.Requests, sum.Orders, sum.Events, sum.Pushed, sum.Unavailable, sum.Committed, violations)
	}
	w.Flush()
	resources(out, all)
	recoveries(out, all)
	for _, r := range all {
		if r.bad() {
			r.explain(out)
		}
	}
}

// recoveries prints how often each fault was done, how often what was planned was not, and the time until the system was
// seen to work again after those that nothing else overlapped.
func recoveries(out io.Writer, all []result) {
	injected, notDone, recovery := map[string]int{}, map[string]int{}, map[string][]float64{}
	for _, r := range all {
		for k, n := range r.Injected {
			injected[k] += n
		}
		for k, n := range r.NotDone {
			injected[k] += 0
			notDone[k] += n
		}
		for k, v := range r.Recovery {
			recovery[k] = append(recovery[k], v...)
		}
	}
	if len(injected) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nFAULT\tDONE\tNOT DONE\tRECOVERY n\tp50 s\tmax s")
	for _, k := range slices.SortedFunc(maps.Keys(injected), byFault) {
		v := slices.Sorted(slices.Values(recovery[k]))
		if len(v) == 0 {
			fmt.Fprintf(w, "%s\t%d\t%d\t0\t-\t-\n", k, injected[k], notDone[k])
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%.1f\n", k, injected[k], notDone[k], len(v), v[len(v)/2], v[len(v)-1])
	}
	w.Flush()
}

// explain prints what is wrong with a run, and how to do it again.
func (r result) explain(out io.Writer) {
	fmt.Fprintf(out, "\nseed %d, kept in %s; again: go run ./deploy/chaos --seed %d --kafka %s --duration %s --rate %g --faults %s\n", r.Seed, r.Dir,
		r.Seed, r.Kafka, time.Duration(r.Duration), r.Rate, strings.Join(r.Faults, ","))
	if r.Error != "" {
		fmt.Fprintf(out, "  nothing can be said: %s\n", r.Error)
	}
	if unseen := r.unseen(); unseen != "" {
		fmt.Fprintf(out, "  %s\n", unseen)
	}
	for n, v := range r.Violations {
		if n == 20 {
			fmt.Fprintf(out, "  and %d more\n", len(r.Violations)-n)
			break
		}
		fmt.Fprintf(out, "  %s %s %s\n", v.Invariant, v.Order, v.Detail)
	}
}

// distinct gives each value once, as they come.
func distinct(all []result, of func(result) string) []string {
	var values []string
	for _, r := range all {
		if v := of(r); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// allFaults lists those that this harness knows, by their numbers.
func allFaults() []string { return slices.SortedFunc(maps.Keys(kinds), byFault) }

// byFault orders names that begin with a fault, F2 before F10.
func byFault(a, b string) int { return byNumber("F%d", a, b) }

// byInvariant orders names that begin with an invariant, I2 before I10.
func byInvariant(a, b string) int { return byNumber("I%d", a, b) }

func byNumber(format, a, b string) int {
	number := func(s string) (n int) {
		fmt.Sscanf(s, format, &n) //nolint:errcheck // what has none has the number 0
		return n
	}
	return cmp.Or(number(a)-number(b), strings.Compare(a, b))
}
