package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/machine"
	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/chaos"
)

// script is a directed run: what brings one wrong behaviour to light, and nothing else.
type script struct {
	length time.Duration
	steps  []Injection
	rush   bool // see load.rush
}

// step is an injection of a script; at and lasts are seconds.
func step(at, lasts float64, fault, variant string, n int, target ...string) Injection {
	seconds := func(s float64) duration { return duration(s * float64(time.Second)) }
	return Injection{At: seconds(at), For: seconds(lasts), Fault: fault, Variant: variant, N: n, Target: target}
}

// everywhere is a step for each partition of a topic.
func everywhere(at float64, fault, variant string, n int, topic string) (steps []Injection) {
	for p := range partitions {
		steps = append(steps, step(at, 0, fault, variant, n, topic, fmt.Sprint(p)))
	}
	return steps
}

const seconds = time.Second

// The links that scripts break.
const (
	ordersDatabase    = stack.LinkDatabase + "-" + stack.OrderAPI
	inventoryDatabase = stack.LinkDatabase + "-" + stack.Inventory
	firstBroker       = stack.LinkBroker + "-1"
)

// directed are the scripts of the wrong behaviours.
var directed = map[chaos.Control]script{
	// Events that were heard before come once more.
	chaos.NoDedup: {length: 6 * seconds, steps: slices.Concat(
		everywhere(3, "F11", "replay", 100, topicOrders), everywhere(4, "F11", "replay", 100, topicShipping))},
	// What inventory has read cannot be finished while its database is away, and then it dies.
	chaos.MarkOnReceipt: {length: 6 * seconds, steps: []Injection{
		step(2, 3, "F7", "cut", 0, inventoryDatabase), step(4, 1.5, "F1", "kill", 0, stack.Inventory),
	}},
	// Inventory's database is slow, so its batches are long, and then away: in each partition of the batch that fails there
	// are orders, and behind them a record that is nobody's business and cannot fail.
	chaos.MarkOutOfOrder: {length: 13 * seconds, steps: slices.Concat(
		[]Injection{step(1, 12, "F7", "latency", 500, inventoryDatabase)},
		everywhere(2.5, "F12", "unknown-type", 1, topicOrders), everywhere(3.5, "F12", "unknown-type", 1, topicOrders),
		everywhere(4.5, "F12", "unknown-type", 1, topicOrders), everywhere(5.5, "F12", "unknown-type", 1, topicOrders),
		[]Injection{step(6, 6.5, "F7", "cut", 0, inventoryDatabase)})},
	// What is sent while the broker is away is sent in vain, if order-api dies before it is back.
	chaos.ClearBeforeAck: {length: 6 * seconds, steps: []Injection{
		step(2, 3, "F7", "cut", 0, firstBroker), step(4, 0.5, "F1", "kill", 0, stack.OrderAPI),
	}},
	// Orders are refused while the database is away, and the broker is there.
	chaos.PublishBeforeWrite: {length: 5 * seconds, steps: []Injection{step(1, 2, "F7", "cut", 0, ordersDatabase)}},
	// Every batch wants the last of a row, and so do those who take some out of it, and a second instance once it has
	// joined: between what is read and what is written it is gone.
	chaos.UnguardedStock: {length: 8 * seconds, rush: true, steps: []Injection{step(0, 8, "F5", "term", 0, stack.Inventory+"-2")}},
	// Nothing needs to be broken.
	chaos.RandomPartitioner: {length: 3 * seconds},
	// Inventory is killed before it has committed anything in most partitions.
	chaos.StartAtNewest: {length: 4 * seconds, steps: []Injection{step(0, 2, "F1", "kill", 0, stack.Inventory)}},
	// A record that nobody can read.
	chaos.SwallowDeadLetters: {length: 3 * seconds, steps: []Injection{step(1, 0, "F12", "undecodable", 1, topicOrders, "0")}},
	// Nothing needs to be broken.
	chaos.SkipSilently: {length: 3 * seconds},
	// The first of two events is not acknowledged, and the second one is.
	chaos.TwoInFlight: {length: 8 * seconds, steps: []Injection{
		step(1.5, 0.5, "F6", "kill", 0, "broker-1"), step(3, 0.5, "F8", "lost-answer", 0, firstBroker),
		step(4.5, 0.5, "F6", "kill", 0, "broker-1"), step(6, 0.5, "F8", "lost-answer", 0, firstBroker),
	}},
	// Between what is read and what is written there is time enough for somebody else.
	chaos.NoVersionGuard: {length: 6 * seconds, steps: []Injection{step(1, 4, "F7", "latency", 100, ordersDatabase)}},
	// Inventory finds orders in one batch with their cancellations, and with an update behind those.
	chaos.TrustType: {length: 7 * seconds, steps: []Injection{
		step(1, 1.5, "F3", "pause", 0, stack.Inventory), step(4, 1.5, "F3", "pause", 0, stack.Inventory),
	}},
}

const (
	// controlTries is how many seeds a control may need.
	controlTries = 3
	// controlRate is that of the operations; the carrier hurries too.
	controlRate = 80
	// controlStandstill is how long nothing may move, with a control and without it: what it has broken never drains, and
	// impatience must not be taken for that.
	controlStandstill = 8 * time.Second
)

// caught is what became of one control.
type caught struct {
	control chaos.Control
	kafka   string
	by      map[string]int // invariants, and how many orders had been accepted until the first violation of each
	orders  int            // of the run that found it
	seeds   []uint64       // tried
	err     error
}

// controls switches each wrong behaviour on by itself; one that no seed finds is the failure.
func (c config) controls(ctx context.Context, out io.Writer) error {
	var asked []chaos.Control
	for _, control := range chaos.Controls() {
		if len(c.Control) == 0 || slices.Contains(c.Control, string(control)) {
			asked = append(asked, control)
		}
	}
	begin := time.Now()
	all := make([]caught, len(asked))
	var mu sync.Mutex
	sideBySide(c.Parallel, len(asked), func(n int) {
		got := c.control(ctx, asked[n])
		mu.Lock()
		defer mu.Unlock()
		all[n] = got
		c.note("%s: %s", got.control, got.verdict())
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Fprintf(out, "commit    %s\nmachine   %s\nbegan     %s, took %s\n\n", c.commit, machine.String(), begin.UTC().Format(time.DateTime),
		time.Since(begin).Round(time.Second))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONTROL\tKAFKA\tBROKEN BY\tFOUND BY, AFTER ORDERS\tFIRST AFTER\tOF ORDERS\tSEEDS")
	var failed error
	for _, got := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", got.control, got.kafka, directed[got.control].faults(), got.verdict(), got.first(),
			got.orders, strings.Trim(fmt.Sprint(got.seeds), "[]"))
		switch {
		case got.err != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", got.control, got.err))
		case got.by == nil:
			failed = errors.Join(failed, fmt.Errorf("%s was not found: %w", got.control, errViolated))
		}
	}
	w.Flush()
	return failed
}

// control tries seeds until one finds the wrong behaviour. The same run without it goes first and must be clean: what
// that finds is not the control's doing.
func (c config) control(ctx context.Context, control chaos.Control) caught {
	s := directed[control]
	c.directed, c.steps, c.Duration, c.Rate, c.Faults = true, s.steps, s.length, controlRate, strings.Fields(s.faults())
	c.rush = s.rush
	hurry := []string{"CARRIER_DISPATCH_AFTER=500ms", "CARRIER_DELIVER_AFTER=1s"}
	got := caught{control: control}
	for n := range uint64(controlTries) {
		seed := c.Seed + n
		got.seeds, got.kafka = append(got.seeds, seed), c.kafkaOf(seed)
		clean := c
		clean.label, clean.environ, clean.standstill = string(control)+" off, ", hurry, controlStandstill
		r, err := clean.once(ctx, seed)
		if err == nil && len(r.Violations) > 0 {
			table(c.err, []result{r})
			err = fmt.Errorf("seed %d is not clean without it: %w", seed, errViolated)
		}
		if err != nil {
			got.err = err
			return got
		}
		broken := c
		broken.label, broken.environ = string(control)+" on, ", slices.Concat(hurry, []string{"ORDERWIRE_CONTROL=" + string(control)})
		broken.standstill = controlStandstill
		if r, err = broken.once(ctx, seed); err != nil {
			got.err = err
			return got
		}
		if found(r.FoundAfter) {
			got.by, got.orders = r.FoundAfter, r.Orders
			return got
		}
	}
	return got
}

// found tells whether a run has shown more than that it did not drain: it was given little time for that.
func found(by map[string]int) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(by)), func(invariant string) bool { return invariant != "I8" })
}

// faults are those of the script, in the order of their numbers.
func (s script) faults() string {
	set := map[string]bool{}
	for _, i := range s.steps {
		set[i.Fault] = true
	}
	return strings.Join(slices.SortedFunc(maps.Keys(set), byFault), " ")
}

// verdict says by what a control was found.
func (got caught) verdict() string {
	if got.err != nil {
		return "NOTHING CAN BE SAID"
	}
	if got.by == nil {
		return "NOT FOUND"
	}
	var parts []string
	for _, invariant := range slices.SortedFunc(maps.Keys(got.by), byInvariant) {
		parts = append(parts, fmt.Sprintf("%s %d", invariant, got.by[invariant]))
	}
	return strings.Join(parts, ", ")
}

// first is after how many orders.
func (got caught) first() string {
	if got.by == nil {
		return "-"
	}
	return fmt.Sprint(slices.Min(slices.Collect(maps.Values(got.by))))
}
