package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// warehouse is a database with one or more stores on it, as many instances of the service would have.
// At the end of the test the books are checked.
type warehouse struct {
	t  testing.TB
	db *mongo.Database
}

func newWarehouse(tb testing.TB) *warehouse {
	tb.Helper()
	w := &warehouse{t: tb, db: testbackend.Mongo(tb)}
	tb.Cleanup(func() { audit(tb, w.db) })
	return w
}

// instance gives a store with a relay of its own that is not running: what was published cannot be seen, what is in
// the outboxes can.
func (w *warehouse) instance() *Store {
	w.t.Helper()
	return w.instanceOn(w.db)
}

// instanceOn is an instance with a connection of its own.
func (w *warehouse) instanceOn(db *mongo.Database) *Store {
	w.t.Helper()
	s := New(db, outbox.NewRelay(Reservations(db), nowhere{}, quiet, nil), nil)
	require.NoError(w.t, s.EnsureIndexes(w.t.Context()))
	return s
}

// running gives a store whose relay runs and clears what it publishes, as it does beside every batch in service.
func (w *warehouse) running() *Store {
	w.t.Helper()
	relay := outbox.NewRelay(Reservations(w.db), nowhere{}, quiet, nil)
	s := New(w.db, relay, nil)
	require.NoError(w.t, s.EnsureIndexes(w.t.Context()))
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var done sync.WaitGroup
	done.Go(func() { _ = relay.Run(ctx) })
	w.t.Cleanup(func() { cancel(); done.Wait() })
	return s
}

type nowhere struct{}

func (nowhere) Publish(_ *kafka.Message, done func(error)) { go done(nil) }

// audit checks the books: per SKU, the adjustments add up to what the row holds, and the reservations to its counters.
func audit(tb testing.TB, db *mongo.Database) {
	tb.Helper()
	want := map[string]*stock.Level{} // by reservations and adjustments
	of := func(sku string) *stock.Level {
		if want[sku] == nil {
			want[sku] = &stock.Level{SKU: sku}
		}
		return want[sku]
	}
	var adjustments []adjustment
	read(tb, db.Collection(adjustmentsName), &adjustments)
	for _, a := range adjustments {
		of(a.SKU).Available += a.Quantity
	}
	var reservations []document
	read(tb, db.Collection(reservationsName), &reservations)
	for _, r := range reservations {
		for _, i := range r.Reservation.Items {
			if b := r.Reservation.Bucket(); b != stock.Available {
				*of(i.SKU).In(b) += int64(i.Quantity)
				of(i.SKU).Available -= int64(i.Quantity)
			}
		}
	}
	var levels []stock.Level
	read(tb, db.Collection(stockName), &levels)
	got := map[string]*stock.Level{}
	for _, l := range levels {
		got[l.SKU] = &l
		for _, c := range counters {
			require.GreaterOrEqual(tb, *l.In(c.bucket), int64(0), "%s of %s", c.field, l.SKU)
		}
	}
	for sku, l := range want {
		if *l == (stock.Level{SKU: sku}) && got[sku] == nil {
			continue // wanted, but never there
		}
		require.Equal(tb, l, got[sku], "the books of %s", sku)
	}
	require.LessOrEqual(tb, len(got), len(want), "a stock row without an adjustment")
}

func read[T any](tb testing.TB, coll *mongo.Collection, into *[]T) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	cursor, err := coll.Find(ctx, bson.D{})
	require.NoError(tb, err)
	require.NoError(tb, cursor.All(ctx, into))
}

// put brings goods in.
func put(tb testing.TB, s *Store, sku string, quantity int64) {
	tb.Helper()
	_, _, err := s.Adjust(tb.Context(), Adjustment{SKU: sku, Quantity: quantity, Reason: "opening"})
	require.NoError(tb, err)
}

func level(tb testing.TB, s *Store, sku string) stock.Level {
	tb.Helper()
	l, err := s.Level(tb.Context(), sku)
	require.NoError(tb, err)
	return l
}

func get(tb testing.TB, s *Store, id string) *document {
	tb.Helper()
	d, err := s.reservations.Get(tb.Context(), id)
	require.NoError(tb, err)
	return d
}

// says lists the events in a document's outbox.
func says(tb testing.TB, d *document) []events.Type {
	tb.Helper()
	var types []events.Type
	for _, e := range d.Outbox {
		types = append(types, decode(tb, e).Type)
	}
	return types
}

func decode(tb testing.TB, e outbox.Entry) *events.Event {
	tb.Helper()
	event, err := events.Decode(func(name string) string {
		for _, h := range e.Headers {
			if h.Key == name {
				return h.Value
			}
		}
		return ""
	}, []byte(e.Key), e.Body)
	require.NoError(tb, err)
	require.Equal(tb, e.ID, event.ID)
	require.Equal(tb, e.Topic, event.Topic())
	require.Equal(tb, e.Sequence, event.Sequence)
	return event
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

type item = stock.Item

// placed is an order's first snapshot.
func placed(id string, items ...item) *eventspb.Order {
	o := &eventspb.Order{
		Id: id, CustomerId: "alice", Version: 1, Revision: 1,
		ShippingAddress: &eventspb.Address{Name: "Alice", Street: "Ring 1", City: "Köln", PostalCode: "50667", Country: "DE"},
	}
	for _, i := range items {
		o.Items = append(o.Items, &eventspb.OrderItem{Sku: i.SKU, Quantity: i.Quantity})
	}
	return o
}

func cancelled(o *eventspb.Order) *eventspb.Order {
	o.Cancellation = &eventspb.Cancellation{Outcome: eventspb.CancellationOutcome_CANCELLATION_OUTCOME_PENDING}
	return o
}

func moved(o *eventspb.Order, revision int64) *eventspb.Order {
	o.AddressRevision = revision
	o.ShippingAddress.Street = fmt.Sprintf("Ring %d", revision+1)
	return o
}

func ordered(sequence int64, o *eventspb.Order) stock.News {
	return stock.News{Sequence: sequence, Order: o}
}

func shipped(sequence int64, id string, status eventspb.ShipmentStatus, reason ...eventspb.FailureReason) stock.News {
	s := &eventspb.Shipment{Id: id, OrderId: id, CustomerId: "alice", Status: status}
	if len(reason) > 0 {
		s.FailureReason = reason[0]
	}
	return stock.News{Sequence: sequence, Shipment: s}
}

func about(id string, news ...stock.News) stock.Dossier {
	return stock.Dossier{OrderID: id, News: news}
}

// apply takes in news that must all be fine.
func apply(tb testing.TB, s *Store, batch ...stock.Dossier) {
	tb.Helper()
	for i, errs := range s.Apply(tb.Context(), batch) {
		for j, err := range errs {
			require.NoError(tb, err, "news %d of order %s", j, batch[i].OrderID)
		}
	}
}

const (
	dispatched = eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
	delivered  = eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED
	stopped    = eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED
	failed     = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED
	refused    = eventspb.FailureReason_FAILURE_REASON_REFUSED
	lost       = eventspb.FailureReason_FAILURE_REASON_LOST
)
