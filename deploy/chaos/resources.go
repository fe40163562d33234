package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/machine"
	"github.com/orderwire/orderwire/deploy/stack"
)

// usage is what a process holds.
type usage struct {
	RSS        int64 `json:"rssMB"`
	FDs        int   `json:"descriptors"`
	Goroutines int   `json:"goroutines"`
	Queued     int   `json:"queued"` // events that are stored, and not published
	// Over is the memory above what so many descriptors explain at that moment.
	Over int64 `json:"overMB,omitempty"`
}

func (u usage) most(o usage) usage {
	return usage{
		max(u.RSS, o.RSS), max(u.FDs, o.FDs), max(u.Goroutines, o.Goroutines), max(u.Queued, o.Queued), max(u.Over, o.Over),
	}
}

// The bounds of I10. At rest a process may hold more than before the load by what it keeps for the next one: a pool of 64
// connections to the database, and connections that the gateway keeps alive, each with a descriptor and two goroutines.
const (
	mostRSS        = 200 // MB, at any time, and
	perDescriptor  = 40  // kB, for each that is open: what a connection costs
	moreFDs        = 64 + 32
	moreGoroutines = 2*32 + 16
	joinWithin     = 30 * time.Second
	settleWithin   = 40 * time.Second // the gateway lets go of an idle connection after 30 s
)

// sampler watches what each instance of a service holds.
type sampler struct {
	sys  *system
	http *http.Client

	mu     sync.Mutex
	before map[string]usage // by instance
	peak   map[string]usage // by service
}

func newSampler(s *system) *sampler {
	return &sampler{
		sys: s, before: map[string]usage{}, peak: map[string]usage{},
		http: &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// rest notes what each holds before the load, once every check passes and none starts any more goroutines: a service is
// ready before it has joined its group, and has joined before it has begun with all of its partitions.
func (s *sampler) rest(ctx context.Context) {
	for end := time.Now().Add(joinWithin); ; {
		grows := false
		for _, i := range s.instances() {
			if u, err := s.sample(ctx, i); err == nil {
				a := s.askReady(ctx, i)
				grows = grows || u.Goroutines > s.before[i.Name].Goroutines || a.status != http.StatusOK || len(a.away) > 0
				s.before[i.Name] = u.most(s.before[i.Name])
			}
		}
		if !grows || !time.Now().Before(end) || ctx.Err() != nil {
			return
		}
		sleep(ctx, time.Second)
	}
}

// run samples each instance about once a second, until ctx ends.
func (s *sampler) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, i := range s.instances() {
		all.Go(func() {
			for ctx.Err() == nil {
				// A process that is killed or stopped in its tracks says nothing.
				if u, err := s.sample(ctx, i); err == nil || u.RSS > 0 {
					s.mu.Lock()
					s.peak[i.Service] = s.peak[i.Service].most(u)
					s.mu.Unlock()
				}
				sleep(ctx, time.Second)
			}
		})
	}
	all.Wait()
}

func (s *sampler) instances() []*stack.Instance {
	var all []*stack.Instance
	for _, name := range stack.Services() {
		all = append(all, s.sys.stack.Instances(name)...)
	}
	return all
}

// sample looks at one process; with an error it gives as much as it saw.
func (s *sampler) sample(ctx context.Context, i *stack.Instance) (usage, error) {
	var u usage
	pid := i.Pid()
	if pid == 0 {
		return u, os.ErrProcessDone
	}
	var err error
	if u.RSS, err = rss(pid); err != nil {
		return u, err
	}
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		return u, err
	}
	u.FDs = len(open)
	u.Over = overMB(u.RSS, u.FDs)
	u.Goroutines, u.Queued, err = s.metrics(ctx, i)
	return u, err
}

// overMB is the memory that a process with so many descriptors must not have.
func overMB(rss int64, fds int) int64 {
	return max(0, rss-mostRSS-int64(fds)*perDescriptor>>10)
}

// rss gives the resident memory of a process, in MB.
func rss(pid int) (int64, error) {
	kB, err := strconv.ParseInt(strings.TrimSuffix(machine.Value(filepath.Join("/proc", strconv.Itoa(pid), "status"), "VmRSS"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("no VmRSS, the process has ended: %w", err)
	}
	return kB >> 10, nil
}

// metrics asks the admin port. Who has no outbox has nothing queued.
func (s *sampler) metrics(ctx context.Context, i *stack.Instance) (goroutines, queued int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.AdminURL+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close() // only read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return 0, 0, err
	}
	if goroutines, err = metric(raw, "go_goroutines"); err != nil {
		return 0, 0, err
	}
	if _, publishes := outboxes[i.Service]; publishes {
		queued, err = metric(raw, "outbox_queued_entries")
	}
	return goroutines, queued, err
}

// metric gives a gauge of what Prometheus reads, with whatever labels.
func metric(text []byte, name string) (int, error) {
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if is, _, _ := strings.Cut(series, "{"); is == name {
			n, err := strconv.ParseFloat(value, 64)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// peaks gives the most that any instance of each service held.
func (s *sampler) peaks() map[string]usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.peak)
}

// after waits until each instance holds about what it held before the load, but no longer than it may, and gives what each
// holds then.
func (s *sampler) after(ctx context.Context) map[string]usage {
	for end := time.Now().Add(settleWithin); ; {
		now := map[string]usage{}
		for _, i := range s.instances() {
			if u, err := s.sample(ctx, i); err == nil {
				now[i.Name] = u
			}
		}
		var v verdict
		checkResources(&v, s.before, now, nil)
		if len(v.found) == 0 || !time.Now().Before(end) || ctx.Err() != nil {
			return now
		}
		sleep(ctx, time.Second)
	}
}

// checkResources wants the processes small while they work, and at rest as they were before (I10).
func checkResources(v *verdict, before, after, peak map[string]usage) {
	for name, was := range before {
		u, ok := after[name]
		if !ok {
			v.say("I10", "", "%s does not say what it holds at rest", name)
		}
		if u.FDs > was.FDs+moreFDs {
			v.say("I10", "", "%s has %d descriptors open at rest, and had %d before the load", name, u.FDs, was.FDs)
		}
		if u.Queued > 0 {
			v.say("I10", "", "%s still holds %d events that are not published", name, u.Queued)
		}
		if u.Goroutines > was.Goroutines+moreGoroutines {
			v.say("I10", "", "%s has %d goroutines at rest, and had %d before the load", name, u.Goroutines, was.Goroutines)
		}
	}
	for service, u := range peak {
		if u.Over > 0 {
			v.say("I10", "", "%s has grown to %d MB, %d more than it may", service, u.RSS, u.Over)
		}
	}
}

// resources prints the peaks of all runs.
func resources(out io.Writer, all []result) {
	peak := map[string]usage{}
	for _, r := range all {
		for service, u := range r.Resources {
			peak[service] = peak[service].most(u)
		}
	}
	if len(peak) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nPEAK\tRSS MB\tDESCRIPTORS\tGOROUTINES\tQUEUED EVENTS")
	for _, service := range stack.Services() {
		u := peak[service]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", service, u.RSS, u.FDs, u.Goroutines, u.Queued)
	}
	w.Flush()
}

// stall is how late the machine itself may be before an answer that says "away" is put down to it.
const stall = 500 * time.Millisecond

// watchMachine writes to the run's disk ten times a second, as the database does, until ctx ends. Whenever that takes long,
// the machine was busy with something else; those moments count as broken.
func (r *run) watchMachine(ctx context.Context) error {
	f, err := os.Create(filepath.Join(r.dir, "machine"))
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		from := r.sys.since()
		_, err := f.WriteAt([]byte("x"), 0)
		if err = errors.Join(err, f.Sync()); err != nil {
			return errors.Join(err, f.Close())
		}
		sleep(ctx, 100*time.Millisecond)
		if to := r.sys.since(); to-from > stall+100*time.Millisecond {
			r.mu.Lock()
			r.stalls = append(r.stalls, window{Injection{Fault: "machine"}, from, to})
			r.mu.Unlock()
		}
	}
	return f.Close()
}
