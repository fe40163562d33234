package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/deploy/stack"
)

// TestCluster breaks each role of a cluster of three brokers by itself, under load, and what must go on meanwhile does.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes minutes")
	}
	t.Parallel()
	c := newCluster(t)
	t.Cleanup(c.observe(context.WithoutCancel(t.Context())))
	for _, role := range []string{roleLeader, roleCoordinator, roleController} {
		for _, how := range []string{"kill", "pause"} {
			t.Run(role+" "+how+": another takes over before it is back", func(t *testing.T) { c.takeover(t, role, how) })
		}
	}
	t.Run("two of three down: orders are still taken, and travel when the brokers are back", c.twoDown)
	t.Run("a follower that lags leaves the in-sync set, holds up nothing, and returns", c.follower)
	t.Run("in the end every promise was kept", c.judge)
}

// cluster is a run whose faults a test chooses.
type cluster struct {
	*run
	client *worker // the test's own
	kafka  *kgo.Client
}

// clusterWait bounds what takes seconds on a machine that does nothing else; a starved one once took 96 s to read a killed
// broker's logs back, and 140 s until an order went on beside a paused controller.
const clusterWait = 5 * time.Minute

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := testConfig(t, stack.KafkaCluster)
	c.Clients, c.Rate = 8, 15
	dir, err := os.MkdirTemp("", "chaos-cluster-") //nolint:usetesting // it is kept when something fails
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("everything is kept in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	r := &run{config: c, seed: 1, dir: dir}
	r.history, err = newHistory(filepath.Join(r.dir, "history.jsonl"))
	require.NoError(t, err)
	r.sys, err = startSystem(t.Context(), c, filepath.Join(r.dir, "data"), r.note)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		r.sys.stop(ctx)
	})
	require.NoError(t, r.start(t.Context()))
	t.Cleanup(func() {
		for _, w := range r.watch {
			w.stop()
		}
	})
	load, err := newLoad(r.sys, r.history, 2, 1, 1)
	require.NoError(t, err)
	w := load.workers[0]
	w.name = "client-0-test" // keys of its own
	r.load.workers = append(r.load.workers, w)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(r.sys.stack.Broker.Direct()...))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	return &cluster{r, w, kafka}
}

// broken injects, does something meanwhile, heals, and waits until every part is up; until then something is broken.
func (c *cluster) broken(t *testing.T, variant string, targets []string, meanwhile func()) {
	t.Helper()
	i := Injection{Fault: "F6", Variant: variant, Target: targets}
	from := c.sys.since()
	heal, err := doBroker(t.Context(), &breaker{sys: c.sys, dir: c.dir}, i)
	require.NoError(t, err)
	func() {
		defer heal(t.Context()) // also when meanwhile has failed: the next test wants a whole cluster
		meanwhile()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), clusterWait)
	defer cancel()
	require.NoError(t, c.sys.allUp(ctx))
	c.windows = append(c.windows, window{i, from, c.sys.since()})
}

// place gives the id of an order that stock covers.
func (c *cluster) place(t *testing.T) string {
	t.Helper()
	key := c.client.key()
	p := &placed{
		customer: c.client.customer(), key: key,
		body: newOrder{
			Items: []item{{"plenty-0", 1}}, Note: "placed " + key,
			ShippingAddress: address{c.client.customer(), "1 Long Lane", "Dublin", "D02 X285", "IE"},
		},
		notes: map[string]bool{"placed " + key: true}, streets: map[string]bool{"1 Long Lane": true},
	}
	c.client.orders = append(c.client.orders, p)
	for end := time.Now().Add(clusterWait); p.id == "" && time.Now().Before(end); {
		c.client.again(t.Context(), p)
	}
	require.NotEmpty(t, p.id, "the order was not taken")
	return p.id
}

// scheduled waits until the operator was told that the orders' shipments are scheduled.
func (c *cluster) scheduled(t *testing.T, orders ...string) {
	t.Helper()
	operator := c.watch[slices.IndexFunc(c.watch, func(w *watcher) bool { return w.customer == "" })]
	left := map[string]bool{}
	for _, id := range orders {
		left[id] = true
	}
	require.Eventually(t, func() bool {
		seen, _, _ := operator.snapshot()
		for _, e := range seen {
			if e.Type == "shipment-scheduled" {
				delete(left, e.Order)
			}
		}
		return len(left) == 0
	}, clusterWait, 100*time.Millisecond, "of %d orders, some are not scheduled", len(orders))
}

func (c *cluster) takeover(t *testing.T, role, how string) { //nolint:thelper // it is a test
	old, err := c.sys.role(t.Context(), role)
	require.NoError(t, err)
	c.broken(t, how, []string{fmt.Sprintf("broker-%d", old)}, func() {
		require.Eventually(t, func() bool {
			now, err := c.sys.role(t.Context(), role)
			return err == nil && now != old
		}, clusterWait, 100*time.Millisecond, "nobody takes over")
		c.scheduled(t, c.place(t))
	})
}

// twoDown leaves one broker: no record can have the two replicas that it needs, so nothing is acknowledged.
func (c *cluster) twoDown(t *testing.T) {
	var taken []string
	c.broken(t, "kill", []string{"broker-1", "broker-2"}, func() {
		for range 20 {
			taken = append(taken, c.place(t))
		}
		for _, id := range taken {
			var o order
			require.NoError(t, c.get(t.Context(), "/v1/orders/"+id, &o))
			require.Equal(t, "pending", o.Status, "its event cannot have been acknowledged")
		}
		require.GreaterOrEqual(t, c.unsent(t), len(taken))
	})
	c.scheduled(t, taken...)
}

// unsent is how many events order-api holds that are not acknowledged.
func (c *cluster) unsent(t *testing.T) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.sys.stack.Instances(stack.OrderAPI)[0].AdminURL+"/metrics", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	n, err := metric(raw, "outbox_queued_entries")
	require.NoError(t, err)
	return n
}

func (c *cluster) follower(t *testing.T) {
	id, err := c.sys.role(t.Context(), roleFollower)
	require.NoError(t, err)
	inSync := func() bool {
		p, err := firstPartition(t.Context(), c.kafka)
		return err == nil && slices.Contains(p.ISR, id)
	}
	c.broken(t, "pause", []string{fmt.Sprintf("broker-%d", id)}, func() {
		require.Eventually(t, func() bool { return !inSync() }, clusterWait, 100*time.Millisecond, "it stays in the in-sync set")
		c.scheduled(t, c.place(t))
	})
	require.Eventually(t, inSync, clusterWait, 100*time.Millisecond, "it does not return to the in-sync set")
}

func (c *cluster) judge(t *testing.T) {
	c.load.finish(c.drain)
	var res result
	require.NoError(t, c.run.judge(t.Context(), &res))
	require.NoError(t, c.history.close())
	require.Empty(t, c.verdict.found)
	require.NotZero(t, res.Committed, "nobody looked at what groups have committed while brokers were away")
	t.Logf("%d orders, %d events, drained in %.1f s", res.Orders, res.Events, res.DrainedIn)
}
