package load

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// watcher is a watch that runs.
type watcher struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // valid once ended is closed
}

func startWatcher(ctx context.Context, watch func(context.Context) error) *watcher {
	w := &watcher{ended: make(chan struct{})}
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		defer close(w.ended)
		w.err = watch(ctx)
	}()
	return w
}

// stop ends the watch, waits for it, and gives its error; it may be called again.
func (w *watcher) stop() error {
	w.cancel()
	<-w.ended
	return w.err
}

// awaitWatcher waits until the watcher is connected, for at most Wait.
func (r *run) awaitWatcher(ctx context.Context, w *watcher) error {
	timer := time.NewTimer(r.Wait)
	defer timer.Stop()
	select {
	case <-r.ready:
		return nil
	case <-w.ended:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		r.mu.Lock()
		defer r.mu.Unlock()
		return errors.Join(fmt.Errorf("no connection within %s", r.Wait), r.lost)
	}
}

// watch sees the events of this run's orders.
func (r *run) watch(ctx context.Context) error {
	api := *r.Operator
	if r.Notifier != "" {
		api.Base = strings.TrimSuffix(r.Notifier, "/")
	}
	once := sync.OnceFunc(func() { close(r.ready) })
	ours := "load-" + r.id + "-"
	follow := client.Stream{
		API: &api, Query: url.Values{"type": {"order-created", "shipment-scheduled"}},
		Connected: func() {
			r.mu.Lock()
			r.connections++
			r.mu.Unlock()
			once()
		},
		Lost: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.lost = err
		},
		Handle: func(e *client.Event, _ []byte) error {
			now := time.Now()
			if !strings.HasPrefix(e.Customer, ours) {
				return nil
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			seen := r.order(e.Subject)
			switch e.Type {
			case "order-created":
				seen.created = now
			case "shipment-scheduled":
				seen.scheduled = now
				if !seen.answered.IsZero() {
					r.scheduled++
					r.noticeEnd()
				}
			}
			return nil
		},
	}
	return follow.Run(ctx)
}
