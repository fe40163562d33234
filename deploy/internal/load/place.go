package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// place places the orders until a bound is reached.
func (r *run) place(ctx context.Context) {
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
				// An order that is under way when the time is over is waited for: it counts.
				r.one(context.WithoutCancel(ctx), d, body)
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
	_, err := r.customers[d.n%len(r.customers)].Call(ctx, http.MethodPost, "/v1/orders", nil, body, &o)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		code := "no answer"
		var refused *client.Problem
		if errors.As(err, &refused) {
			code = fmt.Sprintf("%d %s", refused.Status, refused.Code)
		}
		r.refused[code]++
		return
	}
	r.accepted++
	seen := r.order(o.ID)
	seen.due, seen.answered = d.at, now
	if !seen.scheduled.IsZero() {
		r.scheduled++
	}
}
