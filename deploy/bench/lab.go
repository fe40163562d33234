package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/internal/load"
	"github.com/orderwire/orderwire/deploy/stack"
)

// lab is a running Orderwire to measure.
type lab struct {
	stack    *stack.Stack
	operator *client.Client
	database *mongo.Database // of the peers
	sizes    sizes
	gateway  bool   // clients go through the gateway
	profiles string // directory; "": none are taken
	started  bool   // the figures of the first start are taken
	warm     bool   // the first, long warm-up is done
	paced    bool   // and the first one at a rate
}

// sizes bound each measurement in count and time.
type sizes struct {
	settle  time.Duration // before memory is read
	first   int           // orders of the first warm-up, as fast as they are answered
	paced   int           // orders of the first warm-up at a rate
	warmUp  int           // orders of each further one
	latency time.Duration // at the rate
	burst   int           // orders
	accept  int           // orders, of order-api by itself
	backlog int           // orders, of inventory to work off
	peer    time.Duration // of InsertOne, before and after the burst
	wait    time.Duration // for the last events
	total   time.Duration // of everything
}

var (
	fullSizes  = sizes{5 * time.Second, 20_000, 3_000, 300, 20 * time.Second, 15_000, 10_000, 10_000, 3 * time.Second, 60 * time.Second, 20 * time.Minute}
	quickSizes = sizes{2 * time.Second, 500, 100, 100, 3 * time.Second, 2_000, 1_000, 1_000, time.Second, 30 * time.Second, 5 * time.Minute}
)

// load places orders, and waits until order-api, too, has heard of all: what one load leaves to be done must not slow
// the next measurement. An order that was refused, never seen scheduled or not confirmed in time is an error beside the
// result: then the figures are worth nothing.
func (l *lab) load(ctx context.Context, c load.Config) (load.Result, error) {
	c.Operator, c.Items, c.Wait = l.operator, 1, l.sizes.wait
	if !l.gateway {
		c.OrderAPI, c.Notifier = l.instance(stack.OrderAPI).URL, l.instance(stack.Notifier).URL
	}
	result, err := load.Run(ctx, c)
	if err != nil {
		return result, err
	}
	if err := errors.Join(refused(result), l.unseen(ctx, result)); err != nil {
		return result, err
	}
	return result, l.awaitConfirmed(ctx)
}

// awaitConfirmed waits until no order is pending.
func (l *lab) awaitConfirmed(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.sizes.wait,
		fmt.Errorf("orders are still pending %s after the last one was scheduled", l.sizes.wait))
	defer cancel()
	for {
		asked := time.Now()
		var page struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		if _, err := l.operator.Call(ctx, http.MethodGet, "/v1/orders?status=pending&limit=1", nil, nil, &page); err != nil {
			return errors.Join(context.Cause(ctx), fmt.Errorf("look for pending orders: %w", err))
		}
		if len(page.Items) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, among them %s", context.Cause(ctx), page.Items[0].ID)
		case <-time.After(pollPause(time.Since(asked))):
		}
	}
}

// pollPause is how long to wait after an answer that took so long: SecantusDB reads all pending orders to give one, and to
// ask all the time would slow what is waited for. What is waited for is seen late by as much, half a second at most.
func pollPause(took time.Duration) time.Duration {
	return min(max(50*time.Millisecond, 9*took), 500*time.Millisecond)
}

// firstWarmUp bounds the first warm-up: what it leaves to be done must be done within sizes.wait, on slow machines as well.
const firstWarmUp = 20 * time.Second

// warmUp places orders that do not count, in the way of the measurement that follows. The first time they are many, and of
// the first ones at a rate, too: a broker in a fresh JVM takes several times its processor time until its hot code is
// compiled, and single records have other hot code than many at once.
func (l *lab) warmUp(ctx context.Context, c load.Config) error {
	if !l.warm {
		if _, err := l.load(ctx, load.Config{Clients: burstClients, Orders: l.sizes.first, Duration: firstWarmUp}); err != nil {
			return fmt.Errorf("first warm-up: %w", err)
		}
		l.warm = true
	}
	c.Orders = l.sizes.warmUp
	if c.Rate > 0 && !l.paced {
		c.Orders = l.sizes.paced
	}
	if _, err := l.load(ctx, c); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	l.paced = l.paced || c.Rate > 0
	return nil
}

// refused tells which answers were errors.
func refused(r load.Result) error {
	var codes []string
	for code, n := range r.Refused {
		codes = append(codes, fmt.Sprintf("%d × %s", n, code))
	}
	for code, n := range r.Unknown {
		codes = append(codes, fmt.Sprintf("%d × %s, to the end", n, code))
	}
	if len(codes) == 0 {
		return nil
	}
	slices.Sort(codes)
	return fmt.Errorf("orders were not accepted: %s", strings.Join(codes, ", "))
}

// unseen tells how many accepted orders were never seen scheduled, and where some of them are.
func (l *lab) unseen(ctx context.Context, r load.Result) error {
	if r.Unseen == 0 {
		return nil
	}
	text := fmt.Sprintf("%d of %d accepted orders were not seen scheduled within %s", r.Unseen, r.Accepted, l.sizes.wait)
	for _, id := range r.UnseenIDs {
		text += fmt.Sprintf("\n  %s: order %s, shipment %s", id, l.status(ctx, "/v1/orders/"+id), l.status(ctx, "/v1/shipments/"+id))
	}
	return errors.New(text)
}

// status of an order or a shipment, or why there is none.
func (l *lab) status(ctx context.Context, path string) string {
	var it struct {
		Status string `json:"status"`
	}
	if _, err := l.operator.Call(ctx, http.MethodGet, path, nil, nil, &it); err != nil {
		return "(" + err.Error() + ")"
	}
	return it.Status
}

// instance is the stack's own of a service.
func (l *lab) instance(name string) *stack.Instance { return l.stack.Instances(name)[0] }
