// Package load places orders as fast as asked for, follows each one to its carrier, and measures.
//
// In a closed loop each client places its next order when the last one is answered. In an open loop orders are due at
// a rate, whatever the answers do, and each one is measured from the moment when it was due, so that a stall shows in
// full. Watcher and clients live in one process, so all times are of one clock.
//
// No answer and an answer of 5xx say nothing about an order: it is asked for again with the same Idempotency-Key until
// that is known, for as long as Config.Patience. What is still unknown then is counted as such, neither as accepted nor as
// refused.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// Config says what to place.
type Config struct {
	// Operator puts in products and stock, makes the customers' tokens, and watches.
	Operator *client.Client
	// Clients: so many in a closed loop; in an open loop at most so many requests at once.
	Clients int
	// Rate of an open loop, in orders a second; 0: a closed loop.
	Rate float64
	// Orders and Duration end the placing, whichever comes first; 0: no bound.
	Orders   int
	Duration time.Duration
	// Items an order, 1 to 100.
	Items int
	// Wait is how long to wait for the watcher's connection, and for the last events.
	Wait time.Duration
	// Patience is for how long a request without a clear answer is made again; 0 is 30 s.
	Patience time.Duration
	// Say tells of progress every few seconds; may be nil.
	Say func(format string, args ...any)
	// Before is called when all is prepared and nothing is placed yet, Placed when the last order is answered and its
	// events are waited for; may be nil.
	Before, Placed func(context.Context) error
	// OrderAPI and Notifier are base URLs to use instead of Operator's; may be empty.
	OrderAPI, Notifier string
}

// ErrConfig says that a Config cannot be run.
var ErrConfig = errors.New("a load needs a number of orders or a duration, at least one client, and 1 to 100 items an order")

// Check gives ErrConfig for what cannot be run.
func (c *Config) Check() error {
	if c.Orders <= 0 && c.Duration <= 0 || c.Clients < 1 || c.Rate < 0 || c.Items < 1 || c.Items > 100 {
		return ErrConfig
	}
	return nil
}

// Result is what was measured; times are milliseconds.
type Result struct {
	Accepted    int            `json:"accepted"`
	Refused     map[string]int `json:"refused"` // by code
	Unknown     map[string]int `json:"unknown"` // by the last answer: whether they are placed was never said
	Retries     int            `json:"retries"` // requests that were made again, because the one before said nothing
	Seconds     float64        `json:"seconds"`
	PerSecond   float64        `json:"acceptedPerSecond"`
	Through     float64        `json:"scheduledPerSecond"` // from the first request to the last shipment-scheduled
	Answer      Percentiles    `json:"answer"`
	Created     Percentiles    `json:"orderCreated"`
	Scheduled   Percentiles    `json:"shipmentScheduled"`
	Unseen      int            `json:"unseen"` // accepted, and not seen scheduled in time
	Connections int            `json:"watcherConnections"`
	// UnseenIDs are some of the unseen orders.
	UnseenIDs []string `json:"-"`
}

const (
	// customers share the orders, as customers do.
	customers = 16
	// maxUnseenIDs is how many a result names.
	maxUnseenIDs    = 5
	defaultPatience = 30 * time.Second
	// sayEvery is how often a load says how far it is.
	sayEvery = 5 * time.Second
	// tidyTimeout is how long putting things back may take.
	tidyTimeout = 10 * time.Second
)

// Run places the orders and waits for their events. Refused and unseen orders are in the result, not in the error,
// which says that nothing could be measured.
func Run(ctx context.Context, c Config) (Result, error) {
	if err := c.Check(); err != nil {
		return Result{}, err
	}
	r := &run{
		Config: c, id: uuid.NewString()[:8], orders: map[string]*timing{}, refused: map[string]int{}, unknown: map[string]int{},
		ready: make(chan struct{}), complete: make(chan struct{}),
	}
	if r.Say == nil {
		r.Say = func(string, ...any) {}
	}
	if r.Patience == 0 {
		r.Patience = defaultPatience
	}
	defer r.tidy(context.WithoutCancel(ctx))
	if err := r.stock(ctx); err != nil {
		return Result{}, err
	}
	for n := range customers {
		answer, err := c.Operator.Login(ctx, r.customer(n), false)
		if err != nil {
			return Result{}, fmt.Errorf("a token for customer %s: %w", r.customer(n), err)
		}
		api := c.Operator.As(answer.Token)
		if c.OrderAPI != "" {
			api.Base = strings.TrimSuffix(c.OrderAPI, "/")
		}
		r.customers = append(r.customers, api)
	}

	w := startWatcher(ctx, r.watch)
	defer w.stop() //nolint:errcheck // its error is told below, or is not the first one
	if err := r.awaitWatcher(ctx, w); err != nil {
		return Result{}, fmt.Errorf("watch: %w", err)
	}
	if err := call(ctx, c.Before); err != nil {
		return Result{}, err
	}
	begin := time.Now()
	saying := r.startSaying()
	r.place(ctx)
	took := time.Since(begin)
	placed := call(ctx, c.Placed)
	r.awaitEvents(ctx, w)
	saying()
	if err := w.stop(); err != nil && !errors.Is(err, context.Canceled) {
		return Result{}, fmt.Errorf("watch: %w", err)
	}
	if err := errors.Join(placed, ctx.Err()); err != nil {
		return Result{}, err
	}
	return r.result(begin, took), nil
}

func call(ctx context.Context, hook func(context.Context) error) error {
	if hook == nil {
		return nil
	}
	return hook(ctx)
}

// run is the state of one load.
type run struct {
	Config
	id        string
	customers []*client.Client
	ready     chan struct{} // closed when the watcher is connected
	complete  chan struct{} // closed when all is placed, and every accepted order was seen scheduled

	mu          sync.Mutex
	orders      map[string]*timing // by id; an event may come before the answer
	refused     map[string]int
	unknown     map[string]int
	retries     int
	connections int
	lost        error // why the watcher's last connection is gone
	scheduled   int
	accepted    int
	placed      bool
}

// timing is what was seen of one order.
type timing struct{ due, answered, created, scheduled time.Time }

func (r *run) customer(n int) string { return fmt.Sprintf("load-%s-%d", r.id, n) }

func (r *run) sku(n int) string { return fmt.Sprintf("load-%d", n) }

// lent is how many of each product a load puts into the stock, and takes away again as far as it did not order them.
const lent = 1_000_000

// stock makes sure that products are there and last.
func (r *run) stock(ctx context.Context) error {
	for n := range r.Items {
		product := "/v1/products/" + r.sku(n)
		body := map[string]any{"name": "Load test", "unitPrice": map[string]any{"amount": 100, "currency": "EUR"}}
		if err := r.known(ctx, r.Operator, http.MethodPut, product, "", body, nil); err != nil {
			return fmt.Errorf("product %s: %w", r.sku(n), err)
		}
		if err := r.adjust(ctx, n, lent, r.id); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) adjust(ctx context.Context, n, quantity int, key string) error {
	path := "/v1/stock/" + r.sku(n) + "/adjustments"
	body := map[string]any{"quantity": quantity, "reason": "load test " + r.id}
	if err := r.known(ctx, r.Operator, http.MethodPost, path, key, body, nil); err != nil {
		return fmt.Errorf("stock of %s: %w", r.sku(n), err)
	}
	return nil
}

// tidy takes the products off the price list, so that no shop shows them. It takes what was not ordered out of the
// stock if the end of all orders is known: then nothing waits for it.
func (r *run) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	r.mu.Lock()
	left, isKnown := lent-r.accepted, len(r.unknown) == 0 && r.scheduled == r.accepted
	r.mu.Unlock()
	for n := range r.Items {
		var refused *client.Problem
		err := r.known(ctx, r.Operator, http.MethodDelete, "/v1/products/"+r.sku(n), "", nil, nil)
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			continue // nothing was put in
		}
		if err == nil && isKnown && left > 0 {
			err = r.adjust(ctx, n, -left, r.id+"-end")
		}
		if err != nil {
			r.Say("product %s is left behind: %v", r.sku(n), err)
		}
	}
}

// startSaying tells every few seconds how far it is, until the function that it gives is called.
func (r *run) startSaying() (stop func()) {
	done := make(chan struct{})
	var saying sync.WaitGroup
	saying.Go(func() {
		ticker := time.NewTicker(sayEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				r.mu.Lock()
				accepted, scheduled, retries := r.accepted, r.scheduled, r.retries
				r.mu.Unlock()
				r.Say("%d orders accepted, %d of them scheduled, %d requests made again", accepted, scheduled, retries)
			}
		}
	})
	return func() { close(done); saying.Wait() }
}

// order gives the timing of an order; the caller holds the lock.
func (r *run) order(id string) *timing {
	o := r.orders[id]
	if o == nil {
		o = &timing{}
		r.orders[id] = o
	}
	return o
}

// noticeEnd closes complete at the end; the caller holds the lock. Only orders whose answer has come count as
// scheduled: one that was stored although its answer was lost must not stand for another one.
func (r *run) noticeEnd() {
	if r.placed && r.scheduled >= r.accepted {
		select {
		case <-r.complete: // closed already
		default:
			close(r.complete)
		}
	}
}

// noticePlaced says that no more orders come.
func (r *run) noticePlaced() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.placed = true
	r.noticeEnd()
}

// awaitEvents waits until every accepted order was seen scheduled, for at most Wait, or until the watcher gives up.
func (r *run) awaitEvents(ctx context.Context, w *watcher) {
	r.noticePlaced()
	timer := time.NewTimer(r.Wait)
	defer timer.Stop()
	select {
	case <-r.complete:
	case <-w.ended:
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (r *run) result(begin time.Time, took time.Duration) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	var answer, created, scheduled []time.Duration
	last := begin
	result := Result{Accepted: r.accepted, Refused: r.refused, Unknown: r.unknown, Retries: r.retries, Seconds: took.Seconds(), Connections: r.connections}
	for id, o := range r.orders {
		if o.answered.IsZero() { // its answer was lost
			continue
		}
		answer = append(answer, o.answered.Sub(o.due))
		if !o.created.IsZero() {
			created = append(created, o.created.Sub(o.due))
		}
		if o.scheduled.IsZero() {
			if result.Unseen++; result.Unseen <= maxUnseenIDs {
				result.UnseenIDs = append(result.UnseenIDs, id)
			}
			continue
		}
		scheduled = append(scheduled, o.scheduled.Sub(o.due))
		if o.scheduled.After(last) {
			last = o.scheduled
		}
	}
	result.PerSecond = float64(r.accepted) / took.Seconds()
	if n := len(scheduled); n > 0 {
		result.Through = float64(n) / last.Sub(begin).Seconds()
	}
	result.Answer, result.Created, result.Scheduled = Measure(answer), Measure(created), Measure(scheduled)
	return result
}
