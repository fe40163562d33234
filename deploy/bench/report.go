package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is all that was measured, and all that went wrong.
type report struct {
	machine     machine
	quick       bool
	profiled    bool
	repetitions int
	series      []*series
	failures    []string
}

// add notes a figure of a measurement.
func (r *report) add(measurement string, f figure) {
	n := slices.IndexFunc(r.series, func(s *series) bool { return s.measurement == measurement && s.name == f.name })
	if n < 0 {
		n = len(r.series)
		r.series = append(r.series, &series{measurement: measurement})
	}
	s := r.series[n]
	s.figure = f
	s.values = append(s.values, f.value)
	s.limits = append(s.limits, f.limit)
}

// fail notes what makes the figures worth nothing.
func (r *report) fail(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// exitCode is 0 whatever the figures are, and 1 when something went wrong or nothing was measured.
func (r *report) exitCode() int {
	if len(r.failures) > 0 || len(r.series) == 0 {
		return exitFailed
	}
	return 0
}

// print prints a table for each measurement, in the order of the list.
func (r *report) print(out io.Writer, list []measurement) error {
	r.machine.print(out)
	fmt.Fprintf(out, "\n%d repetition(s), median and spread", r.repetitions)
	if r.quick {
		fmt.Fprint(out, "; --quick: too short to be quoted")
	}
	if r.profiled {
		fmt.Fprint(out, "; --profile: the profiles cost time, too")
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	for _, m := range list {
		head := false
		for _, s := range r.series {
			if s.measurement != m.name {
				continue
			}
			if !head {
				fmt.Fprintf(w, "\n%s\tLIMIT\tMEDIAN\tSPREAD\t\n", strings.ToUpper(m.name)+": "+m.about)
				head = true
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.name, s.bound(), s.unit.show(median(s.values)), s.spread(), s.verdict())
		}
		if head {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	for _, f := range r.failures {
		fmt.Fprintf(out, "\nFAILED %s\n", f)
	}
	return nil
}

// printJSON prints the same for programs.
func (r *report) printJSON(out io.Writer) error {
	type jsonFigure struct {
		Measurement string    `json:"measurement"`
		Name        string    `json:"name"`
		Unit        unit      `json:"unit"`
		Median      float64   `json:"median"`
		Values      []float64 `json:"values"`
		Sense       sense     `json:"sense,omitempty"`  // ≤ or ≥
		Limits      []float64 `json:"limits,omitempty"` // of each repetition
		LimitOf     string    `json:"limitOf,omitempty"`
		Met         *bool     `json:"met,omitempty"`
	}
	figures := []jsonFigure{}
	for _, s := range r.series {
		f := jsonFigure{Measurement: s.measurement, Name: s.name, Unit: s.unit, Median: median(s.values), Values: s.values}
		if s.sense != free {
			met := s.met()
			f.Sense, f.Limits, f.LimitOf, f.Met = s.sense, s.limits, s.of, &met
		}
		figures = append(figures, f)
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(map[string]any{
		"machine": r.machine, "quick": r.quick, "profiled": r.profiled, "repetitions": r.repetitions,
		"figures": figures, "failures": append([]string{}, r.failures...),
	})
}
