package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Plan says what is done to a system. It is a pure function of the seed and of what the run is made of, so a seed can be
// replayed.
type Plan struct {
	Seed     uint64      `json:"seed"`
	Duration duration    `json:"duration"`
	Period   duration    `json:"period"`
	Periods  [][]string  `json:"periods"` // the faults of each period; none: a quiet one
	Steps    []Injection `json:"steps"`   // by time
}

// Injection is one act of breaking, and of healing after For.
type Injection struct {
	At      duration `json:"at"`
	For     duration `json:"for"`
	Fault   string   `json:"fault"`   // F1 to F17 of the table in README.md
	Variant string   `json:"variant"` // how
	Target  []string `json:"target,omitempty"`
	// N is a number that the variant needs: milliseconds, kilobytes, a count.
	N int `json:"n,omitempty"`
}

func (i Injection) String() string {
	s := fmt.Sprintf("%s %s %s", i.Fault, i.Variant, strings.Join(i.Target, ","))
	if i.N > 0 {
		s += fmt.Sprintf(" %d", i.N)
	}
	return s
}

// count says how often each fault is injected in each of its variants.
func (p Plan) count() map[string]int {
	n := map[string]int{}
	for _, i := range p.Steps {
		n[i.kind()]++
	}
	return n
}

// kind is what injections are counted by.
func (i Injection) kind() string { return i.Fault + " " + i.Variant }

// duration prints as people write it.
type duration time.Duration

// MarshalText writes it as time.Duration prints.
//
//nolint:unparam // the interface wants an error
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *duration) UnmarshalText(raw []byte) error {
	v, err := time.ParseDuration(string(raw))
	*d = duration(v)
	return err
}

// terrain is what a plan is made for.
type terrain struct {
	kafka  string   // kfake, apache or cluster
	nodes  int      // processes of the broker; 0: it lives in the harness
	faults []string // that may be drawn
}

const fullPeriod = 30 * time.Second

// newPlan draws the plan of a seed.
func newPlan(seed uint64, length time.Duration, t terrain) Plan {
	r := rand.New(rand.NewPCG(seed, 0x0fde)) //nolint:gosec // it must be repeatable
	period := min(fullPeriod, max(length/4, 5*time.Second))
	p := Plan{Seed: seed, Duration: duration(length), Period: duration(period)}
	var possible []string
	for _, f := range t.faults {
		if k := kinds[f]; k.draw != nil && (k.possible == nil || k.possible(t)) {
			possible = append(possible, f)
		}
	}
	count := int((length + period - 1) / period)
	quiet := quietPeriods(r, count)
	for n := range count {
		from := time.Duration(n) * period
		to := min(from+period, length)
		var set []string
		if !quiet[n] && len(possible) > 0 {
			most := min(3, len(possible))
			for _, i := range r.Perm(len(possible))[:1+r.IntN(most)] {
				set = append(set, possible[i])
			}
			slices.Sort(set)
		}
		p.Periods = append(p.Periods, set)
		for _, f := range set {
			d := &drawer{r: r, t: t, fault: f, from: from, to: to}
			kinds[f].draw(d)
			p.Steps = append(p.Steps, d.steps...)
		}
	}
	slices.SortStableFunc(p.Steps, func(a, b Injection) int { return int(a.At - b.At) })
	return p
}

// quietPeriods picks a quarter of them, never the first: a short run is there to break something.
func quietPeriods(r *rand.Rand, count int) map[int]bool {
	quiet := map[int]bool{}
	for _, n := range r.Perm(count) {
		if len(quiet) < count/4 && n > 0 {
			quiet[n] = true
		}
	}
	return quiet
}

// drawer collects the injections of one fault in one period.
type drawer struct {
	r        *rand.Rand
	t        terrain
	fault    string
	from, to time.Duration
	steps    []Injection
}

// between draws a time.
func (d *drawer) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.r.Int64N(int64(to-from)+1))).Round(time.Millisecond)
}

// every calls draw at times from one another by least to most, until the period ends.
func (d *drawer) every(least, most time.Duration, draw func(at time.Duration)) {
	for at := d.from + d.between(0, least); at < d.to; at += d.between(least, most) {
		draw(at)
	}
}

// add notes an injection; it heals within the period, or a little later where it was drawn at its end.
func (d *drawer) add(at, lasts time.Duration, variant string, n int, target ...string) {
	d.steps = append(d.steps, Injection{
		At: duration(at), For: duration(lasts), Fault: d.fault, Variant: variant, Target: target, N: n,
	})
}

// one of the choices.
func (d *drawer) one(of ...string) string { return of[d.r.IntN(len(of))] }

// some gives so many different ones, in the order of the list.
func (d *drawer) some(n int, of []string) []string {
	picked := d.r.Perm(len(of))[:min(n, len(of))]
	slices.Sort(picked)
	var out []string
	for _, i := range picked {
		out = append(out, of[i])
	}
	return out
}
