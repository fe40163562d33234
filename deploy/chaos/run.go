package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/machine"
)

// result is what a run has found.
type result struct {
	Commit      string               `json:"commit"`
	Machine     string               `json:"machine"`
	Began       time.Time            `json:"began"`
	Seed        uint64               `json:"seed"`
	Kafka       string               `json:"kafka"`
	Duration    duration             `json:"duration"`          // how long things were broken
	Rate        float64              `json:"rate"`              // of operations a second that were tried
	Faults      []string             `json:"faults"`            // that might be drawn
	Injections  int                  `json:"injections"`        // that were done
	Injected    map[string]int       `json:"injected"`          // the same by fault and variant
	NotDone     map[string]int       `json:"notDone,omitempty"` // of the plan: what was to be broken was broken already, or did not get there
	Requests    int                  `json:"requests"`
	Orders      int                  `json:"orders"`
	Events      int                  `json:"events"`
	Pushed      int                  `json:"pushed"`
	Unavailable int                  `json:"unavailableSeconds"`
	Resources   map[string]usage     `json:"resources"`       // the most that each service held
	Recovery    map[string][]float64 `json:"recoverySeconds"` // by fault and variant, of those that nothing overlapped
	DrainedIn   float64              `json:"drainedInSeconds"`
	Violations  []violation          `json:"violations"`
	Committed   int                  `json:"committedChecked"`           // times that I6 was checked while the run went on
	FoundAfter  map[string]int       `json:"foundAfterOrders,omitempty"` // by invariant, see verdict.foundAfter
	Error       string               `json:"error,omitempty"`            // why nothing could be said
	Dir         string               `json:"dir,omitempty"`              // kept
}

// bad tells whether the run shows a broken promise, or nothing.
func (r result) bad() bool { return r.Error != "" || len(r.Violations) > 0 || r.unseen() != "" }

// unseen is what a run has not looked at, although there was time: that nothing was found there means nothing.
func (r result) unseen() string {
	if r.Error == "" && r.Committed == 0 && time.Duration(r.Duration) > time.Minute {
		return "nobody looked at what groups have committed while it ran (I6): broker or database were away each time, or orderctl replay fails"
	}
	return ""
}

// run is one seed.
type run struct {
	config
	seed    uint64
	dir     string
	sys     *system
	history *history
	load    *load
	watch   []*watcher
	verdict verdict
	stage   atomic.Pointer[string]

	mu        sync.Mutex
	windows   []window
	stalls    []window // of the machine
	done      []Injection
	notDone   []Injection
	live      verdict // what was found while the run went on
	committed int     // times that offsets were held against documents
	sampler   *sampler
}

// calmFor is how long nothing is broken before the end.
func (c config) calmFor() time.Duration {
	return min(10*time.Second, max(2*time.Second, c.Duration/10))
}

// drainWithin is how long everything may take to come to rest after that.
const drainWithin = 90 * time.Second

// once runs one seed and judges it. An error means that nothing could be said.
func (c config) once(ctx context.Context, seed uint64) (result, error) {
	c.Kafka = c.kafkaOf(seed)
	res := result{
		Commit: c.commit, Machine: machine.String(), Began: time.Now().UTC(), Seed: seed, Kafka: c.Kafka,
		Duration: duration(c.Duration), Rate: c.Rate, Faults: c.Faults,
	}
	dir, err := os.MkdirTemp(c.Keep, fmt.Sprintf("chaos-%d-", seed))
	if err != nil {
		return res, err
	}
	c.label += fmt.Sprintf("seed %d on %s: ", seed, c.Kafka)
	r := &run{config: c, seed: seed, dir: dir}
	err = r.run(ctx, &res)
	if c.Keep == "" && (err == nil && !res.bad() || ctx.Err() != nil) {
		return res, errors.Join(err, os.RemoveAll(dir))
	}
	res.Dir = dir
	return res, err
}

func (r *run) run(ctx context.Context, res *result) error {
	var err error
	if r.history, err = newHistory(filepath.Join(r.dir, "history.jsonl")); err != nil {
		return err
	}
	r.now("starting")
	defer r.progress(ctx)()
	plan := r.plan()
	r.volumes = plan.has("F15")
	if r.sys, err = startSystem(ctx, r.config, filepath.Join(r.dir, "data"), r.note); err != nil {
		return errors.Join(err, r.history.close())
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		r.sys.stop(ending)
	}()
	if err := writeJSON(filepath.Join(r.dir, "plan.json"), plan); err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	defer func() {
		for _, w := range r.watch {
			w.stop()
		}
	}()
	stop := r.observe(ctx)
	defer stop()
	r.now("breaking")
	r.wreck(ctx, plan)
	r.now("calm")
	sleep(ctx, r.calmFor())
	r.load.finish(r.drain)
	if err := ctx.Err(); err != nil {
		return err
	}
	r.now("draining and checking")
	if err := r.judge(ctx, res); err != nil {
		return err
	}
	res.Violations = append([]violation{}, r.verdict.found...)
	return errors.Join(r.history.close(), writeJSON(filepath.Join(r.dir, "result.json"), res))
}

// plan draws what is broken, but for a directed run.
func (r *run) plan() Plan {
	if r.directed {
		return Plan{Seed: r.seed, Duration: duration(r.Duration), Steps: r.steps}
	}
	on := r.terrain()
	if r.asks("F15") && !on.volumes {
		r.note("F15 is left out: this process may not mount file systems")
	}
	return newPlan(r.seed, r.Duration, on)
}

// start puts in stock, connects the watchers, and lets the clients go.
func (r *run) start(ctx context.Context) error {
	var err error
	if r.load, err = newLoad(r.sys, r.history, r.seed, r.Clients, r.Rate); err != nil {
		return err
	}
	r.load.rush = r.rush
	if err := r.load.prepare(ctx); err != nil {
		return err
	}
	for name, customer := range map[string]string{"operator": "", "customer-0": "customer-0", "customer-1": "customer-1"} {
		w, err := r.sys.watch(ctx, name, customer)
		if err != nil {
			return err
		}
		r.watch = append(r.watch, w)
	}
	r.sampler = newSampler(r.sys)
	r.sampler.rest(ctx)
	r.sys.begin = time.Now()
	r.load.start(ctx)
	return nil
}

// observe watches the services' resources and the machine until the function that it gives is called.
func (r *run) observe(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { r.sampler.run(ctx) })
	all.Go(func() { r.watchCommitted(ctx) })
	all.Go(func() {
		if err := r.watchMachine(ctx); err != nil {
			r.note("the machine is not watched any more: %v", err)
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// wreck follows the plan until everything is healed. A fault that waits for an answer which never comes is given up.
func (r *run) wreck(ctx context.Context, plan Plan) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(plan.Duration)+fullPeriod+r.drain)
	defer cancel()
	b := &breaker{sys: r.sys, load: r.load, dir: r.dir, bin: r.Bin}
	begin := time.Now()
	var all sync.WaitGroup
	for _, i := range plan.Steps {
		sleep(ctx, time.Until(begin.Add(time.Duration(i.At))))
		if ctx.Err() != nil {
			break
		}
		all.Go(func() { r.inject(ctx, b, i) })
	}
	sleep(ctx, time.Until(begin.Add(time.Duration(plan.Duration))))
	all.Wait()
}

// healsWithin is how long a fault may take to heal, brokers and database to be ready after it included.
const healsWithin = startsWithin + 15*time.Second

// inject breaks, waits and heals: also what was broken when the time to break was over, since what comes then checks a
// whole system.
func (r *run) inject(ctx context.Context, b *breaker, i Injection) {
	from := r.sys.since()
	if r.Verbose {
		r.note("%6.1fs %s for %s", from.Seconds(), i, time.Duration(i.For))
	}
	heal, err := kinds[i.Fault].do(ctx, b, i)
	if err != nil {
		r.note("%s: %v", i, err)
	}
	sleep(ctx, time.Duration(i.For))
	if heal != nil {
		healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), healsWithin)
		defer cancel()
		heal(healing)
		r.sys.awaitBackends(healing)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.done = append(r.done, i)
	} else {
		r.notDone = append(r.notDone, i)
	}
	if err == nil || heal != nil {
		r.windows = append(r.windows, window{i, from, r.sys.since()})
	}
}

// judge waits for the drain, and checks all that can be checked.
func (r *run) judge(ctx context.Context, res *result) error {
	v := &r.verdict
	begin := time.Now()
	draining, cancel := context.WithTimeout(ctx, r.drain)
	defer cancel()
	if err := r.sys.allUp(draining); err != nil {
		v.say("I8", "", "after everything was healed: %v", err)
	}
	all := r.history.all
	r.mu.Lock()
	windows := append(slices.Clone(r.windows), r.stalls...)
	r.mu.Unlock()
	checkHostile(v, r.sys.probes, windows)
	checkPassages(v, r.sys.passages, windows)
	checkAnswers(v, all, windows)
	there, err := r.awaitFinal(draining)
	if err != nil {
		v.say("I8", "", "the orders cannot be read after everything was healed: %v", err)
		r.conclude(res, nil)
		return nil
	}
	var known []*placed
	for _, w := range r.load.workers {
		known = append(known, w.orders...)
	}
	known = append(known, r.sys.placed...)
	checkOrders(v, known, there)
	var accepted []string
	for _, p := range known {
		if p.id != "" {
			accepted = append(accepted, p.id)
		}
	}
	report, err := r.sys.audit(ctx, r.Bin, r.dir, accepted, min(time.Until(begin.Add(r.drain)), r.patience()))
	if err != nil {
		return err
	}
	v.add(report)
	res.DrainedIn = time.Since(begin).Seconds()
	rows, err := r.stock(ctx) // whoever is told last of an order's end moves its stock
	if err != nil {
		return err
	}
	checkStock(v, all, there, rows)
	for _, service := range consumers {
		again, err := r.sys.replay(ctx, r.Bin, r.dir, service, time.Time{})
		if err != nil {
			return err
		}
		r.mu.Lock()
		checkCommitted(&r.live, service, again)
		r.mu.Unlock()
	}
	log, err := r.sys.readLog(ctx)
	if err != nil {
		return err
	}
	whole := slices.Clone(log)
	log = slices.DeleteFunc(log, func(e record) bool { return r.sys.wrote(e.Topic, e.Partition, e.Offset) })
	checkLog(v, log)
	if err := r.sys.checkLetters(ctx, v); err != nil {
		return err
	}
	res.Pushed = r.checkWatchers(ctx, log)
	r.load.http.CloseIdleConnections()
	checkResources(v, r.sampler.before, r.sampler.after(ctx), r.sampler.peaks())
	res.Resources = r.sampler.peaks()
	res.Orders, res.Events = len(there), len(log)
	res.Recovery = r.recovery()
	r.conclude(res, whole)
	return nil
}

// conclude adds what is known whatever could be read in the end: what was found while the run went on, and who panicked.
func (r *run) conclude(res *result, log []record) {
	v := &r.verdict
	v.found = append(v.found, r.sys.found.found...)
	r.mu.Lock()
	v.found = append(v.found, r.live.found...)
	res.Committed = r.committed
	res.Injections, res.Injected, res.NotDone = len(r.done), count(r.done), count(r.notDone)
	r.mu.Unlock()
	for _, p := range r.sys.panics() {
		v.say("I10", "", "%s", p)
	}
	res.Requests, res.Unavailable = len(r.history.all), unavailable(r.history.all)
	res.FoundAfter = v.foundAfter(r.history.accepted, log)
}

// awaitFinal reads all orders until each one is in a final state, nothing moves any more, or ctx ends; what was read last
// counts.
func (r *run) awaitFinal(ctx context.Context) ([]order, error) {
	var there []order
	var err error
	moved := time.Now()
	for {
		var all []order
		if all, err = r.orders(ctx); err == nil {
			if !slices.EqualFunc(there, all, func(a, b order) bool { return a.ID == b.ID && a.Status == b.Status }) {
				moved = time.Now()
			}
			there = all
			if time.Since(moved) > r.patience() {
				return there, nil
			}
			if !slices.ContainsFunc(all, func(o order) bool { return !slices.Contains(finalStates, o.Status) }) {
				return there, nil
			}
		}
		select {
		case <-ctx.Done():
			if there == nil {
				return nil, errors.Join(ctx.Err(), err)
			}
			return there, nil
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// get reads as an operator.
func (r *run) get(ctx context.Context, path string, out any) error {
	w := r.load.workers[0]
	var e entry
	if _, err := w.exchange(ctx, &e, http.MethodGet, path, true, nil, nil, out); err != nil {
		return err
	}
	if e.Status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, e.Status, e.Code)
	}
	return nil
}

func (r *run) orders(ctx context.Context) ([]order, error) {
	var all []order
	query := url.Values{"limit": {"100"}}
	for {
		var page struct {
			Items []order `json:"items"`
			Next  string  `json:"next"`
		}
		if err := r.get(ctx, "/v1/orders?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query.Set("after", page.Next)
	}
}

func (r *run) stock(ctx context.Context) ([]stockRow, error) {
	var rows []stockRow
	for _, sku := range skus() {
		var row stockRow
		if err := r.get(ctx, "/v1/stock/"+sku, &row); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// checkWatchers gives each watcher time to be pushed the rest, and checks what it was pushed.
func (r *run) checkWatchers(ctx context.Context, log []record) int {
	total := 0
	for _, w := range r.watch {
		var v verdict
		for end := time.Now().Add(min(r.patience(), 20*time.Second)); ; {
			seen, gaps, err := w.snapshot()
			seen = slices.DeleteFunc(seen, func(p pushed) bool { return r.sys.ownOrders[p.Order] })
			v = verdict{}
			checkWatcher(&v, w.name, w.customer, log, seen)
			for _, g := range gaps {
				v.say("I7", "", "%s was told of a gap, and nothing is missing from the log: %s", w.name, g)
			}
			if err != nil {
				v.say("I7", "", "%s was refused: %v", w.name, err)
			}
			if len(v.found) == 0 || !time.Now().Before(end) || ctx.Err() != nil {
				total += len(seen)
				break
			}
			sleep(ctx, 500*time.Millisecond)
		}
		r.verdict.found = append(r.verdict.found, v.found...)
	}
	return total
}

// recovery is the time from each healing until an order that was placed after it was seen scheduled, of the faults during
// which, and between which and that moment, nothing else was broken.
func (r *run) recovery() map[string][]float64 {
	placedAt := map[string]time.Duration{}
	begun := map[int64]time.Duration{} // an operation's first try: it may be the one that the answer of a later one is about
	for _, e := range r.history.all {
		if e.Kind != "place" {
			continue
		}
		if e.Try == 1 {
			begun[e.Op] = time.Duration(e.Begin)
		}
		if e.Outcome == outcomeOK && placedAt[e.Order] == 0 {
			placedAt[e.Order] = begun[e.Op]
		}
	}
	var scheduled []pushed
	for _, w := range r.watch {
		if w.customer == "" {
			seen, _, _ := w.snapshot()
			for _, e := range seen {
				if e.Type == "shipment-scheduled" && placedAt[e.Order] > 0 {
					scheduled = append(scheduled, e)
				}
			}
		}
	}
	out := map[string][]float64{}
	for _, w := range r.windows {
		back := time.Duration(-1)
		for _, e := range scheduled { // in the order in which they came
			if placedAt[e.Order] >= w.To {
				back = e.At
				break
			}
		}
		alone := !slices.ContainsFunc(r.windows, func(o window) bool {
			return o.From < back && o.To > w.From && (o.From != w.From || o.To != w.To)
		})
		if back > 0 && alone {
			out[w.kind()] = append(out[w.kind()], (back - w.To).Seconds())
		}
	}
	return out
}

func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
