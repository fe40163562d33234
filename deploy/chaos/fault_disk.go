package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// hasVolumes tells whether the parts' directories can be filled.
func hasVolumes(t terrain) bool { return t.volumes }

// F15: the disk of the database or of a broker, or of all brokers, is full but for N kilobytes, and then has room again.
// A part that has ended meanwhile is started again and again, as an orchestrator would. When there is room it is
// restarted in any case, as an operator would: SecantusDB neither ends nor ever answers again after a write that failed.
func drawDisk(d *drawer) {
	at := d.from + d.between(0, (d.to-d.from)/4)
	lasts := d.between(5*time.Second, max(5*time.Second, min(12*time.Second, (d.to-d.from)/2)))
	targets := []string{"database"}
	if d.t.nodes > 0 && d.one("database", "broker") == "broker" {
		targets = nil
		for n := range d.t.nodes {
			targets = append(targets, fmt.Sprintf("broker-%d", n+1))
		}
		if d.one("one", "every") == "one" {
			targets = d.some(1, targets)
		}
	}
	d.add(at, lasts, "full", d.r.IntN(64), targets...)
}

func doDisk(ctx context.Context, b *breaker, i Injection) (healer, error) {
	var errs error
	for _, name := range i.Target {
		errs = errors.Join(errs, b.sys.volumes.fill(name, int64(i.N)<<10))
	}
	return func(ctx context.Context) {
		for _, name := range i.Target {
			if err := b.sys.volumes.free(name); err != nil {
				b.sys.note("%s stays full: %v", name, err)
			}
		}
		up, err := b.downAll(ctx, i.Target, true)
		if up == nil {
			b.sys.note("%s: %v", i, err)
			return
		}
		up(ctx) // also what had ended by itself
	}, errs
}
