package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/machine"
	"github.com/orderwire/orderwire/deploy/stack"
)

// outage is one part that is absent for a minute under load, and what must be true of the rest meanwhile.
type outage struct {
	injection Injection
	taken     bool     // orders are taken all the while
	ready     []string // services that are ready all the while; the others say that they are not
}

// outages by their names on the command line.
var outages = map[string]outage{
	"broker": {
		Injection{Fault: "F6", Variant: "kill"}, true, []string{stack.OrderAPI},
	},
	"database": {
		Injection{Fault: "F10", Variant: "kill", Target: []string{"database"}}, false, []string{stack.Notifier},
	},
	"broker-silent": {
		Injection{Fault: "F3", Variant: "silent"}, true, []string{stack.OrderAPI},
	},
	"database-paused": {
		Injection{Fault: "F3", Variant: "pause", Target: []string{"database"}}, false, []string{stack.Notifier},
	},
	"inventory-database": {
		Injection{Fault: "F7", Variant: "cut", Target: []string{stack.LinkDatabase + "-" + stack.Inventory}},
		true,
		[]string{stack.OrderAPI, stack.Shipping, stack.Notifier},
	},
}

// What an outage must keep to.
const (
	outageWarmUp  = 20 * time.Second // of load before it
	outageLasts   = time.Minute
	readyGrace    = 5 * time.Second // until readiness must show it
	mostGrowth    = 50              // MB, of each service
	latestRefusal = 2 * time.Second
	latestDrain   = 30 * time.Second
)

// attempt is one order that was tried.
type attempt struct {
	at, took   time.Duration
	status     int // 0: no answer
	retryAfter bool
}

// readyAnswer is what a service says of itself.
type readyAnswer struct {
	at     time.Duration
	status int
	away   []string
}

// outageRun is one outage being measured.
type outageRun struct {
	run
	kind     outage
	name     string
	out      io.Writer
	wait     sync.WaitGroup
	stopping chan struct{}

	mu                                        sync.Mutex
	attempts                                  []attempt
	accepted                                  []string
	ready                                     map[string][]readyAnswer
	rss                                       map[string][]sampleAt
	absent, healed, firstTaken, drained, ends time.Duration // ends: of placing
	backlog                                   int
	cpu                                       time.Duration // of services and database, from healing until drained
}

type sampleAt struct {
	at time.Duration
	mb int64
}

// outage takes a part away under load, measures, gives it back, measures how the backlog goes, and prints a table.
func (c config) outage(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp(c.Keep, "chaos-outage-")
	if err != nil {
		return err
	}
	o := &outageRun{
		run: run{config: c, seed: c.Seed, dir: dir}, kind: outages[c.Outage], name: c.Outage, out: out, stopping: make(chan struct{}),
		ready: map[string][]readyAnswer{}, rss: map[string][]sampleAt{},
	}
	if err := o.measure(ctx); err != nil {
		return fmt.Errorf("%w; kept in %s", err, dir)
	}
	o.print()
	if len(o.verdict.found) > 0 {
		return errViolated
	}
	if c.Keep == "" {
		return os.RemoveAll(dir)
	}
	return nil
}

func (o *outageRun) measure(ctx context.Context) error {
	var err error
	if o.history, err = newHistory(filepath.Join(o.dir, "history.jsonl")); err != nil {
		return err
	}
	defer o.history.close()
	// What is measured ends with the shipment; thousands of parcels would only keep the database busy.
	o.environ = append(o.environ, "CARRIER_DISPATCH_AFTER=off", "CARRIER_DELIVER_AFTER=off")
	if o.sys, err = startSystem(ctx, o.config, filepath.Join(o.dir, "data"), o.note); err != nil {
		return err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		o.sys.stop(ending)
	}()
	if o.load, err = newLoad(o.sys, o.history, o.seed, o.Clients, o.Rate); err != nil {
		return err
	}
	if err := o.load.prepare(ctx); err != nil {
		return err
	}
	o.sys.begin = time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	o.sampler = newSampler(o.sys)
	for _, name := range stack.Services() {
		i := o.sys.stack.Instances(name)[0]
		o.wait.Go(func() { o.look(watching, i) })
	}
	var placers sync.WaitGroup
	for _, w := range o.load.workers {
		placers.Go(func() { o.place(ctx, w) })
	}
	sleep(ctx, outageWarmUp)
	err = o.breakAndHeal(ctx)
	close(o.stopping)
	placers.Wait()
	o.ends = o.sys.since()
	if err == nil {
		err = o.drain(ctx)
	}
	sleep(ctx, time.Second) // the last look at readiness
	stop()
	o.wait.Wait()
	if err != nil {
		return err
	}
	o.judge()
	return o.audited(ctx)
}

// breakAndHeal takes the part away for its time, and then waits for the first order that is taken.
func (o *outageRun) breakAndHeal(ctx context.Context) error {
	i := o.kind.injection
	if len(i.Target) == 0 {
		i.Target = o.sys.brokers()
	}
	o.absent = o.sys.since()
	heal, err := kinds[i.Fault].do(ctx, &breaker{sys: o.sys, dir: o.dir, bin: o.Bin}, i)
	if err != nil {
		return err
	}
	sleep(ctx, outageLasts)
	o.backlog = o.count(o.absent, 0, taken)
	heal(ctx)
	o.healed = o.sys.since()
	o.cpu = -o.cpuTime()
	for o.count(o.healed, 0, taken) == 0 && o.sys.since() < o.healed+latestDrain {
		sleep(ctx, 10*time.Millisecond)
	}
	o.firstTaken = o.sys.since() - o.healed
	return ctx.Err()
}

// drain waits until inventory has answered for every order.
func (o *outageRun) drain(ctx context.Context) error {
	for {
		var page struct {
			Items []order `json:"items"`
		}
		err := o.get(ctx, "/v1/orders?status=pending&limit=1", &page)
		o.drained = o.sys.since() - o.healed
		if err == nil && len(page.Items) == 0 || o.drained > 4*latestDrain || ctx.Err() != nil {
			o.cpu += o.cpuTime()
			return err
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// audited waits for the rest to come to rest, and audits.
func (o *outageRun) audited(ctx context.Context) error {
	report, err := o.sys.audit(ctx, o.Bin, o.dir, o.accepted, drainWithin)
	if err != nil {
		return err
	}
	for _, i := range report.Invariants {
		if !i.Holds {
			o.verdict.say(i.ID, "", "audit: %d violations", i.Total)
		}
	}
	return nil
}

// place places orders at the client's pace until the end; it does not try any of them again.
func (o *outageRun) place(ctx context.Context, w *worker) {
	for {
		select {
		case <-o.stopping:
			return
		case <-ctx.Done():
			return
		case <-time.After(o.load.pause/2 + w.jitter(o.load.pause)):
		}
		body := newOrder{Items: []item{{"plenty-0", 1}}, ShippingAddress: address{w.customer(), "1 Long Lane", "Dublin", "D02 X285", "IE"}, Note: w.key()}
		var e entry
		var answer order
		a := attempt{at: o.sys.since()}
		_, err := w.exchange(ctx, &e, http.MethodPost, "/v1/orders", false, nil, body, &answer)
		a.took = o.sys.since() - a.at
		if err == nil {
			a.status, a.retryAfter = e.Status, e.RetryAfter
		}
		o.mu.Lock()
		o.attempts = append(o.attempts, a)
		if a.status == http.StatusCreated {
			o.accepted = append(o.accepted, answer.ID)
		}
		o.mu.Unlock()
	}
}

// look notes twice a second what a service weighs, and whether it says that it is ready.
func (o *outageRun) look(ctx context.Context, i *stack.Instance) {
	for ctx.Err() == nil {
		at := o.sys.since()
		mb, err := rss(i.Pid())
		answer := o.sampler.askReady(ctx, i)
		o.mu.Lock()
		if err == nil {
			o.rss[i.Service] = append(o.rss[i.Service], sampleAt{at, mb})
		}
		if ctx.Err() == nil {
			answer.at = at
			o.ready[i.Service] = append(o.ready[i.Service], answer)
		}
		o.mu.Unlock()
		sleep(ctx, 500*time.Millisecond)
	}
}

// askReady asks an instance's /readyz; a zero answer says that there was none.
func (s *sampler) askReady(ctx context.Context, i *stack.Instance) readyAnswer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.AdminURL+"/readyz", nil)
	if err != nil {
		return readyAnswer{}
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return readyAnswer{}
	}
	defer resp.Body.Close() // only read
	var says struct {
		Checks []struct {
			Name string `json:"name"`
			OK   bool   `json:"ok"`
		} `json:"checks"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&says); err != nil {
		return readyAnswer{}
	}
	a := readyAnswer{status: resp.StatusCode}
	for _, c := range says.Checks {
		if !c.OK {
			a.away = append(a.away, c.Name)
		}
	}
	return a
}

// count counts attempts that began at from or later, and before to, if there is one.
func (o *outageRun) count(from, to time.Duration, which func(attempt) bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, a := range o.attempts {
		if a.at >= from && (to == 0 || a.at < to) && which(a) {
			n++
		}
	}
	return n
}

// cpuTime is what the services and the database have used so far. On a busy machine it says more than the clock does.
func (o *outageRun) cpuTime() time.Duration {
	pids := []int{o.sys.stack.Database.Pid()}
	for _, i := range o.sampler.instances() {
		pids = append(pids, i.Pid())
	}
	var all time.Duration
	for _, pid := range pids {
		used, _ := machine.CPUTime(pid) // 0 where it is not known
		all += used
	}
	return all
}

func taken(a attempt) bool { return a.status == http.StatusCreated }

// judge compares what was measured with what an outage must keep to.
func (o *outageRun) judge() {
	v := &o.verdict
	for _, a := range o.attempts {
		switch a.status {
		case http.StatusCreated:
		case http.StatusServiceUnavailable:
			if a.at < o.absent-patience || a.at > o.healed+readyGrace {
				v.say("I11", "", "503 at %s with nothing away", a.at)
			}
			if !a.retryAfter || a.took > latestRefusal {
				v.say("I11", "", "503 at %s came after %s, with Retry-After: %t", a.at, a.took, a.retryAfter)
			}
			if o.kind.taken {
				v.say("I11", "", "503 at %s, and orders are taken without the %s", a.at, o.name)
			}
		default:
			v.say("I11", "", "an order was answered %d at %s, after %s", a.status, a.at, a.took)
		}
	}
	for _, service := range stack.Services() {
		before, peak := o.weight(service)
		if peak-before >= mostGrowth {
			v.say("I10", "", "%s grew by %d MB", service, peak-before)
		}
		want := http.StatusServiceUnavailable
		if slices.Contains(o.kind.ready, service) {
			want = http.StatusOK
		}
		if said := o.said(service, o.absent+readyGrace, o.healed); !slices.Equal(said, []int{want}) {
			v.say("I8", "", "%s said %v of its readiness without the %s; want %d", service, said, o.name, want)
		}
		if last := o.ready[service][len(o.ready[service])-1]; last.status != http.StatusOK {
			v.say("I8", "", "%s is not ready in the end: %v", service, last.away)
		}
	}
	if o.drained > latestDrain {
		v.say("I8", "", "the backlog of %d orders took %s", o.backlog, o.drained)
	}
}

// weight is what a service weighed at most before the outage, and at most from then on.
func (o *outageRun) weight(service string) (before, peak int64) {
	for _, s := range o.rss[service] {
		if s.at < o.absent {
			before = max(before, s.mb)
		} else {
			peak = max(peak, s.mb)
		}
	}
	return before, peak
}

// said gives the different answers of a service to /readyz in a time.
func (o *outageRun) said(service string, from, to time.Duration) []int {
	all := map[int]bool{}
	for _, a := range o.ready[service] {
		if a.at >= from && a.at < to && a.status != 0 {
			all[a.status] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// shown is how long a service took to show the outage, in its status or in what it says is away.
func (o *outageRun) shown(service string) string {
	for _, a := range o.ready[service] {
		if a.at >= o.absent && a.at < o.healed && len(a.away) > 0 {
			return fmt.Sprintf("%d, %s away, after %.1f s", a.status, strings.Join(a.away, " and "), (a.at - o.absent).Seconds())
		}
	}
	return "200, nothing away"
}

func (o *outageRun) print() {
	w := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(o.out, "%s absent for %s, on %s, %g orders a second tried (%s)\n\n", o.name, outageLasts, o.Kafka, o.Rate, machine.String())
	fmt.Fprintln(w, "POST /v1/orders\tTRIED\t201\t503\tOTHER\tSLOWEST 201\tSLOWEST 503")
	for _, phase := range []struct {
		name     string
		from, to time.Duration
	}{{"before", 0, o.absent}, {"absent", o.absent, o.healed}, {"healed", o.healed, o.ends + patience}} {
		refused := func(a attempt) bool { return a.status == http.StatusServiceUnavailable }
		all := o.count(phase.from, phase.to, func(attempt) bool { return true })
		ok, no := o.count(phase.from, phase.to, taken), o.count(phase.from, phase.to, refused)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", phase.name, all, ok, no, all-ok-no,
			o.slowest(phase.from, phase.to, taken), o.slowest(phase.from, phase.to, refused))
	}
	fmt.Fprintln(w, "\nSERVICE\tRSS MB BEFORE\tMOST\tGROWN\t/readyz MEANWHILE")
	for _, service := range stack.Services() {
		before, peak := o.weight(service)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", service, before, peak, peak-before, o.shown(service))
	}
	w.Flush()
	fmt.Fprintf(o.out, "\nhealed: an order is taken after %.1f s; the backlog of %d orders has drained after %.1f s, with %.1f s of CPU\n",
		o.firstTaken.Seconds(), o.backlog, o.drained.Seconds(), o.cpu.Seconds())
	fmt.Fprintf(o.out, "%d orders accepted, %d violations\n", len(o.accepted), len(o.verdict.found))
	for n, f := range o.verdict.found {
		if n == 20 {
			fmt.Fprintf(o.out, "  and %d more\n", len(o.verdict.found)-n)
			break
		}
		fmt.Fprintf(o.out, "  %s %s\n", f.Invariant, f.Detail)
	}
}

func (o *outageRun) slowest(from, to time.Duration, which func(attempt) bool) time.Duration {
	var most time.Duration
	for _, a := range o.attempts {
		if a.at >= from && a.at < to && which(a) {
			most = max(most, a.took)
		}
	}
	return most.Round(time.Millisecond)
}
