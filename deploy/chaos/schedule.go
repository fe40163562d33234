package main

import (
	"fmt"
	"maps"
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

// has tells whether a fault is in it.
func (p Plan) has(fault string) bool {
	return slices.ContainsFunc(p.Steps, func(i Injection) bool { return i.Fault == fault })
}

// count says how often each fault is among them in each of its variants.
func count(all []Injection) map[string]int {
	n := map[string]int{}
	for _, i := range all {
		n[i.kind()]++
	}
	return n
}

// kind is what injections are counted by: of a cluster's brokers it matters which one was broken.
func (i Injection) kind() string {
	switch {
	case i.Fault != "F6" || len(i.Target) == 0:
		return i.Fault + " " + i.Variant
	case len(i.Target) == 2:
		return i.Fault + " " + i.Variant + " two"
	default:
		return i.Fault + " " + i.Variant + " " + i.Target[0]
	}
}

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
	faults []string // that may be drawn, see fault
	// volumes tells whether each part can have a file system of its own.
	volumes bool
	// old tells whether there are binaries of an older commit.
	old bool
}

// fault splits what the command line says: F6, or F6:pause:leader, which narrows each choice that offers pause or leader.
func fault(asked string) (name string, only []string) {
	parts := strings.Split(asked, ":")
	return parts[0], parts[1:]
}

// check tells what is wrong with a fault that is asked for.
func (t terrain) check(asked string) error {
	name, only := fault(asked)
	k, ok := kinds[name]
	if !ok {
		return fmt.Errorf("%s is no fault of this harness: it knows %s", name, strings.Join(allFaults(), ", "))
	}
	d := &drawer{r: rand.New(rand.NewPCG(1, 1)), t: t, to: 10 * time.Minute, offered: map[string]bool{}} //nolint:gosec // any will do
	k.draw(d)
	for _, o := range only {
		if !d.offered[o] {
			return fmt.Errorf("%s has no variant %q on this kind of broker: it has %s", name, o,
				strings.Join(slices.Sorted(maps.Keys(d.offered)), ", "))
		}
	}
	return nil
}

const fullPeriod = 30 * time.Second

// newPlan draws the plan of a seed.
func newPlan(seed uint64, length time.Duration, t terrain) Plan {
	r := rand.New(rand.NewPCG(seed, 0x0fde)) //nolint:gosec // it must be repeatable
	period := min(fullPeriod, max(length/8, 10*time.Second))
	p := Plan{Seed: seed, Duration: duration(length), Period: duration(period)}
	var possible []string
	for _, f := range t.faults {
		name, _ := fault(f)
		if k := kinds[name]; k.draw != nil && (k.possible == nil || k.possible(t)) {
			possible = append(possible, f)
		}
	}
	count := int((length + period - 1) / period)
	quiet := quietPeriods(r, count)
	deal := dealer(r, possible)
	for n := range count {
		from := time.Duration(n) * period
		to := min(from+period, length)
		var set []string
		if !quiet[n] && len(possible) > 0 {
			set = deal(1 + r.IntN(min(3, len(possible))))
		}
		p.Periods = append(p.Periods, set)
		for _, f := range set {
			name, only := fault(f)
			d := &drawer{r: r, t: t, fault: name, from: from, to: to, only: only, offered: map[string]bool{}}
			kinds[name].draw(d)
			p.Steps = append(p.Steps, d.steps...)
		}
	}
	slices.SortStableFunc(p.Steps, func(a, b Injection) int { return int(a.At - b.At) })
	return p
}

// dealer gives so many different ones, as of a pack of cards: none comes again before all have come.
func dealer(r *rand.Rand, all []string) func(int) []string {
	var pack []string
	return func(n int) []string {
		var hand []string
		for len(hand) < n {
			if len(pack) == 0 {
				for _, i := range r.Perm(len(all)) {
					pack = append(pack, all[i])
				}
			}
			next := slices.IndexFunc(pack, func(card string) bool { return !slices.Contains(hand, card) })
			hand = append(hand, pack[next])
			pack = slices.Delete(pack, next, next+1)
		}
		slices.Sort(hand)
		return hand
	}
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
	only     []string        // choices that the run is narrowed to
	offered  map[string]bool // choices that there were
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

// one of the choices; of those that the run is narrowed to, where any of them is among these.
func (d *drawer) one(of ...string) string {
	var asked []string
	for _, choice := range of {
		d.offered[choice] = true
		if slices.Contains(d.only, choice) {
			asked = append(asked, choice)
		}
	}
	if len(asked) > 0 {
		of = asked
	}
	return of[d.r.IntN(len(of))]
}

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
