package e2e

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// resume goes away in the middle, lets things happen, and comes back with the cursor.
func resume(t *testing.T, s *system) {
	sku := s.product(t, 100)
	alice := s.customer(t)
	whole := alice.watch(nil)
	before := alice.watch(nil)
	o1 := alice.place(item{sku, 1})
	before.untilOrder(o1.ID, "confirmed")
	before.stop()
	cursor := before.cursor
	seenBefore := first(before.events)

	o2 := alice.place(item{sku, 2})
	alice.awaitThat(o2.ID, "scheduled", func(o order) bool { return o.Shipment != nil && o.Status == "confirmed" })
	s.carrier(t, o1.ID, "dispatch", nil)
	alice.await(o1.ID, "shipped")

	after := alice.watch(url.Values{"after": {cursor}})
	sse := alice.watchSSE(nil, cursor)
	marker := alice.place(item{sku, 3})
	want := keys(first(whole.untilOrder(marker.ID, "confirmed")))
	for name, w := range map[string]*watcher{"WebSocket": after, "SSE": sse} {
		w.untilOrder(marker.ID, "confirmed")
		w.until("all that the other saw", func(all []event) bool {
			return len(keys(append(append([]event{}, seenBefore...), all...))) >= len(want)
		})
		got := keys(append(append([]event{}, seenBefore...), w.events...))
		for key := range want {
			require.Contains(t, got, key, "%s lost it", name)
		}
		require.True(t, hasType(w.events, "notifier.caught-up"), name)
	}

	fromStart := alice.watch(url.Values{"after": {"earliest"}, "order": {o1.ID}, "type": {"order-*"}})
	fromStart.untilOrder(o1.ID, "shipped")
	requireVersionsWithoutHole(t, fromStart.events, o1.ID)
	for _, e := range first(fromStart.events) {
		require.Equal(t, o1.ID, e.Subject)
		require.Equal(t, "order-api", e.Source)
	}

	for _, q := range []string{"after=nonsense", "type=no-such-type", "colour=red"} {
		alice.do("GET", "/v1/events?"+q, nil, header{"Accept": "text/event-stream"}).refused(400)
	}
	(&client{t: t, sys: s}).do("GET", "/v1/events", nil, header{"Accept": "text/event-stream"}).refused(401)
}

// keys gives the events as a set, by what identifies one.
func keys(all []event) map[string]bool {
	set := map[string]bool{}
	for _, e := range all {
		if !e.own() {
			set[e.Source+" "+e.Subject+" "+e.Topic+" "+e.Sequence+" "+e.Type] = true
		}
	}
	return set
}
