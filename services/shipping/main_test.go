package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/service/servicetest"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a secret of at least thirty-two bytes"

func TestRun_NamesEveryVariableThatIsWrong(t *testing.T) {
	complete := []string{"KAFKA_BROKERS=localhost:1", "MONGODB_URI=mongodb://localhost:1", "JWT_SECRET=" + secret}
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
		"JWT_SECRET="+secret)
	status, body := get(t, s, "/v1/shipments")
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
		"JWT_SECRET="+secret, "CARRIER_DISPATCH_AFTER=1ms", "CARRIER_DELIVER_AFTER=1ms")
	require.Eventually(t, func() bool {
		status, _, ok := s.Readiness()
		return status == http.StatusOK && ok["consumer"]
	}, time.Minute, 50*time.Millisecond, "it is never ready")

	id := uuid.Must(uuid.NewV7()).String()
	partition, offset := request(t, brokers, id)
	require.Equal(t,
		[]events.Type{events.ShipmentScheduled, events.ShipmentDispatched, events.ShipmentDelivered},
		said(t, brokers, partition, offset, id, events.ShipmentDelivered))

	status, body := get(t, s, "/v1/shipments/"+id)
	require.Equal(t, http.StatusOK, status)
	var shown struct{ Status, TrackingNumber string }
	require.NoError(t, json.Unmarshal([]byte(body), &shown))
	require.Equal(t, "delivered", shown.Status)
	require.NotEmpty(t, shown.TrackingNumber)
	for _, typ := range []string{"scheduled", "dispatched", "delivered"} {
		require.Contains(t, s.Metrics(), `shipping_decisions_total{type="shipment-`+typ+`"} 1`)
	}
	require.NoError(t, s.Stop())
}

// get asks as the customer alice.
func get(t *testing.T, s *servicetest.Service, path string) (status int, body string) {
	t.Helper()
	_, _ = s.Get("/openapi.yaml") // waits for the port
	verifier, err := auth.NewVerifier(t.Context(), auth.Config{Secret: secret, Issuer: "orderwire", Audience: "orderwire"})
	require.NoError(t, err)
	token, err := verifier.Sign(auth.Principal{Customer: "alice"}, time.Hour)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(raw)
}

// request says what inventory says of a new order of alice's, and tells where.
func request(t *testing.T, brokers []string, id string) (partition int32, offset int64) {
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
	m := &sarama.ProducerMessage{Topic: e.Topic(), Key: sarama.StringEncoder(id), Value: sarama.ByteEncoder(body)}
	for _, h := range headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
	}
	conf, err := kafka.ProducerConfig(kafka.Config{Brokers: brokers}, "test", nil)
	require.NoError(t, err)
	conf.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer(brokers, conf)
	require.NoError(t, err)
	defer producer.Close()
	partition, offset, err = producer.SendMessage(m)
	require.NoError(t, err)
	return partition, offset
}

// said reads what shipping says of an order behind an offset, up to the last type.
func said(t *testing.T, brokers []string, partition int32, offset int64, id string, last events.Type) (types []events.Type) {
	t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: brokers}, "test")
	require.NoError(t, err)
	defer client.Close()
	reader, err := sarama.NewConsumerFromClient(client)
	require.NoError(t, err)
	defer reader.Close()
	records, err := reader.ConsumePartition(events.TopicShipping, partition, offset)
	require.NoError(t, err)
	defer records.Close()
	patience := time.After(time.Minute)
	for {
		select {
		case r := <-records.Messages():
			e, err := events.Decode(func(name string) string {
				for _, h := range r.Headers {
					if string(h.Key) == name {
						return string(h.Value)
					}
				}
				return ""
			}, r.Key, r.Value)
			require.NoError(t, err)
			if e.Subject != id || e.Source() != events.SourceShipping {
				continue
			}
			if types = append(types, e.Type); e.Type == last {
				return types
			}
		case <-patience:
			t.Fatalf("shipping said %v of %s, and not yet %s", types, id, last)
		}
	}
}
