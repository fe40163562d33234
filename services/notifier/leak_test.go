package main

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
)

// TestLeak_NobodySeesWhatIsNotTheirs gives random tokens and filters to many clients, live and from the past, over both
// ways, changes filters in band, and looks at everything that they are sent.
func TestLeak_NobodySeesWhatIsNotTheirs(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed ", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	w := fake(t)
	n := w.start("MAX_CONNECTIONS_PER_CUSTOMER=1000", "CATCHUP_WAIT=20s")

	names := []string{"alice", "alice2", "ALICE", "bob", "*"}
	orders := []string{"o1", "o2", "o3", "o4"}
	sequence := int64(0)
	publish := func(count int) {
		for range count {
			sequence++
			w.publish(events.Types()[random.IntN(len(events.Types()))], pick(orders...), pick(names...), sequence)
		}
	}
	publish(40)
	internal := []string{"shipment-requested", "shipment-update-requested", "shipment-cancel-requested"}
	type viewer struct {
		name     string
		operator bool
		client   *client
	}
	var viewers []viewer
	for range 40 {
		v := viewer{name: pick(names...), operator: random.IntN(5) == 0}
		query := url.Values{}
		for range random.IntN(3) {
			query.Add("type", pick("order-*", "*", "shipment-*", "shipment-requested", "stock-reserved"))
		}
		for range random.IntN(3) {
			query.Add("order", pick(orders...))
		}
		if v.operator && random.IntN(2) == 0 {
			query.Add("customer", pick(names...))
		}
		query.Set("after", pick("latest", "earliest"))
		token := w.tokenFor(v.name, v.operator, time.Hour)
		if random.IntN(2) == 0 {
			v.client = n.dial(token, query)
		} else {
			v.client = n.stream(token, query, "")
		}
		viewers = append(viewers, v)
	}
	for i, v := range viewers {
		v.client.untilType("notifier.subscribed")
		if v.client.socket != nil && i%2 == 0 {
			v.client.say("notifier.subscribe", map[string]any{"type": []string{"*"}, "order": []string{pick(orders...)}, "after": pick("latest", "earliest")})
		}
	}
	witness := n.dial(w.tokenFor("boss", true, time.Hour), nil)
	witness.untilType("notifier.subscribed")
	publish(60)
	witness.untilEvents(60)
	seen := 0
	for _, v := range viewers {
		v.client.close()
		for _, m := range v.client.seen() {
			if m.own() {
				continue
			}
			seen++
			if v.operator {
				continue
			}
			require.Equal(t, v.name, m.Customer)
			require.NotContains(t, internal, m.Type)
			var data struct{ CustomerID string }
			require.NoError(t, json.Unmarshal(m.Data, &data))
			require.Equal(t, v.name, data.CustomerID)
		}
	}
	require.Greater(t, seen, 100, "the test must see something")
	require.True(t, slices.ContainsFunc(witness.seen(), func(m message) bool { return slices.Contains(internal, m.Type) }))
}
