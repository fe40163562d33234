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
	// maxStuck is how many shipments that cannot be moved one look passes by.
	maxStuck = 1000
	// sayEvery is how often it is told that something cannot be moved: it is tried every time.
	sayEvery = 10 * time.Second
)

// shipments is what the carrier works on.
type shipments interface {
	Due(ctx context.Context, now time.Time, except []string, limit int) ([]*shipment.Shipment, error)
	ActAll(ctx context.Context, steps map[string]shipment.Step) map[string]error
}

// Carrier acts on what is due.
type Carrier struct {
	shipments shipments
	log       *slog.Logger
}

// New makes a carrier.
func New(s shipments, log *slog.Logger) *Carrier { return &Carrier{shipments: s, log: log} }

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
	ids   []string
	first error
}

func (s *stuck) add(id string, err error) {
	if s.first == nil {
		s.first = err
	}
	s.ids = append(s.ids, id)
}

func (s *stuck) err() error {
	if s.first == nil {
		return nil
	}
	return fmt.Errorf("%d due shipments cannot be moved, the first: %w", len(s.ids), s.first)
}

// runOnce acts on all that is due, page by page, until there is no more. Those that cannot be moved, however many fill a
// page, are passed by: the next look tries them again.
func (c *Carrier) runOnce(ctx context.Context) error {
	var s stuck
	for ctx.Err() == nil && len(s.ids) < maxStuck {
		n, err := c.runPage(ctx, &s)
		if err != nil {
			return err
		}
		if n < page {
			break
		}
	}
	return s.err()
}

// runPage acts on the longest overdue shipments but those that are stuck.
func (c *Carrier) runPage(ctx context.Context, s *stuck) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	due, err := c.shipments.Due(ctx, time.Now(), s.ids, page)
	if err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	steps := make(map[string]shipment.Step, len(due))
	for _, d := range due {
		steps[d.ID] = leave(d.Status)
	}
	failed := c.shipments.ActAll(ctx, steps)
	for _, d := range due {
		if err := failed[d.ID]; err != nil {
			s.add(d.ID, err)
		}
	}
	return len(due), nil
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
