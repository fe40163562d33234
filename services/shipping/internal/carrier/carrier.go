// Package carrier simulates a carrier: shipments leave and arrive by themselves when they are due.
//
// The times are stored in the shipments, so they survive a restart. Any number of instances may look for what is due:
// a step is a guarded write, and whoever comes second finds it done.
package carrier

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

const (
	every   = 250 * time.Millisecond // how often it is looked for what is due
	page    = 100                    // shipments at once
	timeout = 5 * time.Second        // of the work on one page
	// maxStuck is how many shipments in a state that cannot be moved one look passes by.
	maxStuck = 1000
	// sayEvery is how often it is told that something cannot be moved: it is tried every time.
	sayEvery = 10 * time.Second
)

// shipments is what the carrier works on.
type shipments interface {
	Due(ctx context.Context, status shipment.Status, from, now time.Time, except []string, limit int) ([]shipment.Overdue, error)
	ActAll(ctx context.Context, steps map[string]shipment.Step) map[string]error
}

// Carrier acts on what is due.
type Carrier struct {
	shipments shipments
	lines     []*line
	log       *slog.Logger
}

// line is the shipments in one state, the longest overdue first, behind those that were passed by.
type line struct {
	status shipment.Status
	from   time.Time // who was due before has been passed
	passed []string  // and who was due at that time
}

// New makes a carrier that moves shipments out of these states.
func New(s shipments, states []shipment.Status, log *slog.Logger) *Carrier {
	c := &Carrier{shipments: s, log: log}
	for _, status := range states {
		c.lines = append(c.lines, &line{status: status})
	}
	return c
}

// Run looks for what is due until ctx ends. A database that is away is waited for.
func (c *Carrier) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var said time.Time
	for {
		if err := c.runOnce(ctx); err != nil && ctx.Err() == nil && time.Since(said) >= sayEvery {
			c.log.Warn("the carrier could not act", "error", err)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stuck are the shipments that could not be moved.
type stuck struct {
	n     int
	first error
}

func (s *stuck) add(err error) {
	if s.n++; s.first == nil {
		s.first = err
	}
}

func (s *stuck) err() error {
	if s.first == nil {
		return nil
	}
	return fmt.Errorf("%d due shipments cannot be moved, the first: %w", s.n, s.first)
}

// runOnce acts on all that is due.
func (c *Carrier) runOnce(ctx context.Context) error {
	var s stuck
	for _, l := range c.lines {
		if err := c.look(ctx, l, &s); err != nil {
			return err
		}
	}
	return s.err()
}

// look acts on a line, page by page. Those that cannot be moved, however many, are passed by: after maxStuck of them the
// next look goes on behind them, so that everybody gets a turn. At the end of the line the next one begins at its front.
func (c *Carrier) look(ctx context.Context, l *line, s *stuck) error {
	for most := s.n + maxStuck; ctx.Err() == nil && s.n < most; {
		n, err := c.runPage(ctx, l, s)
		if err != nil {
			return err
		}
		if n < page {
			l.from, l.passed = time.Time{}, nil
			return nil
		}
	}
	return nil
}

// runPage acts on the longest overdue shipments of a line.
func (c *Carrier) runPage(ctx context.Context, l *line, s *stuck) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	due, err := c.shipments.Due(ctx, l.status, l.from, time.Now(), l.passed, page)
	if err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	steps := make(map[string]shipment.Step, len(due))
	for _, d := range due {
		steps[d.ID] = leave(l.status)
	}
	failed := c.shipments.ActAll(ctx, steps)
	for _, d := range due {
		if err := failed[d.ID]; err != nil {
			s.add(err)
			l.pass(d)
		}
	}
	return len(due), nil
}

// pass moves on behind a shipment; they come in the order of their due times.
func (l *line) pass(d shipment.Overdue) {
	if !d.Due.Equal(l.from) {
		l.from, l.passed = d.Due, nil
	}
	l.passed = append(l.passed, d.ID)
}

// leave is the step out of a state. A shipment that somebody moved on meanwhile is left alone: its next step has a
// time of its own.
func leave(from shipment.Status) shipment.Step {
	return func(s *shipment.Shipment) ([]events.Type, error) {
		switch {
		case s.Status != from:
			return nil, nil
		case from == shipment.Scheduled:
			return s.Dispatch("")
		default:
			return s.Deliver()
		}
	}
}
