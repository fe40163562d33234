package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
)

// unit is something that runs and can be ended.
type unit interface {
	start(ctx context.Context, env []string) error
	stop(ctx context.Context)
	kill()
	running() bool
	// pause and resume say false where that is not possible.
	pause() bool
	resume() bool
}

// controlled is what a service, a node and a database have in common; their starts differ.
type controlled interface {
	Stop(ctx context.Context)
	Kill()
	Pause()
	Resume()
	Pid() int
}

// process is a unit that is a process of its own.
type process struct {
	controlled
	startWith func(ctx context.Context, env []string) error
}

func serviceUnit(i *stack.Instance) unit {
	return process{i, func(ctx context.Context, env []string) error { return i.Start(ctx, env...) }}
}

func nodeUnit(n *stack.Node) unit {
	return process{n, func(ctx context.Context, _ []string) error { return n.Start(ctx) }}
}

func databaseUnit(d *stack.Database) unit {
	return process{d, func(ctx context.Context, _ []string) error { return d.Start(ctx) }}
}

func (p process) start(ctx context.Context, env []string) error { return p.startWith(ctx, env) }
func (p process) stop(ctx context.Context)                      { p.Stop(ctx) }
func (p process) kill()                                         { p.Kill() }
func (p process) running() bool                                 { return p.Pid() != 0 }
func (p process) pause() bool                                   { p.Pause(); return true }
func (p process) resume() bool                                  { p.Resume(); return true }

// fake is kfake, which lives in this process.
type fake struct{ *stack.Broker }

func (f fake) start(ctx context.Context, _ []string) error { return f.Start(ctx) }
func (f fake) stop(ctx context.Context)                    { f.Stop(ctx) }
func (f fake) kill()                                       { f.Kill() }
func (f fake) running() bool                               { return f.Fake() != nil }
func (f fake) pause() bool                                 { return false }
func (f fake) resume() bool                                { return false }

// part is a unit that faults take down, and that is started again whenever none does, as an orchestrator would.
// Faults overlap, so they are counted.
type part struct {
	name string
	unit unit
	wake chan struct{}

	dying sync.Mutex // held by who waits for it to die at a failpoint

	mu     sync.Mutex
	downs  int
	pauses int
	ready  bool
	env    []string           // of every start
	once   []string           // of the next start besides, and only of that: who is to die at a failpoint starts again without
	giveUp context.CancelFunc // of a start in progress
}

// restartWait is how long a part that does not start is left alone.
const restartWait = 200 * time.Millisecond

// supervise keeps the part as it should be, until ctx ends.
func (p *part) supervise(ctx context.Context, note func(string, ...any)) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := p.reconcile(ctx); err != nil && ctx.Err() == nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			note("%s does not start: %s", p.name, line)
			select {
			case <-ctx.Done():
			case <-time.After(restartWait):
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-tick.C:
		}
	}
}

func (p *part) reconcile(ctx context.Context) error {
	p.mu.Lock()
	if p.downs > 0 || p.unit.running() {
		if p.downs == 0 && !p.ready && p.pauses == 0 {
			p.ready = true
		}
		p.mu.Unlock()
		return nil
	}
	p.ready = false
	starting, cancel := context.WithCancel(ctx)
	p.giveUp = cancel
	env := slices.Concat(p.env, p.once)
	p.once = nil
	p.mu.Unlock()
	err := p.unit.start(starting, env)
	cancel()
	p.mu.Lock()
	p.giveUp = nil
	down := p.downs > 0
	p.ready = err == nil && !down
	p.mu.Unlock()
	if down {
		p.unit.kill()
		return nil
	}
	return err
}

// down takes the part down, cleanly or as a crash does, until up is called as often. It says false where the part was not
// running anyway.
func (p *part) down(ctx context.Context, clean bool) bool {
	p.mu.Lock()
	p.downs++
	first := p.downs == 1
	p.ready = false
	if p.giveUp != nil {
		p.giveUp()
	}
	p.mu.Unlock()
	ran := first && p.unit.running()
	switch {
	case first && clean:
		p.unit.stop(ctx)
	case first:
		p.unit.kill()
	}
	return ran
}

// next gives the next start an environment, whichever fault lets it start; fromNowOn gives one to all, until it is called
// again.
func (p *part) next(env ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.once = env
}

func (p *part) fromNowOn(env ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env = env
}

// up ends a down.
func (p *part) up() {
	p.mu.Lock()
	p.downs--
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// pause stops the part in its tracks until resume is called as often; false where that is not possible, or it is not there.
func (p *part) pause() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauses++
	return p.unit.running() && p.unit.pause()
}

func (p *part) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauses--
	if p.pauses == 0 {
		p.unit.resume()
	}
}

// settled tells whether the part is as it should be: down, or ready.
func (p *part) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.downs > 0 || p.ready && p.unit.running()
}

// inParallel does something to all at once, and waits.
func inParallel(parts []*part, do func(*part)) {
	var all sync.WaitGroup
	for _, p := range parts {
		all.Go(func() { do(p) })
	}
	all.Wait()
}
