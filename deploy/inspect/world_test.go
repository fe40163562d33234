package inspect

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 3

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// broker is a kfake with the topics.
type broker struct {
	t      *testing.T
	client *kgo.Client
	log    *topics.Log
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	names := []string{events.TopicOrders, events.TopicShipping}
	for _, service := range documents.Services() {
		for _, topic := range Reads(service) {
			names = append(names, consumer.DeadLetterTopic(topic, service))
		}
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, names...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	log, err := topics.Open(kafka.Config{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return &broker{t, client, log}
}

// write puts records into the log, each at its time.
func (b *broker) write(records ...*kgo.Record) []*kgo.Record {
	b.t.Helper()
	for _, r := range records {
		require.NoError(b.t, b.client.ProduceSync(b.t.Context(), r).FirstErr())
	}
	return records
}

// commit says that a group has finished all records of both topics up to these, which are left out.
func (b *broker) commit(group string, upTo ...*kgo.Record) {
	b.t.Helper()
	bounds, err := b.log.Bounds(b.t.Context(), both...)
	require.NoError(b.t, err)
	stop := map[string]map[int32]int64{}
	for topic, all := range bounds {
		stop[topic] = map[int32]int64{}
		for p, r := range all {
			stop[topic][p] = r.End
		}
	}
	for _, r := range upTo {
		stop[r.Topic][r.Partition] = r.Offset
	}
	offsets := kadm.Offsets{}
	for topic, all := range stop {
		for p, at := range all {
			offsets.AddOffset(topic, p, at, -1)
		}
	}
	require.NoError(b.t, kadm.NewClient(b.client).CommitAllOffsets(b.t.Context(), group, offsets))
}

// record of an event about order id, decided and written at the given time.
func record(t *testing.T, typ events.Type, id string, sequence int64, at time.Time, data events.Snapshot) *kgo.Record {
	t.Helper()
	headers, body, err := events.Encode(&events.Event{
		ID: "e", Type: typ, Subject: id, Time: at, Sequence: sequence, Customer: "alice", Data: data,
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	require.NoError(t, err)
	info, _ := events.Lookup(typ)
	r := &kgo.Record{
		Topic: info.Topic, Partition: topics.PartitionOf([]byte(id), partitions), Key: []byte(id), Value: body,
		Timestamp: at.Add(5 * time.Millisecond),
	}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
	}
	return r
}

// letter is the dead letter that a group makes of a record.
func letter(r *kgo.Record, group string) *kgo.Record {
	l := *r
	l.Topic = consumer.DeadLetterTopic(r.Topic, group)
	l.Headers = append([]kgo.RecordHeader{
		{Key: consumer.HeaderTopic, Value: []byte(r.Topic)},
		{Key: consumer.HeaderPartition, Value: []byte(strconv.Itoa(int(r.Partition)))},
		{Key: consumer.HeaderOffset, Value: []byte(strconv.FormatInt(r.Offset, 10))},
		{Key: consumer.HeaderError, Value: []byte("it cannot be")},
		{Key: consumer.HeaderTime, Value: []byte(noon.Add(time.Second).Format(time.RFC3339Nano))},
	}, r.Headers...)
	return &l
}

// mark is what orderctl dlq writes behind a letter, a minute after noon.
func mark(l *kgo.Record, decision dlq.State) *kgo.Record {
	m := &kgo.Record{Topic: l.Topic, Partition: l.Partition, Key: l.Key, Headers: []kgo.RecordHeader{
		{Key: "dlq-decision", Value: []byte(decision)},
		{Key: "dlq-settles", Value: []byte(strconv.FormatInt(l.Offset, 10))},
		{Key: consumer.HeaderTime, Value: []byte(noon.Add(time.Minute).Format(time.RFC3339Nano))},
	}}
	m.Headers = append(m.Headers, l.Headers[:3]...)
	return m
}

func orderSays(id string) *eventspb.Order { return &eventspb.Order{Id: id, CustomerId: "alice"} }

func held(id string) *eventspb.Reservation {
	return &eventspb.Reservation{
		Id: id, CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
		Request: &eventspb.ShippingRequest{Address: &eventspb.Address{}},
	}
}

func scheduled(id string) *eventspb.Shipment {
	return &eventspb.Shipment{Id: id, CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED}
}

// stored are the documents of one order as the services store them; nil where one has none.
type stored struct{ order, reservation, shipment bson.M }

// confirmed is an order of which all services have heard.
func confirmed(id string) stored {
	envelope := func(sequences, seen bson.M) bson.M {
		return bson.M{
			"_id": id, "version": 2, "sequences": sequences, "seen": seen, "outbox": bson.A{}, "customerId": "alice",
			"createdAt": noon, "updatedAt": noon,
		}
	}
	s := stored{
		order:       envelope(bson.M{events.TopicOrders: 1}, bson.M{"inventory": 1, "shipping": 1}),
		reservation: envelope(bson.M{events.TopicOrders: 1, events.TopicShipping: 1}, bson.M{"order-api": 1}),
		shipment:    envelope(bson.M{events.TopicShipping: 1}, bson.M{"inventory": 1}),
	}
	s.order["status"], s.order["waiting"] = "confirmed", bson.M{"status": "confirmed", "since": noon}
	s.order["stock"] = bson.M{"status": 1, "cause": 0, "short": bson.A{}}
	s.order["shipment"] = bson.M{"status": 1, "estimatedDelivery": time.Unix(0, 0)}
	s.reservation["status"], s.reservation["cause"] = "held", ""
	s.reservation["request"] = bson.M{"addressRevision": 0, "cancelRequested": false}
	s.shipment["status"] = "scheduled"
	return s
}

// said is what the services have said on the way to confirmed, in order.
func said(t *testing.T, id string) []*kgo.Record {
	t.Helper()
	ms := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	return []*kgo.Record{
		record(t, events.OrderCreated, id, 1, noon, orderSays(id)),
		record(t, events.StockReserved, id, 1, ms(10), held(id)),
		record(t, events.ShipmentRequested, id, 1, ms(10), held(id)),
		record(t, events.ShipmentScheduled, id, 1, ms(20), scheduled(id)),
	}
}

// database of all three services.
func database(t *testing.T) *documents.Databases {
	t.Helper()
	db := testbackend.Mongo(t)
	names := map[string]string{}
	for _, service := range documents.Services() {
		names[service] = db.Name()
	}
	d, err := documents.Open(t.Context(), os.Getenv("TEST_MONGODB_URI"), names)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := d.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return d
}

func store(t *testing.T, d *documents.Databases, s stored) {
	t.Helper()
	for service, doc := range map[string]bson.M{
		documents.OrderAPI: s.order, documents.Inventory: s.reservation, documents.Shipping: s.shipment,
	} {
		if doc != nil {
			_, err := d.Collection(service).InsertOne(t.Context(), doc)
			require.NoError(t, err)
		}
	}
}
