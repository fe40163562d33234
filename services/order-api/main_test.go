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

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/kafka/kafkatest"
	"github.com/orderwire/orderwire/pkg/service/servicetest"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun_NamesEveryVariableThatIsWrong(t *testing.T) {
	complete := []string{"KAFKA_BROKERS=localhost:1", "MONGODB_URI=mongodb://localhost:1", "JWT_SECRET=" + strings.Repeat("s", 32)}
	for name, environ := range map[string][]string{
		"KAFKA_BROKERS": nil,
		"MONGODB_URI":   nil,
		"JWT_SECRET":    complete[:2],
		"HTTP_ADDR":     append([]string{"HTTP_ADDR=nowhere"}, complete...),
		"LOG_LEVEL":     append([]string{"LOG_LEVEL=loud"}, complete...),
		"DEV_LOGIN":     {"DEV_LOGIN=true", "JWT_JWKS_URL=http://localhost:1/keys", complete[0], complete[1]},
	} {
		require.ErrorContains(t, run(t.Context(), environ, io.Discard), name)
	}
}

// With the broker away orders are read and taken all the same, and the service is ready: outboxes fill meanwhile.
func TestRun_IsReadyWithTheBrokerAway(t *testing.T) {
	db := testbackend.Mongo(t)
	s := servicetest.Start(t, run,
		"KAFKA_BROKERS="+servicetest.FreeAddr(t), "MONGODB_URI="+os.Getenv("TEST_MONGODB_URI"), "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+strings.Repeat("s", 32))
	status, body := s.Get("/v1/products")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"items":[]}`, body)
	status, required, ok := s.Readiness()
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, required)
	require.Equal(t, map[string]bool{"mongodb": true, "kafka": false, "consumer": false}, ok)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/dev/token", strings.NewReader(`{"customer":"alice"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "the development login is off unless it is asked for")
	require.NoError(t, s.Stop())
}

// The whole way: an order is placed over HTTP and said on Kafka, inventory answers there, and the customer sees it.
func TestRun_TakesAnOrderAndConfirmsItOnceStockIsReserved(t *testing.T) {
	db, brokers := testbackend.Mongo(t), testbackend.Kafka(t)
	s := start(t, strings.Join(brokers, ","), os.Getenv("TEST_MONGODB_URI"), db)
	require.Eventually(t, func() bool {
		_, _, ok := s.Readiness()
		return ok["consumer"]
	}, time.Minute, 50*time.Millisecond, "it never joins its consumer group")

	var shown struct{ ID, Status string }
	alice := newCaller(t, s, "alice", false)
	status, answer, _, err := alice.do(t.Context(), http.MethodPost, "/v1/orders", someOrder)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status, string(answer))
	require.NoError(t, json.Unmarshal(answer, &shown))
	require.Equal(t, "pending", shown.Status)
	created := said(t, brokers, shown.ID, 1)
	require.Equal(t, events.OrderCreated, created.Type)
	require.Equal(t, "alice", created.Customer)
	require.Equal(t, eventspb.OrderStatus_ORDER_STATUS_PENDING, created.Data.(*eventspb.Order).GetStatus())

	reserve(t, brokers, shown.ID)
	updated := said(t, brokers, shown.ID, 2)
	require.Equal(t, events.OrderUpdated, updated.Type)
	require.Equal(t, "alice", updated.Customer)
	require.Equal(t, eventspb.OrderStatus_ORDER_STATUS_CONFIRMED, updated.Data.(*eventspb.Order).GetStatus())
	status, answer, _, err = alice.do(t.Context(), http.MethodGet, "/v1/orders/"+shown.ID, "")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, json.Unmarshal(answer, &shown))
	require.Equal(t, "confirmed", shown.Status)
	require.NoError(t, s.Stop())
}

// reserve says what inventory says of an order of alice's that it holds stock for.
func reserve(t *testing.T, brokers []string, id string) {
	t.Helper()
	e := &events.Event{
		ID: uuid.NewString(), Type: events.StockReserved, Subject: id, Time: time.Now(), Sequence: 1, Customer: "alice",
		Data: &eventspb.Reservation{
			Id: id, CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
			Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 1}},
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

// said reads what order-api says of an order with this sequence number.
func said(t *testing.T, brokers []string, id string, sequence int64) (e *events.Event) {
	t.Helper()
	kafkatest.Read(t, brokers, events.TopicOrders, id, func(r *kafka.Record) (enough bool) {
		var err error
		e, err = events.Decode(r.Header, r.Key, r.Value)
		require.NoError(t, err)
		return e.Source() == events.SourceOrderAPI && e.Sequence == sequence
	})
	return e
}
