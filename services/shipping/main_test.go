package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/kafka/kafkatest"
	"github.com/orderwire/orderwire/pkg/service/servicetest"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = auth.Principal{Customer: "alice"}

func TestRun_NamesEveryVariableThatIsWrong(t *testing.T) {
	complete := []string{"KAFKA_BROKERS=localhost:1", "MONGODB_URI=mongodb://localhost:1", "JWT_SECRET=" + servicetest.Secret}
	for name, environ := range map[string][]string{
		"KAFKA_BROKERS":          nil,
		"MONGODB_URI":            nil,
		"JWT_SECRET":             complete[:2],
		"HTTP_ADDR":              append([]string{"HTTP_ADDR=nowhere"}, complete...),
		"LOG_LEVEL":              append([]string{"LOG_LEVEL=loud"}, complete...),
		"CARRIER_DISPATCH_AFTER": append([]string{"CARRIER_DISPATCH_AFTER=soon"}, complete...),
		"CARRIER_DELIVER_AFTER":  append([]string{"CARRIER_DELIVER_AFTER=-1s"}, complete...),
	} {
		require.ErrorContains(t, run(t.Context(), environ, io.Discard), name)
	}
}

// With the broker away shipments are read over HTTP all the same; the service is just not ready. It ends when it is
// told to.
func TestRun_AnswersWithTheBrokerAway(t *testing.T) {
	db := testbackend.Mongo(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+servicetest.FreeAddr(t), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+servicetest.Secret)
	status, body := s.Ask(alice, http.MethodGet, "/v1/shipments", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[]}`, body)
	status, _ = s.Get("/v1/shipments")
	require.Equal(t, http.StatusUnauthorized, status)
	status, required, ok := s.Readiness()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": true, "consumer": false}, required, "shipping needs both")
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, ok)
	require.Contains(t, s.Metrics(), `shipping_decisions_total{type="shipment-failed"} 0`)
	require.NoError(t, s.Stop())
}

// The whole way: inventory asks on Kafka, the parcel leaves and arrives by itself, and each step is said on Kafka.
func TestRun_TakesAnOrderFromItsRequestToItsDelivery(t *testing.T) {
	db, brokers := testbackend.Mongo(t), testbackend.Kafka(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+strings.Join(brokers, ","), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+servicetest.Secret, "CARRIER_DISPATCH_AFTER=1ms", "CARRIER_DELIVER_AFTER=1ms")
	require.Eventually(t, func() bool {
		status, _, ok := s.Readiness()
		return status == http.StatusOK && ok["consumer"]
	}, time.Minute, 50*time.Millisecond, "it is never ready")

	id := uuid.Must(uuid.NewV7()).String()
	request(t, brokers, id)
	require.Equal(t,
		[]events.Type{events.ShipmentScheduled, events.ShipmentDispatched, events.ShipmentDelivered},
		said(t, brokers, id, events.ShipmentDelivered))

	status, body := s.Ask(alice, http.MethodGet, "/v1/shipments/"+id, "")
	require.Equal(t, http.StatusOK, status)
	var shown struct{ Status, TrackingNumber string }
	require.NoError(t, json.Unmarshal([]byte(body), &shown))
	require.Equal(t, "delivered", shown.Status)
	require.NotEmpty(t, shown.TrackingNumber)
	for _, typ := range []string{"scheduled", "dispatched", "delivered"} {
		// Requests that the tests of inventory left on the topic count, too.
		require.Regexp(t, `shipping_decisions_total\{type="shipment-`+typ+`"\} [1-9]`, s.Metrics())
	}
	require.NoError(t, s.Stop())
}

// request says what inventory says of a new order of alice's.
func request(t *testing.T, brokers []string, id string) {
	t.Helper()
	e := &events.Event{
		ID: uuid.NewString(), Type: events.ShipmentRequested, Subject: id, Time: time.Now(), Sequence: 1, Customer: "alice",
		Data: &eventspb.Reservation{
			Id: id, CustomerId: "alice", Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 2}},
			Request: &eventspb.ShippingRequest{Address: &eventspb.Address{Street: "Ring 1", Country: "DE"}},
		},
	}
	headers, body, err := events.Encode(e)
	require.NoError(t, err)
	m := &kafka.Message{Topic: e.Topic(), Key: id, Value: body}
	for _, h := range headers {
		m.Headers = append(m.Headers, kafka.Header(h))
	}
	kafkatest.Publish(t, brokers, m)
}

// said reads what shipping says of an order, up to the last type.
func said(t *testing.T, brokers []string, id string, last events.Type) (types []events.Type) {
	t.Helper()
	kafkatest.Read(t, brokers, events.TopicShipping, id, func(r *kafka.Record) (enough bool) {
		e, err := events.Decode(r.Header, r.Key, r.Value)
		require.NoError(t, err)
		if e.Source() == events.SourceShipping {
			types = append(types, e.Type)
		}
		return e.Type == last
	})
	return types
}
