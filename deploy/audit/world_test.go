package audit_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/orderwire/orderwire/deploy/audit"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

const partitions = 3

// world is one order of a system where all is well, as documents and records, to be spoilt before it is stored.
type world struct {
	order, reservation, shipment, stock bson.M // nil: there is none
	adjusted                            int
	log                                 []*kgo.Record
	letters                             []*kgo.Record
	// behind is how many records of a topic each group has not committed.
	behind   map[string]int
	accepted []string
	ignore   map[audit.Coordinates]bool
	// cut is how many records of each topic retention has taken.
	cut int64
	// more, where set, stores more documents and records.
	more func(put func(collection string, docs []any), produce func(*kgo.Record))
}

const id = "o-1"

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	home    = topics.PartitionOf([]byte(id), partitions)
	stamp   = timestamppb.New(noon)
	euro    = &eventspb.Money{Amount: 990, Currency: "EUR"}
	ring    = &eventspb.Address{Name: "Alice", Street: "Ring 1", City: "Cork", PostalCode: "T12", Country: "IE"}
	ringDoc = bson.M{"name": "Alice", "street": "Ring 1", "city": "Cork", "postalCode": "T12", "country": "IE"}
	euroDoc = bson.M{"amount": int64(990), "currency": "EUR"}
	noItems = bson.A{}
)

// order is what order-api says with a version.
func order(version int64) *eventspb.Order {
	o := &eventspb.Order{
		Id: id, CustomerId: "alice", Status: eventspb.OrderStatus_ORDER_STATUS_PENDING, Version: version, Revision: 1,
		Items: []*eventspb.OrderItem{{Sku: "mug", Name: "Mug", Quantity: 2, UnitPrice: euro}}, Total: euro,
		ShippingAddress: ring, CreatedAt: stamp, UpdatedAt: stamp,
	}
	if version > 1 {
		o.Status = eventspb.OrderStatus_ORDER_STATUS_CONFIRMED
	}
	if version > 2 {
		s := shipment(eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED)
		o.Shipment = &eventspb.OrderShipment{
			Id: id, Status: s.GetStatus(), Carrier: s.GetCarrier(), Service: s.GetService(), Cost: s.GetCost(),
			EstimatedDelivery: s.GetEstimatedDelivery(), Address: s.GetAddress(),
		}
	}
	return o
}

func reservation(status eventspb.ReservationStatus, cause eventspb.ReleaseCause) *eventspb.Reservation {
	return &eventspb.Reservation{
		Id: id, CustomerId: "alice", Status: status, ReleaseCause: cause, CreatedAt: stamp, UpdatedAt: stamp,
		Items:   []*eventspb.ReservedItem{{Sku: "mug", Quantity: 2}},
		Request: &eventspb.ShippingRequest{Address: ring},
	}
}

func shipment(status eventspb.ShipmentStatus) *eventspb.Shipment {
	return &eventspb.Shipment{
		Id: id, OrderId: id, CustomerId: "alice", Status: status, Carrier: "Post", Service: "parcel", Cost: euro,
		EstimatedDelivery: stamp, Address: ring, CreatedAt: stamp, UpdatedAt: stamp,
	}
}

const (
	held     = eventspb.ReservationStatus_RESERVATION_STATUS_HELD
	released = eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED
)

// record makes a record of an event.
func record(t *testing.T, typ events.Type, sequence int64, data events.Snapshot) *kgo.Record {
	t.Helper()
	e := &events.Event{
		ID: fmt.Sprintf("%s-%d", typ, sequence), Type: typ, Subject: data.GetId(), Time: noon, Sequence: sequence,
		Customer: data.GetCustomerId(), Data: data,
	}
	headers, body, err := events.Encode(e)
	require.NoError(t, err)
	r := &kgo.Record{
		Topic: e.Topic(), Partition: topics.PartitionOf([]byte(e.Subject), partitions), Key: []byte(e.Subject), Value: body,
	}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
	}
	return r
}

// well is a confirmed order: six events, three documents, two of ten mugs reserved.
func well(t *testing.T) *world {
	t.Helper()
	return &world{
		adjusted: 10,
		stock:    bson.M{"_id": "mug", "available": int64(8), "reserved": int64(2), "shipped": int64(0), "writtenOff": int64(0)},
		order: bson.M{
			"_id": id, "version": int64(3), "sequences": bson.M{events.TopicOrders: int64(3)},
			"seen": bson.M{"inventory": int64(1), "shipping": int64(1)}, "outbox": noItems, "history": noItems,
			"customerId": "alice", "status": "confirmed", "note": "", "revision": int64(1), "addressRevision": int64(0),
			"items": bson.A{bson.M{"sku": "mug", "name": "Mug", "quantity": int32(2), "unitPrice": euroDoc}},
			"total": euroDoc, "shippingAddress": ringDoc, "cancelRequestedAt": nil, "createdAt": noon, "updatedAt": noon,
			"stock": bson.M{"status": int32(held), "cause": int32(0), "short": noItems},
			"shipment": bson.M{
				"id": id, "status": int32(1), "carrier": "Post", "service": "parcel", "cost": euroDoc, "estimatedDelivery": noon,
				"trackingNumber": "", "address": ringDoc, "addressRevision": int64(0), "addressRefused": false,
				"cancelRefused": false, "failure": int32(0),
			},
		},
		reservation: bson.M{
			"_id": id, "version": int64(1), "sequences": bson.M{events.TopicOrders: int64(1), events.TopicShipping: int64(1)},
			"seen": bson.M{"order-api": int64(1)}, "outbox": noItems, "customerId": "alice", "status": "held", "cause": "",
			"items": bson.A{bson.M{"sku": "mug", "quantity": int32(2)}}, "short": noItems,
			"request": bson.M{"address": ringDoc, "addressRevision": int64(0), "cancelRequested": false},
		},
		shipment: bson.M{
			"_id": id, "version": int64(1), "sequences": bson.M{events.TopicShipping: int64(1)}, "seen": bson.M{"inventory": int64(1)},
			"outbox": noItems, "history": noItems, "customerId": "alice", "status": "scheduled", "pieces": int64(2),
			"rate":              bson.M{"carrier": "Post", "service": "parcel", "cost": int64(990), "currency": "EUR"},
			"estimatedDelivery": noon, "trackingNumber": "", "address": ringDoc, "addressRevision": int64(0),
			"addressRefused": false, "cancelRefused": false, "failureReason": "",
		},
		log: []*kgo.Record{
			record(t, events.OrderCreated, 1, order(1)),                                                         // order-events 0
			record(t, events.StockReserved, 1, reservation(held, 0)),                                            // 1
			record(t, events.ShipmentRequested, 1, reservation(held, 0)),                                        // shipping-events 0
			record(t, events.OrderUpdated, 2, order(2)),                                                         // order-events 2
			record(t, events.ShipmentScheduled, 1, shipment(eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED)), // shipping-events 1
			record(t, events.OrderUpdated, 3, order(3)),                                                         // order-events 3
		},
		accepted: []string{id}, behind: map[string]int{}, ignore: map[audit.Coordinates]bool{},
	}
}

// store puts the world into a real database and a broker, and gives what an audit of it takes.
func (w *world) store(t *testing.T) audit.Config {
	t.Helper()
	db := testbackend.Mongo(t)
	for name, doc := range map[string]bson.M{"orders": w.order, "reservations": w.reservation, "shipments": w.shipment, "stock": w.stock} {
		if doc != nil {
			insert(t, db.Collection(name), doc)
		}
	}
	insert(t, db.Collection("adjustments"), bson.M{"_id": "a-1", "sku": "mug", "quantity": int64(w.adjusted)})

	names := []string{events.TopicOrders, events.TopicShipping, "shipping.retry", "inventory.retry", "order-api.retry"}
	for _, g := range []string{"order-api", "inventory", "shipping"} {
		names = append(names, "order-events."+g+".dlq", "shipping-events."+g+".dlq")
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, names...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for _, r := range slices.Concat(w.log, w.letters) {
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
	if w.more != nil {
		w.more(func(collection string, docs []any) {
			_, err := db.Collection(collection).InsertMany(t.Context(), docs)
			require.NoError(t, err)
		}, func(r *kgo.Record) {
			client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		})
		require.NoError(t, client.Flush(t.Context()))
	}
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(t.Context(), names...)
	require.NoError(t, err)
	for _, g := range []string{"order-api", "inventory", "shipping"} {
		committed := kadm.Offsets{}
		ends.Each(func(o kadm.ListedOffset) {
			at := o.Offset
			if at > 0 {
				at -= int64(w.behind[g+" "+o.Topic])
			}
			committed.AddOffset(o.Topic, o.Partition, at, -1)
		})
		require.NoError(t, admin.CommitAllOffsets(t.Context(), g, committed))
	}
	if w.cut > 0 {
		cut := kadm.Offsets{}
		cut.AddOffset(events.TopicOrders, home, w.cut, -1)
		cut.AddOffset(events.TopicShipping, home, w.cut, -1)
		deleted, err := admin.DeleteRecords(t.Context(), cut)
		require.NoError(t, err)
		require.NoError(t, deleted.Error())
	}
	return audit.Config{
		Kafka: kafka.Config{Brokers: cluster.ListenAddrs()}, MongoDB: uri(t), Ignore: w.ignore,
		Databases: audit.Databases{OrderAPI: db.Name(), Inventory: db.Name(), Shipping: db.Name()},
		Accepted:  bytes.NewBufferString(strings.Join(w.accepted, "\n")),
	}
}

func insert(t *testing.T, c *mongo.Collection, doc bson.M) {
	t.Helper()
	_, err := c.InsertOne(t.Context(), doc)
	require.NoError(t, err)
}

// copyOf gives another record with the same content.
func copyOf(r *kgo.Record) *kgo.Record {
	return &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: slices.Clone(r.Headers)}
}

// deadLetterOf is what group's consumer writes of a record at an offset of its home partition.
func deadLetterOf(r *kgo.Record, group string, offset int) *kgo.Record {
	l := copyOf(r)
	l.Topic += "." + group + ".dlq"
	for name, value := range map[string]string{"dlq-topic": r.Topic, "dlq-partition": fmt.Sprint(r.Partition), "dlq-offset": fmt.Sprint(offset)} {
		l.Headers = append(l.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return l
}

// garbled is a record of a known type that cannot be read.
func garbled(r *kgo.Record) *kgo.Record {
	g := copyOf(r)
	g.Value = []byte{0xff, 0x00, 0xff}
	return g
}

// renamed gives a snapshot of another order.
func renamed[M interface {
	proto.Message
	events.Snapshot
}](m M, to string) M {
	out := proto.Clone(m).(M)
	f := out.ProtoReflect().Descriptor().Fields().ByName("id")
	out.ProtoReflect().Set(f, protoString(to))
	return out
}
