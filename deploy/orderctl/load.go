package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// loadCmd places orders as fast as asked for, and measures.
//
// In a closed loop each client places its next order when the last one is answered. In an open loop orders are due at
// a rate, whatever the answers do, and each one is measured from the moment when it was due, so that a stall shows in
// full.
type loadCmd struct {
	remote
	Clients  int           `default:"16" help:"Closed loop: so many clients. Open loop: at most so many requests at once are in flight."`
	Rate     float64       `help:"Open loop: orders a second."`
	Orders   int           `default:"1000" help:"End after so many orders (0: no bound)."`
	Duration time.Duration `help:"End after this time (0: no bound)."`
	Items    int           `default:"1" help:"Items an order."`
	Wait     time.Duration `default:"30s" help:"How long to wait for the last events."`
	OrderAPI string        `name:"order-api" help:"Place orders here instead of through the gateway."`
	Notifier string        `help:"Watch here instead of through the gateway."`
}

// loadCustomers share the orders, as customers do.
const loadCustomers = 16

// loadResult is what --json prints; times are milliseconds.
type loadResult struct {
	Accepted    int            `json:"accepted"`
	Refused     map[string]int `json:"refused"` // by code
	Seconds     float64        `json:"seconds"`
	PerSecond   float64        `json:"acceptedPerSecond"`
	Through     float64        `json:"scheduledPerSecond"`
	Answer      percentiles    `json:"answer"`
	Created     percentiles    `json:"orderCreated"`
	Scheduled   percentiles    `json:"shipmentScheduled"`
	Unseen      int            `json:"unseen"` // accepted, and not seen scheduled in time
	Connections int            `json:"watcherConnections"`
}

type percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// measure gives the percentiles of durations, by the nearest rank.
func measure(all []time.Duration) percentiles {
	if len(all) == 0 {
		return percentiles{}
	}
	slices.Sort(all)
	at := func(percent int) float64 {
		rank := (len(all)*percent + 99) / 100
		return float64(all[max(rank, 1)-1].Microseconds()) / 1000
	}
	return percentiles{len(all), at(50), at(90), at(99), at(100)}
}

// Run places the orders and prints what was measured. Its exit code is 1 when an order was refused or never seen.
func (c *loadCmd) Run(ctx context.Context, t *terminal) error {
	if c.Orders <= 0 && c.Duration <= 0 || c.Clients < 1 || c.Rate < 0 || c.Items < 1 || c.Items > 100 {
		t.say("orderctl: load needs --orders or --duration, at least one client, and 1 to 100 items")
		return exitCode(exitUsage)
	}
	operator, err := c.connect(ctx, true)
	if err != nil {
		return err
	}
	r := &loadRun{cmd: c, t: t, run: uuid.NewString()[:8], orders: map[string]*timing{}, refused: map[string]int{}, ready: make(chan struct{})}
	if err := r.stock(ctx, operator); err != nil {
		return err
	}
	for n := range loadCustomers {
		answer, err := operator.login(ctx, r.customer(n), false)
		if err != nil {
			return fmt.Errorf("a token for customer %s: %w", r.customer(n), err)
		}
		api := newClient(c.Gateway, answer.Token)
		if c.OrderAPI != "" {
			api.base = strings.TrimSuffix(c.OrderAPI, "/")
		}
		r.customers = append(r.customers, api)
	}

	watching, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- r.watch(watching, operator) }()
	select {
	case <-r.ready:
	case err := <-watched:
		return fmt.Errorf("watch: %w", err)
	}
	begin := time.Now()
	r.place(ctx)
	took := time.Since(begin)
	r.awaitEvents(ctx, c.Wait)
	stop()
	if err := <-watched; err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("watch: %w", err)
	}
	result := r.result(begin, took)
	if err := r.print(result); err != nil {
		return err
	}
	if result.Unseen > 0 || len(result.Refused) > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

// loadRun is the state of one run.
type loadRun struct {
	cmd       *loadCmd
	t         *terminal
	run       string
	customers []*client
	ready     chan struct{}

	mu          sync.Mutex
	orders      map[string]*timing // by id; an event may come before the answer
	refused     map[string]int
	connections int
	scheduled   int
	accepted    int
}

// timing is what was seen of one order.
type timing struct{ due, answered, created, scheduled time.Time }

func (r *loadRun) customer(n int) string { return fmt.Sprintf("load-%s-%d", r.run, n) }

func (r *loadRun) sku(n int) string { return fmt.Sprintf("load-%d", n) }

// stock makes sure that products are there and last.
func (r *loadRun) stock(ctx context.Context, operator *client) error {
	for n := range r.cmd.Items {
		sku := r.sku(n)
		body := map[string]any{"name": "Load test", "unitPrice": money{100, "EUR"}}
		if _, err := operator.call(ctx, http.MethodPut, "/v1/products/"+sku, nil, body, nil); err != nil {
			return fmt.Errorf("product %s: %w", sku, err)
		}
		body = map[string]any{"quantity": 1_000_000, "reason": "load test"}
		if _, err := operator.call(ctx, http.MethodPost, "/v1/stock/"+sku+"/adjustments", idempotent(r.run), body, nil); err != nil {
			return fmt.Errorf("stock of %s: %w", sku, err)
		}
	}
	return nil
}

// watch sees the events of this run's orders.
func (r *loadRun) watch(ctx context.Context, operator *client) error {
	api := *operator
	if r.cmd.Notifier != "" {
		api.base = strings.TrimSuffix(r.cmd.Notifier, "/")
	}
	once := sync.OnceFunc(func() { close(r.ready) })
	ours := "load-" + r.run + "-"
	follow := stream{
		api: &api, query: url.Values{"type": {"order-created", "shipment-scheduled"}},
		connected: func() {
			r.mu.Lock()
			r.connections++
			r.mu.Unlock()
			once()
		},
		handle: func(e *event, _ []byte) error {
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
				r.scheduled++
			}
			return nil
		},
	}
	return follow.run(ctx)
}

// order gives the timing of an order; the caller holds the lock.
func (r *loadRun) order(id string) *timing {
	o := r.orders[id]
	if o == nil {
		o = &timing{}
		r.orders[id] = o
	}
	return o
}

// place places the orders until a bound is reached.
func (r *loadRun) place(ctx context.Context) {
	if r.cmd.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.cmd.Duration)
		defer cancel()
	}
	due := make(chan dueOrder)
	var workers sync.WaitGroup
	for range r.cmd.Clients {
		workers.Go(func() {
			for d := range due {
				if d.at.IsZero() {
					d.at = time.Now()
				}
				// An order that is under way when the time is over is waited for: it counts.
				r.one(context.WithoutCancel(ctx), d)
			}
		})
	}
	begin := time.Now()
	for n := 0; (r.cmd.Orders <= 0 || n < r.cmd.Orders) && ctx.Err() == nil; n++ {
		d := dueOrder{n: n}
		if r.cmd.Rate > 0 {
			d.at = begin.Add(time.Duration(float64(n) / r.cmd.Rate * float64(time.Second)))
			select {
			case <-time.After(time.Until(d.at)):
			case <-ctx.Done():
				continue
			}
		}
		select {
		case due <- d:
		case <-ctx.Done():
		}
	}
	close(due)
	workers.Wait()
}

// dueOrder is one order to place; at is zero in a closed loop.
type dueOrder struct {
	n  int
	at time.Time
}

// one places one order.
func (r *loadRun) one(ctx context.Context, d dueOrder) {
	type item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	items := make([]item, r.cmd.Items)
	for n := range items {
		items[n] = item{r.sku(n), 1}
	}
	body := map[string]any{"items": items, "shippingAddress": address{"Load", "1 Test Street", "Berlin", "10115", "DE"}}
	var o struct {
		ID string `json:"id"`
	}
	_, err := r.customers[d.n%len(r.customers)].call(ctx, http.MethodPost, "/v1/orders", nil, body, &o)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		code := "no answer"
		var refused *problem
		if errors.As(err, &refused) {
			code = fmt.Sprintf("%d %s", refused.Status, refused.Code)
		}
		r.refused[code]++
		return
	}
	r.accepted++
	seen := r.order(o.ID)
	seen.due, seen.answered = d.at, now
}

// awaitEvents waits until every accepted order was seen scheduled, for at most the time.
func (r *loadRun) awaitEvents(ctx context.Context, most time.Duration) {
	deadline := time.After(most)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r.mu.Lock()
		complete := r.scheduled >= r.accepted
		r.mu.Unlock()
		if complete {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-deadline:
			return
		case <-tick.C:
		}
	}
}

func (r *loadRun) result(begin time.Time, took time.Duration) loadResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	var answer, created, scheduled []time.Duration
	last := begin
	result := loadResult{Accepted: r.accepted, Refused: r.refused, Seconds: took.Seconds(), Connections: r.connections}
	for _, o := range r.orders {
		if o.answered.IsZero() { // its answer was lost
			continue
		}
		answer = append(answer, o.answered.Sub(o.due))
		if !o.created.IsZero() {
			created = append(created, o.created.Sub(o.due))
		}
		if o.scheduled.IsZero() {
			result.Unseen++
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
	result.Answer, result.Created, result.Scheduled = measure(answer), measure(created), measure(scheduled)
	return result
}

func (r *loadRun) print(result loadResult) error {
	if r.cmd.JSON {
		return json.NewEncoder(r.t.out).Encode(result)
	}
	fmt.Fprintf(r.t.out, "%d orders accepted in %.1f s: %.0f/s; %.0f/s through the whole chain\n\n",
		result.Accepted, result.Seconds, result.PerSecond, result.Through)
	rows := [][]string{{"FROM THE REQUEST TO", "COUNT", "P50", "P90", "P99", "MAX"}}
	for _, row := range []struct {
		name string
		p    percentiles
	}{{"its answer", result.Answer}, {"order-created pushed", result.Created}, {"shipment-scheduled pushed", result.Scheduled}} {
		rows = append(rows, []string{
			row.name, fmt.Sprint(row.p.Count), milliseconds(row.p.P50), milliseconds(row.p.P90), milliseconds(row.p.P99), milliseconds(row.p.Max),
		})
	}
	if err := r.t.table(rows); err != nil {
		return err
	}
	for code, n := range result.Refused {
		fmt.Fprintf(r.t.out, "%d orders not accepted: %s\n", n, code)
	}
	if result.Unseen > 0 {
		fmt.Fprintf(r.t.out, "%d accepted orders were not seen scheduled within %s\n", result.Unseen, r.cmd.Wait)
	}
	return nil
}

func milliseconds(ms float64) string { return fmt.Sprintf("%.1f ms", ms) }
