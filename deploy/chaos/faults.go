package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// kind is one row of the table of faults.
type kind struct {
	// possible tells whether the terrain allows it; nil: always.
	possible func(terrain) bool
	// draw plans one period of it.
	draw func(*drawer)
	// do breaks something and gives what heals it, nil where nothing was broken. An error says that what was planned was not
	// done, or not in full.
	do func(context.Context, *breaker, Injection) (heal healer, err error)
}

// healer mends what a fault has broken. Its context is not that of the breaking, which may be over by then.
type healer func(context.Context)

// kinds are the faults by their numbers; each file fault_*.go fills in its own.
//
// What is missing is in README.md.
var kinds = map[string]kind{
	"F2":  {draw: drawFailpoint, do: doFailpoint},
	"F1":  {draw: drawKill, do: doKill},
	"F3":  {draw: drawPause, do: doPause},
	"F4":  {draw: drawRolling, do: doRolling},
	"F5":  {draw: drawChurn, do: doChurn},
	"F6":  {draw: drawBroker, do: doBroker},
	"F7":  {draw: drawNetwork, do: doNetwork},
	"F8":  {draw: drawLostAnswer, do: doNetwork},
	"F9":  {possible: onlyKfake, draw: drawKafkaError, do: doKafkaError},
	"F10": {draw: drawDatabase, do: doDatabase},
	"F11": {draw: drawDuplicates, do: doDuplicates},
	"F12": {draw: drawPoison, do: doPoison},
	"F13": {draw: drawSlow, do: doSlow},
	"F14": {draw: drawHostile, do: doHostile},
	"F15": {possible: hasVolumes, draw: drawDisk, do: doDisk},
	"F16": {draw: drawOutbox, do: doOutbox},
	"F17": {possible: hasOld, draw: drawVersions, do: doVersions},
}

// breaker is what faults work on.
type breaker struct {
	sys  *system
	load *load
	dir  string
	bin  string // where orderctl is
}

func (b *breaker) part(name string) (*part, error) {
	p := b.sys.parts[name]
	if p == nil {
		return nil, fmt.Errorf("nothing is called %q", name)
	}
	return p, nil
}

// instance is the service process that a part stands for.
func (b *breaker) instance(name string) (*stack.Instance, error) {
	p, err := b.part(name)
	if err != nil {
		return nil, err
	}
	if u, ok := p.unit.(process); ok {
		if i, ok := u.controlled.(*stack.Instance); ok {
			return i, nil
		}
	}
	return nil, fmt.Errorf("%s is no instance of a service", name)
}

// joinsWithin is how long an instance may take to be a member of its group: a member that was killed has to be given up
// before.
const joinsWithin = 25 * time.Second

// join lets an instance start and waits until it is a member of its group, if it has one.
func (b *breaker) join(ctx context.Context, name string) (*part, error) {
	p, err := b.part(name)
	if err != nil {
		return nil, err
	}
	i, err := b.instance(name)
	if err != nil {
		return nil, err
	}
	p.up()
	ctx, cancel := context.WithTimeout(ctx, joinsWithin)
	defer cancel()
	asks := newSampler(b.sys)
	for {
		if a := asks.askReady(ctx, i); a.status == http.StatusOK && !slices.Contains(a.away, "consumer") {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("%s does not join: %w", name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// downAll takes the targets down at once and gives what lets them come back.
func (b *breaker) downAll(ctx context.Context, targets []string, clean bool) (healer, error) {
	var parts []*part
	for _, name := range targets {
		p, err := b.part(name)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	var ran atomic.Int64
	inParallel(parts, func(p *part) {
		if p.down(ctx, clean) {
			ran.Add(1)
		}
	})
	var err error
	if ran.Load() == 0 {
		err = errNothingToBreak
	}
	return func(context.Context) {
		for _, p := range parts {
			p.up()
		}
	}, err
}

// errNothingToBreak says that other faults have taken away already what was to be broken.
var errNothingToBreak = errors.New("nothing of it was there")

// F1: kill -9 of one service, two, or all four, and back after 0 to 5 s.
func drawKill(d *drawer) {
	d.every(3*time.Second, 15*time.Second, func(at time.Duration) {
		n := []int{1, 1, 1, 2, 2, 4}[d.r.IntN(6)]
		d.add(at, d.between(0, 5*time.Second), "kill", 0, d.some(n, stack.Services())...)
	})
}

func doKill(ctx context.Context, b *breaker, i Injection) (healer, error) {
	return b.downAll(ctx, i.Target, false)
}

// F3: stopped for longer than the session time-out, a service, a whole chain, the broker or the database. Beside one service
// there is a second instance, which takes its partitions over before it wakes up and goes on where it was.
func drawPause(d *drawer) {
	at := d.from + d.between(0, (d.to-d.from)/4)
	lasts := d.between(kafka.SessionTimeout+2*time.Second, kafka.SessionTimeout+8*time.Second)
	if d.to-d.from < fullPeriod {
		lasts = d.between(2*time.Second, 6*time.Second)
	}
	target := d.one("one", "one", "all", "broker", "database")
	switch target {
	case "one":
		d.add(at, lasts, "pause", 0, d.one(stack.Services()...))
	case "all":
		d.add(at, lasts, "pause", 0, consumers...)
	case "database":
		d.add(at, lasts, "pause", 0, "database")
	case "broker":
		if d.t.nodes == 0 { // it lives in the harness: what its clients see is the same
			d.add(at, lasts, "silent", 0, stack.LinkBroker+"-1")
			return
		}
		d.add(at, lasts, "pause", 0, fmt.Sprintf("broker-%d", 1+d.r.IntN(d.t.nodes)))
	}
}

func doPause(ctx context.Context, b *breaker, i Injection) (healer, error) {
	if i.Variant == "silent" {
		return doNetwork(ctx, b, i)
	}
	var heir *part
	var errs error
	if time.Duration(i.For) > kafka.SessionTimeout && len(i.Target) == 1 && slices.Contains(consumers, i.Target[0]) {
		heir, errs = b.join(ctx, i.Target[0]+"-2")
	}
	var parts []*part
	paused := 0
	for _, name := range i.Target {
		p, err := b.part(name)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		if p.pause() {
			paused++
		}
		parts = append(parts, p)
	}
	if paused == 0 {
		errs = errors.Join(errs, errNothingToBreak)
	}
	return func(ctx context.Context) {
		for _, p := range parts {
			p.resume()
		}
		if heir != nil {
			heir.down(ctx, true)
		}
	}, errs
}

// consumers are the services that are members of a group; each has a database and outboxes. The first is not handed what
// it cannot read.
var consumers = []string{stack.OrderAPI, stack.Inventory, stack.Shipping}

// F4: a rolling restart, one service after the other, sometimes twice in a row.
func drawRolling(d *drawer) {
	at := d.from
	for range 1 + d.r.IntN(2) {
		for _, name := range stack.Services() {
			at += d.between(500*time.Millisecond, 2*time.Second)
			if at >= d.to {
				return
			}
			d.add(at, d.between(0, 500*time.Millisecond), "term", 0, name)
		}
	}
}

func doRolling(ctx context.Context, b *breaker, i Injection) (healer, error) {
	return b.downAll(ctx, i.Target, true)
}

// F5: more and fewer instances of a consumer every 0.5 to 5 s; each one that has joined and goes is two rebalances. Half of
// the time its handlers are slow, because each answer of the database takes its time, so that rebalances meet batches.
func drawChurn(d *drawer) {
	service := d.one(consumers...)
	if how := d.one("quick", "slow"); how == "slow" {
		d.add(d.from, d.to-d.from, how, 100+d.r.IntN(700), stack.LinkDatabase+"-"+service)
	}
	d.every(500*time.Millisecond, 5*time.Second, func(at time.Duration) {
		spare := fmt.Sprintf("%s-%d", service, 2+d.r.IntN(spareInstances))
		d.add(at, d.between(500*time.Millisecond, 5*time.Second), d.one("term", "term", "kill"), 0, spare)
	})
}

func doChurn(ctx context.Context, b *breaker, i Injection) (healer, error) {
	if i.Variant == "slow" {
		return doNetwork(ctx, b, Injection{Variant: "latency", N: i.N, Target: i.Target})
	}
	p, err := b.join(ctx, i.Target[0])
	if p == nil {
		return nil, err
	}
	return func(ctx context.Context) { p.down(ctx, i.Variant == "term") }, err
}

// F6: a broker ends, cleanly or killed. Of three, one by its role, one stopped in its tracks for so long that it falls out
// of the in-sync set, or two at once.
func drawBroker(d *drawer) {
	d.every(8*time.Second, 15*time.Second, func(at time.Duration) {
		if d.t.nodes < 2 {
			d.add(at, d.between(0, 5*time.Second), d.one("kill", "term"), 0, "broker-1")
			return
		}
		who := d.one(append([]string{"two"}, roles...)...)
		how := d.one("kill", "kill", "term", "pause")
		lasts := d.between(0, 5*time.Second)
		if how == "pause" {
			lasts = d.between(8*time.Second, 14*time.Second)
		}
		target := []string{who}
		if who == "two" {
			target = d.some(2, []string{"broker-1", "broker-2", "broker-3"})
		}
		d.add(at, lasts, how, 0, target...)
	})
}

func doBroker(ctx context.Context, b *breaker, i Injection) (healer, error) {
	targets := i.Target
	if slices.Contains(roles, targets[0]) {
		id, err := b.sys.role(ctx, targets[0])
		if err != nil {
			return nil, err // nobody can say: the cluster is broken enough
		}
		targets = []string{fmt.Sprintf("broker-%d", id)}
	}
	if i.Variant == "pause" {
		return doPause(ctx, b, Injection{Variant: i.Variant, Target: targets})
	}
	return b.downAll(ctx, targets, i.Variant == "term")
}

// F10: the database is killed, restarted or stopped in its tracks, or it steps down: a service, or all of them, find a
// primary that has become a secondary, and no other.
func drawDatabase(d *drawer) {
	d.every(8*time.Second, 15*time.Second, func(at time.Duration) {
		how := d.one("kill", "kill", "term", "pause", stepDown)
		lasts := d.between(0, 3*time.Second)
		switch how {
		case "pause":
			lasts = d.between(5*time.Second, min(30*time.Second, (d.to-d.from)/2+5*time.Second))
		case stepDown:
			how += "-" + d.one("closing", "keeping") // its connections
			var targets []string
			for _, service := range d.some([]int{1, len(consumers)}[d.r.IntN(2)], consumers) {
				targets = append(targets, stack.LinkDatabase+"-"+service)
			}
			d.add(at, d.between(time.Second, 12*time.Second), how, 0, targets...)
			return
		}
		d.add(at, lasts, how, 0, "database")
	})
}

// stepDown begins the names of these variants.
const stepDown = "step-down"

func doDatabase(ctx context.Context, b *breaker, i Injection) (healer, error) {
	switch {
	case strings.HasPrefix(i.Variant, stepDown):
		return doStepDown(b, i)
	case i.Variant == "pause":
		return doPause(ctx, b, i)
	default:
		return b.downAll(ctx, i.Target, i.Variant == "term")
	}
}

func doStepDown(b *breaker, i Injection) (healer, error) {
	var steppers []*stepper
	for _, name := range i.Target {
		k := b.sys.links.get(name)
		if k == nil || k.stepper == nil {
			return nil, fmt.Errorf("no database is behind a link %q", name)
		}
		steppers = append(steppers, k.stepper)
	}
	var overs []func()
	for _, s := range steppers {
		overs = append(overs, s.stepDown(i.Variant == stepDown+"-closing", demises...))
	}
	return func(context.Context) {
		for _, over := range overs {
			over()
		}
	}, nil
}
