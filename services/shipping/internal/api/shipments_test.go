package api_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/api"
)

const shipments = "/v1/shipments/"

var steps = []string{"dispatch", "deliver", "fail"}

func TestShipment_ShowsItsOwnerEverything(t *testing.T) {
	h := start(t)
	id := h.scheduled("alice")
	s := h.as("alice", false).do(http.MethodGet, shipments+id, "").shipment()
	require.Equal(t, id, s.Id)
	require.Equal(t, id, s.OrderId)
	require.Equal(t, "alice", s.CustomerId)
	require.Equal(t, api.Scheduled, s.Status)
	require.Equal(t, "Europaket", s.Carrier)
	require.Equal(t, api.Money{Amount: 990, Currency: "EUR"}, s.Cost)
	require.Equal(t, "Ring 0", s.Address.Street)
	require.Nil(t, s.TrackingNumber)
	require.Nil(t, s.FailureReason)
	require.Equal(t, s.CreatedAt.AddDate(0, 0, 4), s.EstimatedDelivery)
	require.Len(t, s.History, 1)
	require.Equal(t, string(events.ShipmentScheduled), s.History[0].Type)
	require.Equal(t, s.CreatedAt, s.History[0].Time)

	require.Equal(t, s, h.operator().do(http.MethodGet, shipments+id, "").shipment())
	page := h.as("alice", false).do(http.MethodGet, "/v1/shipments", "")
	single := h.as("alice", false).do(http.MethodGet, shipments+id, "")
	require.JSONEq(t, `{"items":[`+string(single.body)+`]}`, string(page.body), "a shipment is the same everywhere")
}

func TestShipment_IsHiddenFromStrangers(t *testing.T) {
	h := start(t)
	id := h.scheduled("alice")
	theirs := h.as("mallory", false).do(http.MethodGet, shipments+id, "")
	theirs.refusal(404, "shipment_not_found")
	nobodys := h.as("mallory", false).do(http.MethodGet, shipments+uuid.NewString(), "")
	require.Equal(t, string(nobodys.body), string(theirs.body), "as if it did not exist")

	h.nobody().do(http.MethodGet, shipments+id, "").refusal(401, "unauthenticated")
	h.nobody().do(http.MethodGet, "/v1/shipments", "").refusal(401, "unauthenticated")
	h.as("alice", false).do(http.MethodGet, shipments+id+"?fields=all", "").refusal(400, "")
	h.operator().do(http.MethodGet, shipments+"nonsense", "").refusal(404, "shipment_not_found")
	wrong := h.operator().do(http.MethodDelete, shipments+id, "")
	wrong.refusal(405, "")
	require.Contains(t, wrong.header.Get("Allow"), "GET")

	ids, _ := h.as("mallory", false).do(http.MethodGet, "/v1/shipments?order="+id, "").list()
	require.Empty(t, ids)
}

func TestList_IsPagedAndNarrowed(t *testing.T) {
	h := start(t)
	var hers, all []string
	for i := range 5 {
		customer := []string{"alice", "bob"}[i%2]
		id := h.scheduled(customer)
		all = append([]string{id}, all...)
		if customer == "alice" {
			hers = append([]string{id}, hers...)
		}
	}
	h.operator().do(http.MethodPost, shipments+hers[2]+"/dispatch", `{}`).shipment()

	pages := func(c *client, query string) (got []string) {
		t.Helper()
		for after := ""; ; {
			path := "/v1/shipments?limit=2" + query
			if after != "" {
				path += "&after=" + url.QueryEscape(after)
			}
			ids, next := c.do(http.MethodGet, path, "").list()
			got = append(got, ids...)
			if after = next; next == "" {
				return got
			}
			require.Len(t, ids, 2)
		}
	}
	require.Equal(t, all, pages(h.operator(), ""))
	require.Equal(t, hers, pages(h.as("alice", false), ""))
	require.Equal(t, hers[:2], pages(h.as("alice", false), "&status=scheduled"))
	require.Equal(t, hers[2:], pages(h.operator(), "&status=dispatched"))
	require.Empty(t, pages(h.operator(), "&status=failed"))
	require.Equal(t, hers[:1], pages(h.operator(), "&order="+hers[0]))
	require.Equal(t, hers[:1], pages(h.operator(), "&order="+strings.ToUpper(hers[0])), "a UUID is one in capitals, too")
	empty := h.as("carol", false).do(http.MethodGet, "/v1/shipments", "")
	require.JSONEq(t, `{"items":[]}`, string(empty.body))

	for _, query := range []string{
		"limit=0", "limit=101", "limit=x", "limit=", "limit=1&limit=2", "after=", "after=nonsense", "after=eyJhIjoieCJ9",
		"order=", "order=nonsense", "status=", "status=lost", "status=Scheduled", "customer=alice", "page=2",
	} {
		h.operator().do(http.MethodGet, "/v1/shipments?"+query, "").refusal(400, "")
	}
}

func TestCarrier_TakesAParcelToItsCustomer(t *testing.T) {
	h := start(t)
	id := h.scheduled("alice")
	before := h.operator().do(http.MethodGet, shipments+id, "").shipment()
	step := func(name, body string) reply { return h.operator().do(http.MethodPost, shipments+id+"/"+name, body) }

	step("deliver", `{}`).refusal(409, "shipment_state")
	step("fail", `{"reason":"lost"}`).refusal(409, "shipment_state")
	require.Equal(t, before, h.operator().do(http.MethodGet, shipments+id, "").shipment(), "a refusal changes nothing")

	for range 2 { // the same again is the same
		s := step("dispatch", `{"trackingNumber":"TRACK-1"}`).shipment()
		require.Equal(t, api.Dispatched, s.Status)
		require.Equal(t, "TRACK-1", *s.TrackingNumber)
		require.Len(t, s.History, 2)
	}
	require.Len(t, step("dispatch", `{}`).shipment().History, 2)
	step("dispatch", `{"trackingNumber":"TRACK-2"}`).refusal(409, "shipment_state")

	for range 2 {
		s := step("deliver", ` {} `).shipment()
		require.Equal(t, api.Delivered, s.Status)
		require.Len(t, s.History, 3)
		require.EqualValues(t, 3, s.History[2].Sequence)
	}
	step("dispatch", `{"trackingNumber":"TRACK-1"}`).refusal(409, "shipment_state")
	step("fail", `{"reason":"refused"}`).refusal(409, "shipment_state")
}

func TestCarrier_SaysThatAParcelFailed(t *testing.T) {
	h := start(t)
	for reason, other := range map[string]string{"refused": "lost", "lost": "refused"} {
		id := h.scheduled("alice")
		h.operator().do(http.MethodPost, shipments+id+"/dispatch", `{}`).shipment()
		for range 2 {
			s := h.operator().do(http.MethodPost, shipments+id+"/fail", `{"reason":"`+reason+`"}`).shipment()
			require.Equal(t, api.Failed, s.Status)
			require.Equal(t, api.FailureReason(reason), *s.FailureReason)
			require.Len(t, s.History, 3)
		}
		h.operator().do(http.MethodPost, shipments+id+"/fail", `{"reason":"`+other+`"}`).refusal(409, "shipment_state")
		h.operator().do(http.MethodPost, shipments+id+"/deliver", `{}`).refusal(409, "shipment_state")
	}
}

func TestCarrier_FindsACancelledShipmentStopped(t *testing.T) {
	h := start(t)
	id := h.scheduled("alice")
	h.tell(id, "alice", 2, 1, true)
	for _, name := range steps {
		h.operator().do(http.MethodPost, shipments+id+"/"+name, bodyOf(name)).refusal(409, "shipment_state")
	}
	s := h.as("alice", false).do(http.MethodGet, shipments+id, "").shipment()
	require.Equal(t, api.Cancelled, s.Status)
	require.Equal(t, "Ring 1", s.Address.Street)
	require.Len(t, s.History, 3)
	require.Equal(t, s.History[1].Version, s.History[2].Version, "one write said both")
}

func bodyOf(step string) string {
	if step == "fail" {
		return `{"reason":"lost"}`
	}
	return `{}`
}

// 401, 403, 404, body, 409: each is found out before the next.
func TestCarrier_IsRefusedInOrder(t *testing.T) {
	h := start(t)
	id := h.scheduled("alice")
	for _, name := range steps {
		here, nowhere := shipments+id+"/"+name, shipments+uuid.NewString()+"/"+name
		h.nobody().do(http.MethodPost, nowhere, `{`).refusal(401, "unauthenticated")
		h.as("alice", false).do(http.MethodPost, nowhere, `{`).refusal(403, "forbidden")
		h.as("alice", false).do(http.MethodPost, here, bodyOf(name)).refusal(403, "forbidden")
		h.operator().do(http.MethodPost, nowhere, `{`).refusal(404, "shipment_not_found")
		h.operator().do(http.MethodPost, here+"?force=1", `{`).refusal(400, "")
		h.operator().do(http.MethodPost, here, `{`).refusal(400, "malformed_json")
		h.operator().do(http.MethodPost, here, bodyOf(name)+`{}`).refusal(400, "")
		h.operator().do(http.MethodPost, here, `{"a":1,"a":2}`).refusal(400, "duplicate_key")
		h.operator().do(http.MethodPost, here, `{"force":true}`).refusal(422, "unknown_field", "/force")
		h.operator().do(http.MethodPost, here, `null`).refusal(422, "wrong_type", "")
		h.operator().do(http.MethodPost, here, `[]`).refusal(422, "wrong_type", "")
		h.operator().do(http.MethodPost, here, "").refusal(415, "")
		h.operator().do(http.MethodPost, here, bodyOf(name), "Content-Type", "text/plain").refusal(415, "")
		h.operator().do(http.MethodPost, here, `{"reason":"`+strings.Repeat("a", 70_000)+`"}`).refusal(413, "")
		wrong := h.operator().do(http.MethodGet, here, "")
		wrong.refusal(405, "")
		require.Contains(t, wrong.header.Get("Allow"), "POST")
	}
	h.operator().do(http.MethodPost, shipments+id+"/fail", `{"reason":"bored"}`).refusal(422, "bad_reason", "/reason")
	h.operator().do(http.MethodPost, shipments+id+"/fail", `{}`).refusal(422, "bad_reason", "/reason")
	h.operator().do(http.MethodPost, shipments+id+"/fail", `{"reason":{"$gt":""}}`).refusal(422, "wrong_type", "/reason")
	for _, number := range []string{"", "-1", " 1", "a\\nb", "ü", "a/b", strings.Repeat("1", 65)} {
		h.operator().do(http.MethodPost, shipments+id+"/dispatch", `{"trackingNumber":"`+number+`"}`).
			refusal(422, "bad_tracking_number", "/trackingNumber")
	}
	require.Equal(t, api.Scheduled, h.operator().do(http.MethodGet, shipments+id, "").shipment().Status)
	longest := strings.Repeat("1", 64)
	require.Equal(t, longest, *h.operator().do(http.MethodPost, shipments+id+"/dispatch", `{"trackingNumber":"`+longest+`"}`).shipment().TrackingNumber)
}

// Twenty operators say different things of one parcel at once: one is believed, and it is said once.
func TestCarrier_OfTwentyAtOnceOneIsBelieved(t *testing.T) {
	h := start(t)
	id := h.scheduled("alice")
	operator := h.operator()
	statuses := make([]int, 20)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			body := `{"trackingNumber":"T-` + string(rune('a'+i)) + `"}`
			statuses[i] = operator.do(http.MethodPost, shipments+id+"/dispatch", body).status
		})
	}
	all.Wait()
	believed := 0
	for _, status := range statuses {
		if status == http.StatusOK {
			believed++
			continue
		}
		require.Equal(t, http.StatusConflict, status)
	}
	require.Equal(t, 1, believed)
	require.Len(t, operator.do(http.MethodGet, shipments+id, "").shipment().History, 2)
}

func TestDatabaseAway_IsServiceUnavailable(t *testing.T) {
	name := testbackend.Mongo(t).Name()
	db, err := mongodb.Connect(t.Context(), mongodb.Config{URI: os.Getenv("TEST_MONGODB_URI"), Database: name}, "test", nil)
	require.NoError(t, err)
	h := startOn(t, db)
	require.NoError(t, mongodb.Disconnect(t.Context(), db))
	for _, r := range []reply{
		h.operator().do(http.MethodGet, "/v1/shipments", ""),
		h.operator().do(http.MethodGet, shipments+uuid.NewString(), ""),
		h.operator().do(http.MethodPost, shipments+uuid.NewString()+"/dispatch", `{}`),
	} {
		r.refusal(503, "unavailable")
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
}

func TestContract_IsServed(t *testing.T) {
	h := start(t)
	want, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	require.Equal(t, string(want), string(h.nobody().do(http.MethodGet, "/openapi.yaml", "").body))
}
