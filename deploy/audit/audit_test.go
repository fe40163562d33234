package audit_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderwire/orderwire/deploy/audit"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(auditChild); config != "" {
		os.Exit(child(config))
	}
	// deploy/stack starts its children from one thread, which it keeps for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/orderwire/orderwire/deploy/stack.init.func1.1"))
}

func uri(t *testing.T) string {
	t.Helper()
	return os.Getenv("TEST_MONGODB_URI") // testbackend has asked for it
}

func protoString(s string) protoreflect.Value { return protoreflect.ValueOfString(s) }

// run makes an audit and gives what is violated.
func run(t *testing.T, c audit.Config) (*audit.Report, map[string][]audit.Violation) {
	t.Helper()
	report, err := audit.Run(t.Context(), c)
	require.NoError(t, err)
	violated := map[string][]audit.Violation{}
	for _, i := range report.Invariants {
		require.Equal(t, i.Total == 0, i.Holds, i.ID)
		if !i.Holds {
			violated[i.ID] = i.Violations
		}
	}
	return report, violated
}

func TestAudit_FindsNothingWhereAllIsWell(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"":                func(*world) {},
		"a crash repeats": func(w *world) { w.log = append(w.log, copyOf(w.log[3]), copyOf(w.log[5])) },
		"an event of others": func(w *world) {
			r := copyOf(w.log[0])
			r.Headers = []kgo.RecordHeader{{Key: "ce_type", Value: []byte("invoice-created")}}
			w.log = append(w.log, r)
		},
		"the log begins late":        func(w *world) { w.cut = 1 },
		"nothing is left of the log": func(w *world) { w.cut = 2 },
		"poison was dead-lettered": func(w *world) {
			bad := garbled(w.log[1])
			w.log = append(w.log, bad)
			w.letters = append(w.letters, deadLetterOf(bad, "order-api", 4))
		},
		"somebody wrote a copy with another body": func(w *world) {
			forged := copyOf(w.log[3])
			forged.Value = record(t, events.OrderUpdated, 2, order(9)).Value
			w.log = append(w.log, forged)
			w.ignore[audit.Coordinates{Topic: events.TopicOrders, Partition: home, Offset: 4}] = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := well(t)
			spoil(w)
			c := w.store(t)
			for _, quiesced := range []bool{false, true} {
				c.Quiesced, c.Accepted = quiesced, strings.NewReader(id)
				report, violated := run(t, c)
				require.Empty(t, violated)
				require.True(t, report.Holds())
				require.Equal(t, 1, report.Orders)
				for _, i := range report.Invariants {
					if quiesced && i.ID != "I5" && i.ID != "I4" && i.ID != "I9" { // which an empty log leaves out
						require.Positive(t, i.Checked, i.ID)
					}
				}
			}
		})
	}
}

// Each row plants one violation and says where it must be found.
func TestAudit_FindsWhatIsPlanted(t *testing.T) {
	const topicOrders, topicShipping = events.TopicOrders, events.TopicShipping
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, w *world)
		id    string
		says  string
		topic string // "": a document shows it, not a record
		at    int64
		live  bool // a live audit sees it, too
	}{
		{name: "an accepted order is not there", id: "I1", says: "o-9: a client was told", live: true, plant: func(_ *testing.T, w *world) {
			w.accepted = append(w.accepted, "o-9")
		}},
		{name: "an order never came to inventory", id: "I1", says: "no reservation", plant: func(_ *testing.T, w *world) {
			w.reservation = nil
		}},
		{name: "an order never came to shipping", id: "I1", says: "no shipment", plant: func(_ *testing.T, w *world) {
			w.shipment = nil
		}},

		{name: "oversold", id: "I2", says: "below zero: -1", live: true, plant: func(_ *testing.T, w *world) {
			w.stock["available"], w.stock["reserved"] = int64(-1), int64(11)
		}},
		{name: "stock has leaked", id: "I2", says: "are 9 together, all adjustments 10", plant: func(_ *testing.T, w *world) {
			w.stock["available"] = int64(7)
		}},
		{name: "a reservation was counted twice", id: "I2", says: "reserved is 4, the reservations hold 2", plant: func(_ *testing.T, w *world) {
			w.stock["available"], w.stock["reserved"] = int64(6), int64(4)
		}},
		{name: "goods without a row", id: "I2", says: "no stock row", plant: func(_ *testing.T, w *world) { w.stock = nil }},

		{name: "an event is lost", id: "I3", says: "event 3 is neither in the log nor in its outbox", live: true, plant: func(_ *testing.T, w *world) {
			w.log = w.log[:5]
		}},
		{name: "the last event says something else", id: "I3", says: "differ: note", topic: topicOrders, at: 3, live: true, plant: func(_ *testing.T, w *world) {
			w.order["note"] = "changed"
		}},
		{name: "a reservation moved without a word", id: "I3", says: "status (released, held), cause", topic: topicOrders, at: 1, live: true, plant: func(_ *testing.T, w *world) {
			w.reservation["status"], w.reservation["cause"] = "released", "cancelled"
		}},
		{name: "a shipment changed without a word", id: "I3", says: "differ: trackingNumber", topic: topicShipping, at: 1, live: true, plant: func(_ *testing.T, w *world) {
			w.shipment["trackingNumber"] = "T-1"
		}},
		{name: "a change without an event", id: "I3", says: "version 4 follows version 2", topic: topicOrders, at: 3, live: true, plant: func(t *testing.T, w *world) {
			t.Helper()
			w.log[5] = record(t, events.OrderUpdated, 3, order(4))
			w.order["version"] = int64(4)
		}},
		{name: "news that is not in the log", id: "I3", says: "taken in event 2, which is not in the log", live: true, plant: func(_ *testing.T, w *world) {
			w.order["seen"] = bson.M{"inventory": int64(2), "shipping": int64(1)}
		}},
		{name: "published, never stored", id: "I3", says: "event 4 of it, the document has given out 3", plant: func(t *testing.T, w *world) {
			t.Helper()
			w.log = append(w.log, record(t, events.OrderUpdated, 4, order(4)))
		}},

		{name: "a hole", id: "I4", says: "order-updated 3 of order-api: its sequence comes where an older one is due", topic: topicOrders, at: 2, live: true, plant: func(_ *testing.T, w *world) {
			w.log = append(w.log[:3], w.log[4:]...)
		}},
		{name: "out of order", id: "I4", says: "for the first time after a newer one", topic: topicOrders, at: 3, live: true, plant: func(_ *testing.T, w *world) {
			w.log[3], w.log[5] = w.log[5], w.log[3]
		}},
		{name: "a repeat with another body", id: "I4", says: "another event had this sequence", topic: topicOrders, at: 4, live: true, plant: func(t *testing.T, w *world) {
			t.Helper()
			w.log = append(w.log, record(t, events.OrderUpdated, 2, order(9)))
		}},
		{name: "another partition", id: "I4", says: "belongs to partition", topic: topicOrders, at: 0, live: true, plant: func(_ *testing.T, w *world) {
			w.log[5].Partition = (home + 1) % partitions
		}},

		{name: "a second reservation", id: "I5", says: "a second stock-reserved", topic: topicOrders, at: 4, live: true, plant: func(t *testing.T, w *world) {
			t.Helper()
			w.log = append(w.log, record(t, events.StockReserved, 2, reservation(held, 0)))
		}},
		{name: "two releases for one cause", id: "I5", says: "a second stock-released", topic: topicOrders, at: 5, live: true, plant: func(t *testing.T, w *world) {
			t.Helper()
			r := reservation(released, eventspb.ReleaseCause_RELEASE_CAUSE_FAILED)
			w.log = append(w.log, record(t, events.StockReleased, 2, r), record(t, events.StockReleased, 3, r))
		}},
		{name: "shipped and given back", id: "I5", says: "both shipped and cancelled", live: true, plant: func(t *testing.T, w *world) {
			t.Helper()
			w.log = append(w.log, record(t, events.StockReleased, 2, reservation(released, eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED)),
				record(t, events.ShipmentDispatched, 2, shipment(eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED)))
		}},

		{name: "an outbox that is not empty", id: "I8", says: "1 events wait in its outbox", plant: func(_ *testing.T, w *world) {
			w.order["outbox"] = bson.A{bson.M{"id": "e", "topic": topicOrders, "sequence": int64(3)}}
		}},
		{name: "lag", id: "I8", says: "inventory has read up to here, 2 records wait", topic: topicOrders, at: 2, plant: func(_ *testing.T, w *world) {
			w.behind["inventory "+topicOrders] = 2
		}},
		{name: "an order hangs", id: "I8", says: "it is pending and nobody is at work on it", plant: func(_ *testing.T, w *world) {
			w.order["status"] = "pending"
		}},
		{name: "the databases differ", id: "I8", says: "the databases differ: address", plant: func(_ *testing.T, w *world) {
			w.shipment["address"] = bson.M{"name": "Mallory"}
		}},

		{name: "an offset passed unfinished work", id: "I9", says: "order-api has left stock-reserved behind it", topic: topicOrders, at: 1, live: true, plant: func(_ *testing.T, w *world) {
			w.order["seen"] = bson.M{"shipping": int64(1)}
			w.order["stock"] = nil
		}},
		{name: "poison was swallowed", id: "I9", says: "neither taken in nor dead-lettered", topic: topicOrders, at: 4, live: true, plant: func(_ *testing.T, w *world) {
			w.log = append(w.log, garbled(w.log[1]))
			w.ignore[audit.Coordinates{Topic: topicOrders, Partition: home, Offset: 4}] = true
		}},
		{name: "another group's dead letter does not count", id: "I9", says: "order-api has left stock-reserved", topic: topicOrders, at: 4, live: true, plant: func(_ *testing.T, w *world) {
			bad := garbled(w.log[1])
			w.log = append(w.log, bad)
			w.letters = append(w.letters, deadLetterOf(bad, "inventory", 4))
		}},
		{name: "the document disagrees with what it has taken", id: "I9", says: "document differ: shipment: status (dispatched, scheduled)", topic: topicShipping, at: 1, live: true, plant: func(_ *testing.T, w *world) {
			w.order["shipment"].(bson.M)["status"] = int32(2)
		}},
		{name: "goods that nobody was asked to ship", id: "I9", says: "shipping was never asked to ship them", live: true, plant: func(_ *testing.T, w *world) {
			w.reservation["request"] = nil
		}},
		{name: "a status that no fact bears out", id: "I9", says: "its status is delivered, its facts amount to confirmed", live: true, plant: func(_ *testing.T, w *world) {
			w.order["status"] = "delivered"
		}},

		{name: "events of an order that is not there", id: "I12", says: "order o-7", live: true, plant: func(t *testing.T, w *world) {
			t.Helper()
			w.log = append(w.log, record(t, events.OrderCreated, 1, renamed(order(1), "o-7")))
		}},
		{name: "a shipment of an order that is not there", id: "I12", says: "an order that does not exist", live: true, plant: func(_ *testing.T, w *world) {
			w.order = nil
		}},
		{name: "a shipment that nobody asked for", id: "I12", says: "a shipment, and no reservation", live: true, plant: func(_ *testing.T, w *world) {
			w.reservation = nil
		}},
	} {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			w := well(t)
			c.plant(t, w)
			config := w.store(t)
			for _, quiesced := range []bool{true, false} {
				config.Quiesced, config.Accepted = quiesced, strings.NewReader(strings.Join(w.accepted, "\n"))
				report, violated := run(t, config)
				if !quiesced && !c.live {
					require.NotContains(t, violated, "I8")
					continue
				}
				var found *audit.Violation
				for _, v := range violated[c.id] {
					if strings.Contains(v.String(), c.says) {
						found = &v
						break
					}
				}
				require.NotNil(t, found, "%s is not among %v", c.says, violated)
				require.Equal(t, !c.live, found.Moving, "a live audit leaves out what only holds at rest, and that alone")
				if found.Moving {
					require.NotNil(t, report.Moving)
				}
				if c.topic == "" {
					require.True(t, found.Document != "" || found.Order != "", "where it is")
					continue
				}
				require.Equal(t, c.topic, found.Topic)
				require.NotNil(t, found.Offset)
				require.Equal(t, c.at, *found.Offset)
				require.NotNil(t, found.Partition)
				if c.says != "belongs to partition" {
					require.Equal(t, home, *found.Partition)
				}
			}
		})
	}
}

// A quiesced audit of what still moves says how much of what it finds may be only that.
func TestAudit_CountsWhatIsNotAtRest(t *testing.T) {
	w := well(t)
	c := w.store(t)
	c.Quiesced = true
	report, _ := run(t, c)
	require.Nil(t, report.Moving)

	w = well(t)
	w.order["status"] = "pending"
	w.order["outbox"] = bson.A{bson.M{"id": "e", "topic": events.TopicOrders, "sequence": int64(3)}}
	w.stock["available"] = int64(7)
	w.shipment["due"] = noon
	w.accepted = []string{"o-9"}
	c = w.store(t)
	c.Quiesced = true
	report, violated := run(t, c)
	require.Equal(t, &audit.Moving{Violations: 3, Orders: 1, Parcels: 1, Due: noon}, report.Moving, "%v", violated)
	require.False(t, report.Holds())

	for name, spoil := range map[string]func(){
		"the carrier never acts": func() { w.shipment["due"] = time.Time{} },
		"it has ended":           func() { w.shipment["due"], w.shipment["status"] = noon, "delivered" },
	} {
		w = well(t)
		w.order["status"] = "pending"
		spoil()
		c = w.store(t)
		c.Quiesced = true
		report, _ = run(t, c)
		require.Zero(t, report.Moving.Parcels, name)
	}
}

func TestAudit_SaysWhatIsAway(t *testing.T) {
	w := well(t)
	c := w.store(t)
	c.MongoDB = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := audit.Run(ctx, c)
	var away *audit.UnreachableError
	require.ErrorAs(t, err, &away)
}

func TestReadIgnore_TakesLinesWithMoreInThem(t *testing.T) {
	got, err := audit.ReadIgnore(strings.NewReader(`{"op":"poison","topic":"order-events","partition":3,"offset":17}` + "\n" + `{"topic":"a","partition":0,"offset":1}`))
	require.NoError(t, err)
	require.Equal(t, map[audit.Coordinates]bool{{Topic: "order-events", Partition: 3, Offset: 17}: true, {Topic: "a", Offset: 1}: true}, got)
	_, err = audit.ReadIgnore(strings.NewReader(`{"topic":`))
	require.Error(t, err)
}

// Another program's transaction that was taken back leaves offsets that no group will ever read.
func TestAudit_ATransactionsTracesAreNoLag(t *testing.T) {
	c := well(t).store(t)
	c.Quiesced = true
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("another program"))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.BeginTransaction())
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: events.TopicOrders, Partition: home}).FirstErr())
	require.NoError(t, client.EndTransaction(t.Context(), kgo.TryAbort))
	_, violated := run(t, c)
	require.Empty(t, violated)
}

func TestAudit_ListsAllViolationsWhereItIsAskedTo(t *testing.T) {
	w := well(t)
	for i := range 120 {
		w.accepted = append(w.accepted, fmt.Sprintf("lost-%d", i))
	}
	c := w.store(t)
	for _, all := range []bool{false, true} {
		c.All, c.Accepted = all, strings.NewReader(strings.Join(w.accepted, "\n"))
		report, violated := run(t, c)
		require.Equal(t, 120, report.Invariants[0].Total)
		require.Len(t, violated["I1"], map[bool]int{false: 100, true: 120}[all])
	}
}
