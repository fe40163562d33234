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
)

// shipments is what the carrier works on.
type shipments interface {
	Due(ctx context.Context, now time.Time, limit int) ([]*shipment.Shipment, error)
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
	for {
		if err := c.runOnce(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("the carrier could not act", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// runOnce acts on all that is due, page by page, until there is no more or a page has failed.
func (c *Carrier) runOnce(ctx context.Context) error {
	for {
		n, err := c.runPage(ctx)
		if err != nil || n < page {
			return err
		}
	}
}

// runPage acts on the longest overdue shipments. One that cannot be moved does not keep the others.
func (c *Carrier) runPage(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	due, err := c.shipments.Due(ctx, time.Now(), page)
	if err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	steps := make(map[string]shipment.Step, len(due))
	for _, s := range due {
		steps[s.ID] = leave(s.Status)
	}
	failed := c.shipments.ActAll(ctx, steps)
	for _, err := range failed { // one of them: most often all fail for one reason
		return len(due), fmt.Errorf("act on what is due: %d of %d failed: %w", len(failed), len(due), err)
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
