package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// hear folds what a neighbour says of an order into it, as the consumer does.
func (h *harness) hear(typ events.Type, sequence int64, data events.Snapshot) {
	h.t.Helper()
	e := &events.Event{
		ID: fmt.Sprint(typ, sequence), Type: typ, Subject: data.GetId(), Customer: data.GetCustomerId(), Sequence: sequence,
		Time: time.Now(), Data: data,
	}
	n := order.News{Event: e, Apply: func(o *order.Order) (bool, error) {
		switch data := data.(type) {
		case *eventspb.Reservation:
			return o.InventorySays(data)
		default:
			return o.ShippingSays(data.(*eventspb.Shipment))
		}
	}}
	require.Equal(h.t, []error{nil}, h.store.Fold(h.t.Context(), map[string][]order.News{data.GetId(): {n}})[data.GetId()])
}

func (h *harness) reserved(o orderJSON) {
	h.t.Helper()
	h.hear(events.StockReserved, 1, &eventspb.Reservation{
		Id: o.ID, CustomerId: o.CustomerID, Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
	})
}

func (h *harness) dispatched(o orderJSON, sequence int64) {
	h.t.Helper()
	number := "T-1"
	h.hear(events.ShipmentDispatched, sequence, &eventspb.Shipment{
		Id: o.ID, OrderId: o.ID, CustomerId: o.CustomerID, Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
		Carrier: "DHL", Service: "parcel", Cost: &eventspb.Money{Amount: 490, Currency: "EUR"}, TrackingNumber: &number,
		Address: &eventspb.Address{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"},
	})
}

func TestGet_ShowsAnOrderToItsCustomerAndToOperators(t *testing.T) {
	h := start(t)
	o := h.as("alice").place()
	path := "/v1/orders/" + o.ID
	for _, c := range []*client{h.as("alice"), h.operator()} {
		r := c.do(http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, r.status)
		require.Equal(t, `"1.1"`, r.header.Get("ETag"))
	}
	h.nobody().do(http.MethodGet, path, "").refusal(t, 401, "")
	h.as("alice").do(http.MethodGet, path+"?x=1", "").refusal(t, 400, "")
}

func TestOrders_OfOthersDoNotExist(t *testing.T) {
	h := start(t)
	o := h.as("alice").place()
	mallory := h.as("mallory")
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "", ""},
		{http.MethodGet, "/history", ""},
		{http.MethodPost, "/cancel", ""},
		{http.MethodPatch, "", `{"note":"mine now"}`},
	} {
		// Whatever is wrong with the request besides, a stranger learns nothing: no precondition, no body is looked at.
		for _, header := range [][]string{{"If-Match", `"1.1"`}, {"If-Match", `"9.9"`}, {"X-None", "x"}} {
			theirs := mallory.do(c.method, "/v1/orders/"+o.ID+c.path, c.body, header...)
			theirs.refusal(t, 404, "order_not_found")
			nobodys := mallory.do(c.method, "/v1/orders/0193d2a0-0000-7000-8000-000000000001"+c.path, c.body, header...)
			nobodys.refusal(t, 404, "order_not_found")
			require.Equal(t, without(nobodys.body, "instance"), without(theirs.body, "instance"))
		}
	}
	require.EqualValues(t, 1, h.as("alice").do(http.MethodGet, "/v1/orders/"+o.ID, "").order(t).Version)
}

func without(body []byte, field string) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		return map[string]any{"not JSON": string(body)}
	}
	delete(m, field)
	delete(m, "requestId")
	return m
}

func TestGet_IfNoneMatchComparesEverything(t *testing.T) {
	h := start(t)
	o := h.as("alice").place()
	path := "/v1/orders/" + o.ID
	for tag, status := range map[string]int{
		`"1.1"`: 304, `W/"1.1"`: 304, `"1.1-gzip"`: 304, `"0.0", "1.1"`: 304, `*`: 304, `"1.2"`: 200, `"2.1"`: 200, `1.1`: 400, `"`: 400,
	} {
		r := h.as("alice").do(http.MethodGet, path, "", "If-None-Match", tag)
		require.Equal(t, status, r.status, tag)
		if status == 304 {
			require.Equal(t, `"1.1"`, r.header.Get("ETag"))
			require.Empty(t, r.body)
		}
	}
	h.reserved(o)
	require.Equal(t, http.StatusOK, h.as("alice").do(http.MethodGet, path, "", "If-None-Match", `"1.1"`).status)
}

func TestChange_ComparesTheRevisionOnly(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	o := alice.place()
	path := "/v1/orders/" + o.ID
	h.reserved(o) // the status moves in the background: "1.2" now

	r := alice.do(http.MethodPatch, path, `{"note":"one"}`, "If-Match", `W/"1.1-gzip"`)
	require.Equal(t, http.StatusOK, r.status, string(r.body))
	require.Equal(t, `"2.3"`, r.header.Get("ETag"))
	require.Equal(t, "one", r.order(t).Note)
	alice.do(http.MethodPatch, path, `{"note":"two"}`, "If-Match", `"1.1"`).refusal(t, 412, "stale")
	require.Equal(t, http.StatusOK, alice.do(http.MethodPatch, path, `{"note":"two"}`, "If-Match", `"9.9", "2.1"`).status)
	require.Equal(t, http.StatusOK, alice.do(http.MethodPatch, path, `{"note":"three"}`, "If-Match", `*`).status)
	require.Equal(t, http.StatusOK, h.operator().do(http.MethodPatch, path, `{"note":"four"}`, "If-Match", `*`).status)
}

func TestChange_Refusals(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	o := alice.place()
	path := "/v1/orders/" + o.ID
	h.nobody().do(http.MethodPatch, path, `{}`, "If-Match", "*").refusal(t, 401, "")
	// The precondition comes before the body.
	alice.do(http.MethodPatch, path, `{{`).refusal(t, 428, "precondition_required")
	alice.do(http.MethodPatch, path, `{{`, "If-Match", `"7.1"`).refusal(t, 412, "stale")
	alice.do(http.MethodPatch, path, `{{`, "If-Match", `1.1`).refusal(t, 400, "bad_header")
	// The body comes before the state.
	h.reserved(o)
	h.dispatched(o, 1)
	for body, pointer := range map[string]string{
		`{"shippingAddress":null}`:                     "/shippingAddress",
		`{"shippingAddress":{"city":null}}`:            "/shippingAddress/city",
		`{"shippingAddress":{"country":"XX"}}`:         "/shippingAddress/country",
		`{"shippingAddress":{"planet":"Mars"}}`:        "/shippingAddress/planet",
		`{"shippingAddress":{"city":7}}`:               "/shippingAddress/city",
		`{"status":"delivered"}`:                       "/status",
		`{"note":{"$gt":""}}`:                          "/note",
		`{"note":"` + strings.Repeat("x", 1001) + `"}`: "/note",
	} {
		alice.do(http.MethodPatch, path, body, "If-Match", "*").refusal(t, 422, "", pointer)
	}
	alice.do(http.MethodPatch, path, `{"note":"a","note":"b"}`, "If-Match", "*").refusal(t, 400, "")
	alice.do(http.MethodPatch, path, `{"note":"late"}`, "If-Match", "*").refusal(t, 409, "order_state")
	alice.do(http.MethodPost, path+"/cancel", "").refusal(t, 409, "order_state")
}

func TestChange_TakesAMergePatch(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	o := alice.place()
	path := "/v1/orders/" + o.ID
	r := alice.do(http.MethodPatch, path, `{"shippingAddress":{"city":"Bonn"},"note":"ring"}`, "If-Match", "*",
		"Content-Type", "application/merge-patch+json")
	require.Equal(t, http.StatusOK, r.status, string(r.body))
	require.Equal(t, "Bonn", r.order(t).Address.City)
	require.Equal(t, "Ring 1", r.order(t).Address.Street)
	require.Equal(t, "pending", r.order(t).Change.Outcome)

	e := h.events(o.ID, 2)[1]
	require.Equal(t, events.OrderUpdated, e.Type)
	require.EqualValues(t, 2, e.Sequence)
	require.Equal(t, []string{"revision", "shippingAddress", "addressRevision", "note", "addressChange"}, e.Changed)
	require.EqualValues(t, 1, data(e).GetAddressRevision())
	require.JSONEq(t, string(r.body), string(events.AppendJSON(nil, e.Data)))

	r = alice.do(http.MethodPatch, path, `{"note":null}`, "If-Match", "*")
	require.Empty(t, r.order(t).Note)
	h.events(o.ID, 3)

	again := alice.do(http.MethodPatch, path, `{"note":null,"shippingAddress":{"city":"Bonn"}}`, "If-Match", "*")
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, r.body, again.body, "nothing differs: no new version")
	require.Equal(t, http.StatusOK, alice.do(http.MethodPatch, path, `{"note":"last"}`, "If-Match", "*").status)
	require.EqualValues(t, 4, h.events(o.ID, 4)[3].Sequence, "and no event for what changed nothing")
}

func TestChange_OfAnAddressGetsShippingsAnswer(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	o := alice.place()
	path := "/v1/orders/" + o.ID
	alice.do(http.MethodPatch, path, `{"shippingAddress":{"city":"Bonn"}}`, "If-Match", "*")
	h.hear(events.ShipmentUpdateRefused, 3, &eventspb.Shipment{
		Id: o.ID, OrderId: o.ID, CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
		AddressRevision: 1, AddressRefused: true, Carrier: "DHL", Cost: &eventspb.Money{Currency: "EUR"},
		Address: &eventspb.Address{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"},
	})
	got := alice.do(http.MethodGet, path, "").order(t)
	require.Equal(t, "refused", got.Change.Outcome)
	require.Equal(t, "Bonn", got.Address.City, "a refusal never reverts the order's own address")
	require.Equal(t, "Köln", data(h.events(o.ID, 3)[2]).GetShipment().GetAddress().GetCity())
}

func TestCancel_SaysTwoEventsOfOneVersion(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	o := alice.place()
	path := "/v1/orders/" + o.ID
	r := alice.do(http.MethodPost, path+"/cancel", "")
	require.Equal(t, http.StatusAccepted, r.status, string(r.body))
	require.Equal(t, "cancelling", r.order(t).Status)
	require.Equal(t, "pending", r.order(t).Cancellation.Outcome)

	said := h.events(o.ID, 3)
	require.Equal(t, events.OrderCancelRequested, said[1].Type)
	require.Equal(t, events.OrderUpdated, said[2].Type)
	require.Equal(t, []string{"status", "revision", "cancellation"}, said[2].Changed)
	for i, e := range said[1:] {
		require.EqualValues(t, 2, data(e).GetVersion())
		require.EqualValues(t, i+2, e.Sequence)
	}

	again := alice.do(http.MethodPost, path+"/cancel", "")
	require.Equal(t, http.StatusAccepted, again.status)
	require.Equal(t, r.body, again.body)
	alice.do(http.MethodPatch, path, `{"note":"x"}`, "If-Match", "*").refusal(t, 409, "order_state")

	h.hear(events.ShipmentCancelled, 2, &eventspb.Shipment{
		Id: o.ID, OrderId: o.ID, CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED,
		Carrier: "DHL", Cost: &eventspb.Money{Currency: "EUR"},
		Address: &eventspb.Address{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"},
	})
	got := alice.do(http.MethodGet, path, "").order(t)
	require.Equal(t, "cancelled", got.Status)
	require.Equal(t, "done", got.Cancellation.Outcome)
	require.Equal(t, http.StatusAccepted, alice.do(http.MethodPost, path+"/cancel", "").status)
	require.Len(t, h.events(o.ID, 4), 4, "repeated cancels say nothing")
}

func TestCancel_HonoursIfMatch(t *testing.T) {
	h := start(t)
	o := h.as("alice").place()
	h.as("alice").do(http.MethodPost, "/v1/orders/"+o.ID+"/cancel", "", "If-Match", `"5.1"`).refusal(t, 412, "stale")
	require.Equal(t, 202, h.as("alice").do(http.MethodPost, "/v1/orders/"+o.ID+"/cancel", "", "If-Match", `"1.1"`).status)
}

func TestChange_WaitsForTheOutbox(t *testing.T) {
	h := start(t)
	h.topic.goAway()
	alice := h.as("alice")
	o := alice.place()
	path := "/v1/orders/" + o.ID
	for n := range 31 {
		r := alice.do(http.MethodPatch, path, fmt.Sprintf(`{"note":"%d"}`, n), "If-Match", "*")
		require.Equal(t, http.StatusOK, r.status, string(r.body))
	}
	alice.do(http.MethodPatch, path, `{"note":"one too many"}`, "If-Match", "*").refusal(t, 503, "order_busy")
	alice.do(http.MethodPost, path+"/cancel", "").refusal(t, 503, "order_busy")
	h.reserved(o) // news of others is never refused
	require.Equal(t, "confirmed", alice.do(http.MethodGet, path, "").order(t).Status)
}

func TestHistory_ShowsEveryFactWithItsSource(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	o := alice.place()
	h.reserved(o)
	alice.do(http.MethodPatch, "/v1/orders/"+o.ID, `{"note":"x"}`, "If-Match", "*")
	h.dispatched(o, 4)
	r := alice.do(http.MethodGet, "/v1/orders/"+o.ID+"/history", "")
	require.Equal(t, http.StatusOK, r.status)
	var got struct {
		Items []struct {
			Time              time.Time
			Source, Type      string
			Sequence, Version int64
		}
	}
	require.NoError(t, json.Unmarshal(r.body, &got))
	var lines []string
	for _, i := range got.Items {
		require.WithinDuration(t, time.Now(), i.Time, time.Minute)
		lines = append(lines, fmt.Sprintf("%s %s %d → %d", i.Source, i.Type, i.Sequence, i.Version))
	}
	require.Equal(t, []string{
		"order-api order-created 1 → 1", "inventory stock-reserved 1 → 2", "order-api order-updated 3 → 3",
		"shipping shipment-dispatched 4 → 4",
	}, lines)
}

func TestList_IsNewestFirstInPages(t *testing.T) {
	h := start(t)
	alice := h.as("alice")
	var placed []string
	for range 5 {
		placed = append([]string{alice.place().ID}, placed...)
	}
	bobs := h.as("bob").place()
	h.reserved(orderJSON{ID: placed[0], CustomerID: "alice"})

	ids := func(c *client, query string) []string {
		t.Helper()
		var all []string
		for next := ""; ; {
			q := query
			if next != "" {
				q += "&after=" + url.QueryEscape(next)
			}
			r := c.do(http.MethodGet, "/v1/orders?"+q, "")
			require.Equal(t, http.StatusOK, r.status, string(r.body))
			var page struct {
				Items []orderJSON
				Next  string
			}
			require.NoError(t, json.Unmarshal(r.body, &page))
			require.NotNil(t, page.Items)
			for _, o := range page.Items {
				all = append(all, o.ID)
			}
			if next = page.Next; next == "" {
				return all
			}
		}
	}
	require.Equal(t, placed, ids(alice, "limit=2"))
	require.Equal(t, placed, ids(alice, "limit=5"), "a full last page has no next")
	require.Equal(t, placed, ids(alice, "customer=alice"))
	require.Equal(t, placed[:1], ids(alice, "status=confirmed"))
	require.Equal(t, placed[1:], ids(alice, "status=pending&limit=1"))
	require.Equal(t, append([]string{bobs.ID}, placed...), ids(h.operator(), "limit=4"))
	require.Equal(t, []string{bobs.ID}, ids(h.operator(), "customer=bob&status=pending"))
	require.Empty(t, ids(h.as("carol"), "limit=1"))

	alice.do(http.MethodGet, "/v1/orders?customer=bob", "").refusal(t, 403, "forbidden")
	h.nobody().do(http.MethodGet, "/v1/orders", "").refusal(t, 401, "")
	for _, q := range []string{
		"limit=0", "limit=101", "limit=x", "limit=-1", "status=lost", "status=", "after=x", "after=bm90IGEgY3Vyc29y", "page=2", "customer=",
	} {
		alice.do(http.MethodGet, "/v1/orders?"+q, "").refusal(t, 400, "")
	}
}

func TestProducts_AreOperatorsToSet(t *testing.T) {
	h := start(t)
	const hat = `{"name":"Hat","unitPrice":{"amount":2000,"currency":"EUR"}}`
	h.nobody().do(http.MethodPut, "/v1/products/hat", hat).refusal(t, 401, "")
	h.as("alice").do(http.MethodPut, "/v1/products/hat", `{{`).refusal(t, 403, "")
	h.as("alice").do(http.MethodDelete, "/v1/products/hat", "").refusal(t, 403, "")
	boss := h.operator()
	require.Equal(t, http.StatusCreated, boss.do(http.MethodPut, "/v1/products/hat", hat).status)
	require.Equal(t, http.StatusOK, boss.do(http.MethodPut, "/v1/products/hat", hat).status)
	boss.do(http.MethodPut, "/v1/products/hat", `{"sku":"cap","name":"Hat","unitPrice":{"amount":2000,"currency":"EUR"}}`).refusal(t, 422, "", "/sku")
	boss.do(http.MethodPut, "/v1/products/hat", `{"name":"Hat","unitPrice":{"amount":-1,"currency":"EUR"}}`).refusal(t, 422, "amount", "/unitPrice/amount")
	boss.do(http.MethodPut, "/v1/products/Hat", hat).refusal(t, 422, "sku", "/sku")

	r := h.nobody().do(http.MethodGet, "/v1/products/hat", "")
	require.Equal(t, http.StatusOK, r.status)
	require.JSONEq(t, `{"sku":"hat","name":"Hat","unitPrice":{"amount":2000,"currency":"EUR"}}`, string(r.body))

	var page struct {
		Items []struct{ SKU string }
		Next  string
	}
	r = h.nobody().do(http.MethodGet, "/v1/products?limit=2", "")
	require.NoError(t, json.Unmarshal(r.body, &page))
	require.Equal(t, "hat", page.Items[0].SKU)
	require.Equal(t, "mug-blue", page.Items[1].SKU)
	r = h.as("alice").do(http.MethodGet, "/v1/products?limit=2&after="+url.QueryEscape(page.Next), "")
	require.NoError(t, json.Unmarshal(r.body, &page))
	require.Contains(t, string(r.body), "mug-red")
	require.NotContains(t, string(r.body), "next")

	require.Equal(t, http.StatusNoContent, boss.do(http.MethodDelete, "/v1/products/hat", "").status)
	boss.do(http.MethodDelete, "/v1/products/hat", "").refusal(t, 404, "product_not_found")
	h.nobody().do(http.MethodGet, "/v1/products/hat", "").refusal(t, 404, "product_not_found")
}
