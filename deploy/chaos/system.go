package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/orderwire/orderwire/deploy/stack"
)

// The links that clients use; those between the parts are named by package stack.
const (
	linkAPI      = "client-api"
	linkNotifier = "client-notifier"
)

// spareInstances are how many more of each service a rebalance churn may start.
const spareInstances = 2

// system is what is being broken.
type system struct {
	stack    *stack.Stack
	links    *links
	volumes  volumes
	api      string // base URL, through its link
	notifier string // base URL, through its link
	begin    time.Time
	note     func(format string, args ...any)

	ownMu      sync.Mutex
	ownRecords map[coordinates]bool
	ownOrders  map[string]bool // that were never placed, and of which the log speaks
	poison     []grave
	described  string    // the file that says where everything is
	found      verdict   // what faults have seen themselves
	probes     []probe   // what became of hostile requests
	placed     []*placed // by faults, not by the load
	passages   []passage // of orders beside what cannot be published

	parts    map[string]*part
	ctx      context.Context //nolint:containedctx // the life of the supervisors, which outlive the call that makes them
	cancel   context.CancelFunc
	watchers sync.WaitGroup
}

// startSystem starts everything with a proxy in each link; dir keeps data and logs.
func startSystem(ctx context.Context, c config, dir string, note func(string, ...any)) (*system, error) {
	s := &system{links: newLinks(note), parts: map[string]*part{}, ownRecords: map[coordinates]bool{}, ownOrders: map[string]bool{}, note: note}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "KAFKA_BROKERS=") || strings.HasPrefix(kv, "MONGODB_URI=") || strings.HasPrefix(kv, "ORDERWIRE_")
	})
	env = append(env, "CARRIER_DISPATCH_AFTER=3s", "CARRIER_DELIVER_AFTER=6s", "RATE_LIMIT=0", "LOG_LEVEL=info", "MAX_CONNECTIONS=12000")
	env = append(env, c.environ...)
	var err error
	start := stack.Config{
		Environ: env, BinDir: c.Bin, DataDir: dir, FreePorts: true, Kafka: c.Kafka, Build: true, Say: note, Link: s.links.add,
	}
	if c.volumes {
		start.Volume = s.volumes.mount
	}
	s.stack, err = stack.Start(ctx, start)
	if err != nil {
		s.links.close()
		return nil, errors.Join(err, s.volumes.close())
	}
	for name, base := range map[string]*string{linkAPI: &s.api, linkNotifier: &s.notifier} {
		addr, err := s.links.add(name, strings.TrimPrefix(s.stack.GatewayURL, "http://"))
		if err != nil {
			s.stack.Kill()
			return nil, errors.Join(err, s.volumes.close())
		}
		*base = "http://" + addr
	}
	s.begin = time.Now()
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.watchers.Go(s.swallowEnds)
	for _, name := range stack.Services() {
		s.add(name, serviceUnit(s.stack.Instances(name)[0]), true)
		for n := range spareInstances {
			// As a member that the group does not know: under an id of its own it would be taken for the one that went.
			i, err := s.stack.Prepare(name, "KAFKA_GROUP_INSTANCE_ID=")
			if err != nil {
				s.kill()
				return nil, err
			}
			s.add(fmt.Sprintf("%s-%d", name, n+2), serviceUnit(i), false)
		}
	}
	if c.oldBin != "" {
		if err := s.addOld(c.oldBin); err != nil {
			s.kill()
			return nil, err
		}
	}
	s.add("database", databaseUnit(s.stack.Database), true)
	if s.stack.Broker.Kind == stack.KafkaFake {
		s.add("broker-1", fake{s.stack.Broker}, true)
	}
	for _, n := range s.stack.Broker.Nodes() {
		s.add(fmt.Sprintf("broker-%d", n.ID), nodeUnit(n), true)
	}
	return s, nil
}

// swallowEnds hears of processes that end by themselves; their supervisors have noticed.
func (s *system) swallowEnds() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case err := <-s.stack.Failed():
			line, _, _ := strings.Cut(err.Error(), "\n")
			s.note("ended by itself: %s", line)
		}
	}
}

func (s *system) add(name string, u unit, up bool) {
	p := &part{name: name, unit: u, wake: make(chan struct{}, 1)}
	if !up {
		p.downs = 1
	}
	s.parts[name] = p
	s.watchers.Go(func() { p.supervise(s.ctx, s.note) })
}

// brokers names their parts; so are their links.
func (s *system) brokers() []string {
	var all []string
	for name := range s.parts {
		if strings.HasPrefix(name, stack.LinkBroker+"-") {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// say notes what a fault has seen itself.
func (s *system) say(invariant, detail string) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	s.found.say(invariant, "", "%s", detail)
}

// since is the time of the run's clock.
func (s *system) since() time.Duration { return time.Since(s.begin) }

// stop ends the supervisors and then everything.
func (s *system) stop(ctx context.Context) {
	s.cancel()
	s.watchers.Wait()
	s.stack.Stop(ctx)
	s.release()
}

func (s *system) kill() {
	s.cancel()
	s.watchers.Wait()
	s.stack.Kill()
	s.release()
}

// release gives back what stood between the parts and below them.
func (s *system) release() {
	s.links.close()
	if err := s.volumes.close(); err != nil {
		s.note("a volume stays behind: %v", err)
	}
}

// token signs what an identity provider would.
func (s *system) token(customer string, operator bool) (string, error) {
	issuer, audience := s.stack.TokenNames()
	roles := []string{}
	if operator {
		roles = append(roles, "operator")
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": customer, "roles": roles, "iss": issuer, "aud": audience, "exp": time.Now().Add(4 * time.Hour).Unix(),
	}).SignedString([]byte(s.stack.Secret()))
}

// describe writes the file that `orderctl audit --stack` reads.
func (s *system) describe(dir string) (string, error) {
	databases := map[string]string{}
	for _, name := range stack.Services() {
		if db := s.stack.DatabaseName(name); db != "" {
			databases[name] = db
		}
	}
	raw, err := json.Marshal(map[string]any{
		"gateway": s.stack.GatewayURL,
		"kafka":   map[string]any{"kind": s.stack.Broker.Kind, "brokers": s.stack.Broker.Brokers},
		"mongodb": map[string]any{"kind": s.stack.Database.Kind, "uri": s.stack.Database.URI, "databases": databases},
		"dir":     s.stack.Dir,
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stack.json")
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	if s.described == path { // it says the same all the time, and somebody may be reading it
		return path, nil
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		return "", err
	}
	s.described = path
	return path, nil
}

// panics finds what Go prints when a service panics, and what its race detector prints.
func (s *system) panics() []string {
	var found []string
	files, err := filepath.Glob(filepath.Join(s.stack.Dir, "logs", "*.log"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		for line := range strings.SplitSeq(string(raw), "\n") {
			if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.Contains(line, "DATA RACE") {
				found = append(found, filepath.Base(file)+": "+line)
			}
		}
	}
	return found
}

// allUp waits until every part that should run is ready.
func (s *system) allUp(ctx context.Context) error {
	for {
		var missing []string
		for name, p := range s.parts {
			if !p.settled() {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			slices.Sort(missing)
			return errors.Join(ctx.Err(), fmt.Errorf("not ready: %s", strings.Join(missing, ", ")))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// startsWithin is how long a broker or the database may take to start.
const startsWithin = time.Minute

// awaitBackends waits until brokers and database are ready again: a fault lasts until then. On a busy machine a broker
// takes many seconds to start, and whoever needs it is away for as long. How long a service takes is not waited for.
func (s *system) awaitBackends(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	isUp := func() bool {
		for name, p := range s.parts {
			if (name == "database" || strings.HasPrefix(name, "broker-")) && !p.settled() {
				return false
			}
		}
		return true
	}
	for ctx.Err() == nil && !isUp() {
		sleep(ctx, 20*time.Millisecond)
	}
}
