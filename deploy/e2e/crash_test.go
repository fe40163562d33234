package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// load places n orders of one item as careful clients do: each with a key, repeated until it is answered 201.
func (s *system) load(t *testing.T, sku string, n int) *load {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	l := &load{alice: s.customer(t), cancel: cancel}
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	for range 16 {
		l.workers.Go(func() {
			for range next {
				l.placeOne(ctx, sku)
			}
		})
	}
	return l
}

type load struct {
	alice    *client
	cancel   func()
	workers  sync.WaitGroup
	mu       sync.Mutex
	accepted []string
	refused  []string
}

func (l *load) placeOne(ctx context.Context, sku string) {
	key := uuid.NewString()
	for ctx.Err() == nil {
		a, err := l.alice.try("POST", "/v1/orders", newOrder{Items: []item{{sku, 1}}, ShippingAddress: home}, header{"Idempotency-Key": key})
		var o order
		switch {
		case err == nil && a.status == 201 && json.Unmarshal(a.body, &o) == nil:
			l.mu.Lock()
			l.accepted = append(l.accepted, o.ID)
			l.mu.Unlock()
			return
		case err == nil && a.status != 503 && a.status != 502:
			l.mu.Lock()
			l.refused = append(l.refused, string(a.body))
			l.mu.Unlock()
			return
		}
		select { // unknown or unavailable: the same key again
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *load) so(t *testing.T, far int) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.accepted) >= far
	}, patience, 5*time.Millisecond, "%d orders were never accepted", far)
}

// finish waits until all orders are accepted and confirmed, has them delivered, and sees each of them end; stock must add
// up to the item.
func (l *load) finish(t *testing.T, s *system, sku string, n int) {
	t.Helper()
	l.workers.Wait()
	l.cancel()
	require.Empty(t, l.refused)
	require.Len(t, l.accepted, n)
	unique := map[string]bool{}
	for _, id := range l.accepted {
		unique[id] = true
		l.alice.awaitThat(id, "scheduled", func(o order) bool { return o.Status == "confirmed" && o.Shipment != nil })
	}
	require.Len(t, unique, n, "every key made an order of its own")
	s.awaitStock(t, stockRow{SKU: sku, Available: int64(1000 - n), Reserved: int64(n)})
	l.deliver(t, s.operator(t))
	for id := range unique {
		l.alice.await(id, "delivered")
	}
	s.awaitStock(t, stockRow{SKU: sku, Available: int64(1000 - n), Shipped: int64(n)})
}

// deliver brings every parcel, as the carrier does.
func (l *load) deliver(t *testing.T, carrier *client) {
	t.Helper()
	parcels := make(chan string, len(l.accepted))
	for _, id := range l.accepted {
		parcels <- id
	}
	close(parcels)
	for range 16 {
		l.workers.Go(func() {
			for id := range parcels {
				for _, step := range []string{"dispatch", "deliver"} {
					if answer := carrier.says(id, step); answer != "" {
						l.mu.Lock()
						l.refused = append(l.refused, step+" "+id+": "+answer)
						l.mu.Unlock()
					}
				}
			}
		})
	}
	l.workers.Wait()
	require.Empty(t, l.refused)
}

// says gives a carrier's word, and repeats it while the answer is 503: a transaction that a killed process had under way holds
// its parcels for some seconds more, until the database ends it. It returns any other answer than 200, and the last 503.
func (c *client) says(id, step string) string {
	for deadline := time.Now().Add(patience); ; {
		a, err := c.try("POST", "/v1/shipments/"+id+"/"+step, struct{}{}, nil)
		switch {
		case err != nil:
			return err.Error()
		case a.status == 200:
			return ""
		case a.status != 503 || a.header.Get("Retry-After") == "" || time.Now().After(deadline):
			return fmt.Sprint(a.status, " ", string(a.body))
		}
		select {
		case <-c.t.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// killedServices kills each service without warning in the middle of 500 orders. A watcher sees each of them placed;
// when it is the notifier that is killed, it comes back after its cursor.
func killedServices(t *testing.T, s *system) {
	const n = 500
	for _, name := range []string{"order-api", "inventory", "shipping", "notifier"} {
		t.Run(name, func(t *testing.T) {
			sku := s.product(t, 1000)
			w := s.operator(t).watch(nil)
			l := s.load(t, sku, n)
			l.so(t, n/10)
			instance := s.Instances(name)[0]
			instance.Kill()
			require.NoError(t, instance.Start(t.Context()))
			var before []event
			if name == stack.Notifier {
				<-w.done
				before = w.events
				w = s.operator(t).watch(url.Values{"after": {w.cursor}})
			}
			l.finish(t, s, sku, n)
			w.until("every order", func(after []event) bool {
				placed := map[string]bool{}
				for _, e := range first(append(slices.Clone(before), after...)) {
					if e.Type == "order-created" {
						placed[e.Subject] = true
					}
				}
				return !slices.ContainsFunc(l.accepted, func(id string) bool { return !placed[id] })
			})
			w.stop()
		})
	}
}

func killedBackends(t *testing.T, s *system) {
	for name, part := range map[string]interface {
		Kill()
		Start(ctx context.Context) error
	}{"broker": s.Broker, "database": s.Database} {
		t.Run(name, func(t *testing.T) {
			const n = 500
			sku := s.product(t, 1000)
			l := s.load(t, sku, n)
			l.so(t, n/10)
			part.Kill() // the embedded broker can only be closed
			require.NoError(t, part.Start(t.Context()))
			l.finish(t, s, sku, n)
		})
	}
}

// twoInstances adds a second instance of each service, sees both at work, stops the first and sees the second go on.
func twoInstances(t *testing.T, s *system) {
	for _, name := range []string{"order-api", "inventory", "shipping", "notifier"} {
		t.Run(name, func(t *testing.T) {
			one := s.Instances(name)[0]
			two, err := s.Add(t.Context(), name)
			require.NoError(t, err)
			if name == "notifier" {
				shareWatchers(t, s, one, two)
			} else {
				shareOrders(t, s, one, two)
			}
			one.Stop(t.Context())
			s.burst(t)
			require.NoError(t, one.Start(t.Context()))
			two.Stop(t.Context())
		})
	}
}

// burstSize is enough for every partition to have some.
const burstSize = 300

// burst places orders, and waits until all of them are scheduled.
func (s *system) burst(t *testing.T) {
	t.Helper()
	sku := s.product(t, 1000)
	s.load(t, sku, burstSize).finish(t, s, sku, burstSize)
}

// shareOrders waits until both instances take records in. An instance that needs no broker to be ready may be ready
// before it has joined its consumer group.
func shareOrders(t *testing.T, s *system, one, two *stack.Instance) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		atOne, atTwo := work(t, one), work(t, two)
		s.burst(t)
		if work(t, one) > atOne && work(t, two) > atTwo {
			return
		}
		require.True(t, time.Now().Before(deadline), "the work is never shared")
	}
}

// shareWatchers connects more often than there are instances; each gets some, and each watcher sees every order.
func shareWatchers(t *testing.T, s *system, one, two *stack.Instance) {
	t.Helper()
	atOne, atTwo := work(t, one), work(t, two)
	var watchers []*watcher
	for range 8 {
		watchers = append(watchers, s.operator(t).watch(nil))
	}
	s.burst(t)
	for _, w := range watchers {
		w.until("every order", func(all []event) bool { return countFirst(all, "order-created") >= burstSize })
		w.stop()
	}
	require.Eventually(t, func() bool { return work(t, one) > atOne && work(t, two) > atTwo }, patience, pollEvery,
		"each takes some of the connections")
}

// work counts what an instance has done so far: the records that it took in; for the notifier, the connections it took.
func work(t *testing.T, i *stack.Instance) float64 {
	t.Helper()
	metric := regexp.MustCompile(`(?m)^consumer_records_total{outcome="done",[^}]*} (\S+)$`)
	if i.Service == stack.Notifier {
		metric = regexp.MustCompile(`(?m)^http_request_seconds_count{[^}]*route="/v1/events"[^}]*} (\S+)$`)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.AdminURL+"/metrics", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	done := 0.0
	for _, m := range metric.FindAllStringSubmatch(string(page), -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		done += n
	}
	return done
}

func countFirst(all []event, typ string) int {
	n := 0
	for _, e := range first(all) {
		if e.Type == typ {
			n++
		}
	}
	return n
}
