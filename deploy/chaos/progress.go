package main

import (
	"context"
	"time"
)

// progressEvery is how often a run says how far it is.
const progressEvery = 20 * time.Second

// progress says how far the run is until the function that it gives is called.
func (r *run) progress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(done)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				r.note("%s: %s, %d orders accepted", time.Since(begin).Round(time.Second), *r.stage.Load(), r.history.count())
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// now names what the run is doing.
func (r *run) now(stage string) { r.stage.Store(&stage) }
