package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// place places the orders until a bound is reached.
func (r *run) place(ctx context.Context) {
	all := ctx // an order that is under way when the time is over is waited for: it counts
	if r.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Duration)
		defer cancel()
	}
	body := r.body()
	due := make(chan dueOrder)
	var workers sync.WaitGroup
	for range r.Clients {
		workers.Go(func() {
			for d := range due {
				if d.at.IsZero() {
					d.at = time.Now()
				}
				r.one(all, d, body)
			}
		})
	}
	begin := time.Now()
	for n := 0; (r.Orders <= 0 || n < r.Orders) && ctx.Err() == nil; n++ {
		d := dueOrder{n: n}
		if r.Rate > 0 {
			d.at = begin.Add(time.Duration(float64(n) / r.Rate * float64(time.Second)))
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

// body is that of every order.
func (r *run) body() json.RawMessage {
	type item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	items := make([]item, r.Items)
	for n := range items {
		items[n] = item{r.sku(n), 1}
	}
	raw, err := json.Marshal(map[string]any{"items": items, "shippingAddress": map[string]string{
		"name": "Load", "street": "1 Test Street", "city": "Berlin", "postalCode": "10115", "country": "DE",
	}})
	if err != nil {
		panic(err) // strings and numbers only
	}
	return raw
}

// one places one order.
func (r *run) one(ctx context.Context, d dueOrder, body json.RawMessage) {
	var o struct {
		ID string `json:"id"`
	}
	// The key is this order's for good: whichever try was stored, it is stored once.
	err := r.known(ctx, r.customers[d.n%len(r.customers)], http.MethodPost, "/v1/orders", fmt.Sprintf("%s-%d", r.id, d.n), body, &o)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case isUnknown(err):
		r.unknown[codeOf(err)]++
		return
	case err != nil:
		r.refused[codeOf(err)]++
		return
	}
	r.accepted++
	seen := r.order(o.ID)
	seen.due, seen.answered = d.at, now
	if !seen.scheduled.IsZero() {
		r.scheduled++
	}
}

// The first and the longest pause before a request is made again; each is twice the one before.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// known makes a request until its answer is known, for at most Patience. Its requests all have the same Idempotency-Key, ""
// for none. The error says what the last one said.
func (r *run) known(ctx context.Context, api *client.Client, method, path, key string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	var last error
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		_, err := api.Call(ctx, method, path, header, body, out)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if !isUnknown(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // jitter is no secret
		}
		r.mu.Lock()
		r.retries++
		r.mu.Unlock()
	}
}

// isUnknown tells whether an error leaves open if the request was carried out: there was no answer, or one that speaks
// of the server only.
func isUnknown(err error) bool {
	var answer *client.Problem
	if errors.As(err, &answer) {
		return answer.Status >= http.StatusInternalServerError
	}
	var none *client.UnreachableError
	return errors.As(err, &none) || errors.Is(err, context.DeadlineExceeded)
}

// codeOf names an error in a result.
func codeOf(err error) string {
	var answer *client.Problem
	if errors.As(err, &answer) {
		return fmt.Sprintf("%d %s", answer.Status, answer.Code)
	}
	return "no answer"
}
