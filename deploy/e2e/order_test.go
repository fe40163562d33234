package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// orderTravels follows one order to its end and checks every push about it.
func orderTravels(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice := s.customer(t)
	w := alice.watch(nil)
	o := alice.place(item{sku, 2})
	require.Equal(t, "pending", o.Status)
	require.Equal(t, money{2500, "EUR"}, o.Total)
	require.Equal(t, alice.name, o.CustomerID)
	w.untilType("shipment-scheduled", o.ID)
	w.untilOrder(o.ID, "confirmed")
	require.Equal(t, stockRow{SKU: sku, Available: 8, Reserved: 2}, s.stock(t, sku))

	s.carrier(t, o.ID, "dispatch", map[string]string{"trackingNumber": "TRACK-1"})
	w.untilOrder(o.ID, "shipped")
	s.carrier(t, o.ID, "deliver", nil)
	all := w.untilOrder(o.ID, "delivered")

	// Every event once, its sequence without a hole per source and topic, except where others may not be seen.
	counts := map[string]int{}
	last := map[string]string{}
	for _, e := range all {
		if e.own() {
			continue
		}
		require.Equal(t, o.ID, e.Subject, "somebody else's order")
		require.Equal(t, alice.name, e.Customer)
		require.NotEmpty(t, e.Cursor)
		lane := e.Source + " " + e.Topic
		require.Greater(t, e.Sequence, last[lane], "%s repeats or goes back: %v", lane, labels(all))
		last[lane] = e.Sequence
		counts[e.Type]++
	}
	for _, typ := range []string{"order-created", "stock-reserved", "shipment-scheduled", "shipment-dispatched", "shipment-delivered"} {
		require.Equal(t, 1, counts[typ], "%s in %v", typ, labels(all))
	}
	require.NotContains(t, counts, "shipment-requested", "talk between services is for operators")
	requireVersionsWithoutHole(t, all, o.ID)

	final := alice.order(o.ID)
	require.Equal(t, "delivered", final.Status)
	require.Equal(t, "TRACK-1", final.Shipment.TrackingNumber)
	s.awaitStock(t, stockRow{SKU: sku, Available: 8, Shipped: 2})

	type line struct {
		Type     string
		Sequence int64
		Version  int64
	}
	history := as[struct{ Items []line }](alice.do("GET", "/v1/orders/"+o.ID+"/history", nil, nil), 200).Items
	require.Equal(t, "order-created", history[0].Type)
	var types []string
	for _, h := range history {
		types = append(types, h.Type)
	}
	require.Subset(t, types, []string{"stock-reserved", "shipment-scheduled", "shipment-dispatched", "shipment-delivered"})
}

// requireVersionsWithoutHole checks that order-api's events tell every version of the order exactly once, in order,
// and that the body of each is the order of the API.
func requireVersionsWithoutHole(t *testing.T, all []event, id string) {
	t.Helper()
	next := int64(1)
	for _, e := range first(all) {
		if e.Source != "order-api" || e.Subject != id {
			continue
		}
		var o order
		require.NoError(t, json.Unmarshal(e.Data, &o))
		if e.Type == "order-cancel-requested" {
			require.Equal(t, next, o.Version)
			continue // the order-updated behind it has the same version
		}
		require.Equal(t, next, o.Version, "%v", labels(all))
		next++
	}
}

func notEnoughStock(t *testing.T, s *system) {
	plenty, scarce := s.product(t, 100), s.product(t, 3)
	alice := s.customer(t)
	w := alice.watch(nil)
	o := alice.place(item{plenty, 1}, item{scarce, 5})
	w.untilType("stock-rejected", o.ID)
	o = alice.await(o.ID, "rejected")
	require.Len(t, o.Rejection.Items, 1)
	short := o.Rejection.Items[0]
	require.Equal(t, scarce, short.SKU)
	require.Equal(t, 5, short.Wanted)
	require.Equal(t, 3, short.Available)
	require.Equal(t, stockRow{SKU: plenty, Available: 100}, s.stock(t, plenty), "nothing is held when not all is there")
	alice.do("POST", "/v1/orders/"+o.ID+"/cancel", nil, nil).refused(409)
}

// lastItem lets fifty orders race for one thing.
func lastItem(t *testing.T, s *system) {
	sku := s.product(t, 1)
	var racers []*client
	for range 50 {
		racers = append(racers, s.customer(t))
	}
	ids := make([]string, len(racers))
	var all sync.WaitGroup
	for i, c := range racers {
		all.Go(func() {
			a, err := c.try("POST", "/v1/orders", newOrder{Items: []item{{sku, 1}}, ShippingAddress: home}, nil)
			if err == nil && a.status == 201 {
				var o order
				if json.Unmarshal(a.body, &o) == nil {
					ids[i] = o.ID
				}
			}
		})
	}
	all.Wait()
	won := 0
	for i, c := range racers {
		require.NotEmpty(t, ids[i], "every order is accepted")
		o := c.awaitThat(ids[i], "confirmed or rejected", func(o order) bool { return o.Status != "pending" })
		if o.Status == "confirmed" {
			won++
		} else {
			require.Equal(t, "rejected", o.Status)
			require.Zero(t, o.Rejection.Items[0].Available)
		}
	}
	require.Equal(t, 1, won)
	require.Equal(t, stockRow{SKU: sku, Reserved: 1}, s.stock(t, sku))
}

func addressChange(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice := s.customer(t)
	o := alice.place(item{sku, 1})
	o = alice.awaitThat(o.ID, "scheduled", func(o order) bool { return o.Shipment != nil && o.Status == "confirmed" })
	change := func(street, etag string) *answer {
		headers := header{"Content-Type": "application/merge-patch+json"}
		if etag != "" {
			headers["If-Match"] = etag
		}
		return alice.do("PATCH", "/v1/orders/"+o.ID, map[string]any{"shippingAddress": map[string]string{"street": street}}, headers)
	}
	etag := alice.do("GET", "/v1/orders/"+o.ID, nil, nil).header.Get("ETag")
	changed := as[order](change("2 Short Street", etag), 200)
	require.Equal(t, "2 Short Street", changed.ShippingAddress.Street)
	require.Equal(t, "Dublin", changed.ShippingAddress.City, "a merge patch leaves the rest")
	change("3 Stale Street", etag).refused(412)
	o = alice.awaitThat(o.ID, "going to the new address", func(o order) bool {
		return o.AddressChange != nil && o.AddressChange.Outcome == "accepted" && o.Shipment.Address.Street == "2 Short Street"
	})

	// The parcel leaves before shipping hears of the change: inventory, which passes it on, is away meanwhile.
	w := s.operator(t).watch(url.Values{"order": {o.ID}})
	etag = alice.do("GET", "/v1/orders/"+o.ID, nil, nil).header.Get("ETag")
	inventory := s.Instances("inventory")[0]
	inventory.Stop(t.Context())
	as[order](change("4 Late Lane", etag), 200)
	s.carrier(t, o.ID, "dispatch", nil)
	require.NoError(t, inventory.Start(t.Context()))
	w.untilType("shipment-update-refused", o.ID)
	o = alice.awaitThat(o.ID, "refused", func(o order) bool { return o.AddressChange.Outcome == "refused" })
	require.Equal(t, "2 Short Street", o.Shipment.Address.Street)
	alice.await(o.ID, "shipped")
	etag = alice.do("GET", "/v1/orders/"+o.ID, nil, nil).header.Get("ETag")
	change("5 Too Late Lane", etag).refused(409)
	change("5 Too Late Lane", "").refused(428)
}

func cancelInTime(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice := s.customer(t)
	w := alice.watch(nil)
	o := alice.place(item{sku, 4})
	alice.await(o.ID, "confirmed")
	cancelled := as[order](alice.do("POST", "/v1/orders/"+o.ID+"/cancel", nil, nil), 202)
	require.Contains(t, []string{"cancelling", "cancelled"}, cancelled.Status)
	again := alice.do("POST", "/v1/orders/"+o.ID+"/cancel", nil, nil)
	require.Equal(t, 202, again.status, "the same again is the same")
	w.untilOrder(o.ID, "cancelled")
	w.untilType("stock-released", o.ID)
	w.untilType("shipment-cancelled", o.ID)
	o = alice.await(o.ID, "cancelled")
	require.Equal(t, "done", o.Cancellation.Outcome)
	s.awaitStock(t, stockRow{SKU: sku, Available: 10})
	s.operator(t).do("POST", "/v1/shipments/"+o.ID+"/dispatch", struct{}{}, nil).refused(409)

	// Placed and cancelled in one breath.
	o = alice.place(item{sku, 4})
	as[order](alice.do("POST", "/v1/orders/"+o.ID+"/cancel", nil, nil), 202)
	all := w.untilOrder(o.ID, "cancelled")
	requireVersionsWithoutHole(t, all, o.ID)
	s.awaitStock(t, stockRow{SKU: sku, Available: 10})
}

func cancelTooLate(t *testing.T, s *system) {
	sku := s.product(t, 100)
	alice := s.customer(t)
	w := alice.watch(nil)
	var refused string
	for range 20 { // the dispatch and the cancellation race; sooner or later the cancellation is in time for order-api only
		o := alice.place(item{sku, 1})
		alice.awaitThat(o.ID, "scheduled", func(o order) bool { return o.Shipment != nil && o.Status == "confirmed" })
		s.carrier(t, o.ID, "dispatch", nil)
		a := alice.do("POST", "/v1/orders/"+o.ID+"/cancel", nil, nil)
		if a.status == 202 {
			refused = o.ID
			break
		}
		a.refused(409)
		alice.await(o.ID, "shipped")
	}
	if refused == "" {
		t.Log("order-api always heard of the dispatch first; the refusal is tested with inventory stopped below")
		refused = cancelWhileInventoryIsAway(t, s, alice, sku)
	}
	w.untilType("shipment-cancel-refused", refused)
	o := alice.awaitThat(refused, "shipped with a refused cancellation", func(o order) bool {
		return o.Status == "shipped" && o.Cancellation != nil && o.Cancellation.Outcome == "refused"
	})
	require.NotEmpty(t, o.Shipment.TrackingNumber)
}

// cancelWhileInventoryIsAway makes the race certain: the cancellation waits in front of a stopped inventory while the
// parcel leaves.
func cancelWhileInventoryIsAway(t *testing.T, s *system, alice *client, sku string) string {
	t.Helper()
	o := alice.place(item{sku, 1})
	alice.awaitThat(o.ID, "scheduled", func(o order) bool { return o.Shipment != nil && o.Status == "confirmed" })
	inventory := s.Instances("inventory")[0]
	inventory.Stop(t.Context())
	as[order](alice.do("POST", "/v1/orders/"+o.ID+"/cancel", nil, nil), 202)
	s.carrier(t, o.ID, "dispatch", nil)
	require.NoError(t, inventory.Start(t.Context()))
	return o.ID
}

func parcelFails(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice := s.customer(t)
	for _, parcel := range []struct {
		reason string
		want   stockRow
	}{
		{"refused", stockRow{SKU: sku, Available: 10}},
		{"lost", stockRow{SKU: sku, Available: 7, WrittenOff: 3}},
	} {
		o := alice.place(item{sku, 3})
		alice.awaitThat(o.ID, "scheduled", func(o order) bool { return o.Shipment != nil })
		s.carrier(t, o.ID, "dispatch", nil)
		s.carrier(t, o.ID, "fail", map[string]string{"reason": parcel.reason})
		o = alice.await(o.ID, "failed")
		require.Equal(t, parcel.reason, o.Failure.Reason)
		s.awaitStock(t, parcel.want)
	}
}

func idempotency(t *testing.T, s *system) {
	sku := s.product(t, 1000)
	alice := s.customer(t)
	body := newOrder{Items: []item{{sku, 1}}, ShippingAddress: home}
	ids := make([]string, 100)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			key := "one-key"
			if i%2 == 0 {
				key = `"one-key"` // quoted or bare, it is the same
			}
			a, err := alice.try("POST", "/v1/orders", body, header{"Idempotency-Key": key})
			if err != nil {
				ids[i] = err.Error()
				return
			}
			var o order
			if a.status != 201 || json.Unmarshal(a.body, &o) != nil {
				ids[i] = fmt.Sprint(a.status, string(a.body))
				return
			}
			ids[i] = o.ID
		})
	}
	all.Wait()
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	replay := alice.do("POST", "/v1/orders", body, header{"Idempotency-Key": "one-key"})
	require.Equal(t, "true", replay.header.Get("Idempotency-Replayed"))
	body.Note = "another body"
	alice.do("POST", "/v1/orders", body, header{"Idempotency-Key": "one-key"}).refused(422)
	bob := s.customer(t)
	other := as[order](bob.do("POST", "/v1/orders", body, header{"Idempotency-Key": "one-key"}), 201)
	require.NotEqual(t, ids[0], other.ID, "a key is its customer's own")
	alice.await(ids[0], "confirmed")
	bob.await(other.ID, "confirmed")
	require.Equal(t, int64(2), s.stock(t, sku).Reserved)

	op := s.operator(t)
	for range 2 {
		as[stockRow](op.do("POST", "/v1/stock/"+sku+"/adjustments", map[string]any{"quantity": 5, "reason": "PO-7"}, header{"Idempotency-Key": "po-7"}), 201)
	}
	require.Equal(t, int64(1003), s.stock(t, sku).Available)
}

func isolation(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice, mallory := s.customer(t), s.customer(t)
	watching := mallory.watch(nil)
	o := alice.place(item{sku, 1})
	alice.await(o.ID, "confirmed")
	unknown := "0193d2a0-0000-7000-8000-000000000000"
	for _, id := range []string{o.ID, unknown} { // a stranger's order looks as if it did not exist
		mallory.do("GET", "/v1/orders/"+id, nil, nil).refused(404)
		mallory.do("GET", "/v1/orders/"+id+"/history", nil, nil).refused(404)
		mallory.do("POST", "/v1/orders/"+id+"/cancel", nil, nil).refused(404)
		mallory.do("PATCH", "/v1/orders/"+id, map[string]string{"note": "mine"}, header{"If-Match": "*", "Content-Type": "application/merge-patch+json"}).refused(404)
		mallory.do("PATCH", "/v1/orders/"+id, map[string]string{"note": "mine"}, header{"Content-Type": "application/merge-patch+json"}).refused(404)
		mallory.do("GET", "/v1/shipments/"+id, nil, nil).refused(404)
	}
	mallory.do("GET", "/v1/orders?customer="+alice.name, nil, nil).refused(403)
	mallory.do("POST", "/v1/shipments/"+o.ID+"/dispatch", struct{}{}, nil).refused(403)
	mallory.do("POST", "/v1/stock/"+sku+"/adjustments", map[string]any{"quantity": 5, "reason": "x"}, nil).refused(403)
	require.Empty(t, as[struct{ Items []order }](mallory.do("GET", "/v1/orders", nil, nil), 200).Items)
	mallory.do("GET", "/v1/events?customer="+url.QueryEscape(alice.name), nil, header{"Accept": "text/event-stream"}).refused(403)
	stranger := &client{t: t, sys: s}
	a := stranger.do("GET", "/v1/orders/"+o.ID, nil, nil)
	a.refused(401)
	require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")

	// A marker of mallory's own shows that her watcher is past everything of alice's.
	marker := mallory.place(item{sku, 1})
	all := watching.untilOrder(marker.ID, "confirmed")
	for _, e := range all {
		require.NotEqual(t, o.ID, e.Subject, "mallory saw %s", e.Type)
	}
	// Asking for alice's order by id narrows mallory's view to nothing; it never widens it.
	asking := mallory.watch(url.Values{"order": {o.ID, marker.ID}, "after": {"earliest"}})
	for _, e := range asking.until("caught up", func(all []event) bool { return len(all) > 0 && hasType(all, "notifier.caught-up") }) {
		require.NotEqual(t, o.ID, e.Subject)
	}
	require.Equal(t, 1, countType(asking, "order-created"))
}

func hasType(all []event, typ string) bool {
	for _, e := range all {
		if e.Type == typ {
			return true
		}
	}
	return false
}

func countType(w *watcher, typ string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Type == typ {
			n++
		}
	}
	return n
}
