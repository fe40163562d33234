package main

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// lane is what sequences count.
type lane struct{ Topic, Source, Order string }

// pushed is one event that a watcher was pushed.
type pushed struct {
	lane
	Sequence string
	Type     string
	At       time.Duration
}

// watcher follows the notifier over a WebSocket from the first event on, as our own client does.
type watcher struct {
	name     string
	customer string // "": an operator
	cancel   context.CancelFunc
	done     chan struct{}

	mu   sync.Mutex
	seen []pushed
	gaps []string
	err  error
}

func (s *system) watch(ctx context.Context, name, customer string) (*watcher, error) {
	subject := customer
	if customer == "" {
		subject = "operator"
	}
	token, err := s.token(subject, customer == "")
	if err != nil {
		return nil, err
	}
	w := &watcher{name: name, customer: customer, done: make(chan struct{})}
	ctx, w.cancel = context.WithCancel(ctx)
	stream := &client.Stream{API: client.New(s.notifier, token), Query: url.Values{"after": {"earliest"}}}
	stream.Handle = func(e *client.Event, raw []byte) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if e.Type == "notifier.gap" {
			w.gaps = append(w.gaps, string(raw))
		}
		if !e.Own() {
			w.seen = append(w.seen, pushed{lane{e.Topic, e.Source, e.Subject}, e.Sequence, e.Type, s.since()})
		}
		return nil
	}
	go func() {
		defer close(w.done)
		err := stream.Run(ctx)
		if ctx.Err() == nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
		}
	}()
	return w, nil
}

func (w *watcher) snapshot() ([]pushed, []string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]pushed(nil), w.seen...), w.gaps, w.err
}

func (w *watcher) stop() {
	w.cancel()
	<-w.done
}
