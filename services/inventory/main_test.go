package main

import (
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

func TestRun_NamesEveryVariableThatIsWrong(t *testing.T) {
	err := run(t.Context(), []string{"LOG_LEVEL=loud", "HTTP_ADDR=nowhere"}, io.Discard)
	for _, name := range []string{"KAFKA_BROKERS", "MONGODB_URI"} {
		require.ErrorContains(t, err, name)
	}
	err = run(t.Context(), []string{
		"LOG_LEVEL=loud", "HTTP_ADDR=nowhere", "KAFKA_BROKERS=localhost:1", "MONGODB_URI=mongodb://localhost:1",
	}, io.Discard)
	for _, name := range []string{"LOG_LEVEL", "HTTP_ADDR", "JWT_SECRET"} {
		require.ErrorContains(t, err, name)
	}
}

// With the broker away, stock is read over HTTP all the same; the service is just not ready. It ends when it is told to.
func TestRun_AnswersWithTheBrokerAway(t *testing.T) {
	db := testbackend.Mongo(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+servicetest.FreeAddr(t), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+servicetest.Secret)
	status, body := s.Get("/v1/stock")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[]}`, body)
	status, required, ok := s.Readiness()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": true, "consumer": false}, required, "inventory needs both")
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, ok)
	require.Contains(t, s.Metrics(), "inventory_decisions_total")
	require.NoError(t, s.Stop())
}

// The whole way: order-api says on Kafka that an order was placed; its stock is held, order-api is told, and shipping is
// asked.
func TestRun_HoldsTheStockOfAnOrderAndAsksForItsShipment(t *testing.T) {
	db, brokers := testbackend.Mongo(t), testbackend.Kafka(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+strings.Join(brokers, ","), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+servicetest.Secret)
	require.Eventually(t, func() bool {
		status, _, ok := s.Readiness()
		return status == http.StatusOK && ok["consumer"]
	}, time.Minute, 50*time.Millisecond, "it is never ready")

	id := uuid.Must(uuid.NewV7()).String()
	sku := "mug-" + id // orders that other tests left on the topic want none of it
	boss := auth.Principal{Customer: "boss", Operator: true}
	status, body := s.Ask(boss, http.MethodPost, "/v1/stock/"+sku+"/adjustments", `{"quantity":5,"reason":"delivery 1"}`)
	require.Equal(t, http.StatusCreated, status, body)
	place(t, brokers, id, sku)

	for topic, typ := range map[string]events.Type{
		events.TopicOrders: events.StockReserved, events.TopicShipping: events.ShipmentRequested,
	} {
		e := said(t, brokers, topic, id)
		require.Equal(t, typ, e.Type)
		require.EqualValues(t, 1, e.Sequence, "sequences count per topic")
		require.Equal(t, "alice", e.Customer)
		r := e.Data.(*eventspb.Reservation)
		require.Equal(t, eventspb.ReservationStatus_RESERVATION_STATUS_HELD, r.GetStatus())
		require.Equal(t, "Ring 1", r.GetRequest().GetAddress().GetStreet())
	}
	status, body = s.Ask(boss, http.MethodGet, "/v1/stock/"+sku, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"sku":"`+sku+`","available":3,"reserved":2,"shipped":0,"writtenOff":0}`, body)
	require.NoError(t, s.Stop())
}

// place says what order-api says of a new order of alice's for two pieces.
func place(t *testing.T, brokers []string, id, sku string) {
	t.Helper()
	e := &events.Event{
		ID: uuid.NewString(), Type: events.OrderCreated, Subject: id, Time: time.Now(), Sequence: 1, Customer: "alice",
		Data: &eventspb.Order{
			Id: id, CustomerId: "alice", Status: eventspb.OrderStatus_ORDER_STATUS_PENDING,
			Items:           []*eventspb.OrderItem{{Sku: sku, Quantity: 2}},
			ShippingAddress: &eventspb.Address{Street: "Ring 1", Country: "DE"},
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

// said reads the first that inventory says of an order on a topic.
func said(t *testing.T, brokers []string, topic, id string) (first *events.Event) {
	t.Helper()
	kafkatest.Read(t, brokers, topic, id, func(r *kafka.Record) (enough bool) {
		var err error
		first, err = events.Decode(r.Header, r.Key, r.Value)
		require.NoError(t, err)
		return first.Source() == events.SourceInventory
	})
	return first
}
