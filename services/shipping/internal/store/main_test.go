package store

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/testbackend"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// nowhere is a broker that never answers: what is in an outbox stays there.
type nowhere struct{}

func (nowhere) Publish(*kafka.Message, func(error)) {}

// taker is a broker that takes everything: outboxes are cleared while the test runs.
type taker struct{}

func (taker) Publish(_ *kafka.Message, done func(error)) { go done(nil) }

func open(tb testing.TB) *Store {
	tb.Helper()
	return instance(tb, testbackend.Mongo(tb), shipment.Timers{})
}

// instance gives a store with a relay of its own, as one more instance of the service would have.
func instance(tb testing.TB, db *mongo.Database, timers shipment.Timers) *Store {
	tb.Helper()
	s := New(db, outbox.NewRelay(Shipments(db), nowhere{}, quiet, nil), timers, nil)
	require.NoError(tb, s.EnsureIndexes(tb.Context()))
	return s
}

// running gives a store whose relay runs and clears what it publishes, as it does beside every batch in service.
func running(tb testing.TB, db *mongo.Database) *Store {
	tb.Helper()
	relay := outbox.NewRelay(Shipments(db), taker{}, quiet, nil)
	s := New(db, relay, shipment.Timers{}, nil)
	require.NoError(tb, s.EnsureIndexes(tb.Context()))
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var done sync.WaitGroup
	done.Go(func() {
		if err := relay.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() { cancel(); done.Wait() })
	return s
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// asked is what inventory asks for of an order.
func asked(id string, revision int64, cancelled bool) *eventspb.Reservation {
	return &eventspb.Reservation{
		Id: id, CustomerId: "alice", Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 2}},
		Request: &eventspb.ShippingRequest{
			Address:         &eventspb.Address{Name: "Alice", Street: "Ring " + string(rune('0'+revision)), City: "Köln", PostalCode: "50667", Country: "DE"},
			AddressRevision: revision, CancelRequested: cancelled,
		},
	}
}

func news(sequence int64, r *eventspb.Reservation) shipment.News {
	return shipment.News{Sequence: sequence, Reservation: r, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
}

// tell takes in news of one order that must all be fine.
func tell(tb testing.TB, s *Store, of ...shipment.News) {
	tb.Helper()
	id := of[0].Reservation.GetId()
	for i, err := range s.Fold(tb.Context(), map[string][]shipment.News{id: of})[id] {
		require.NoError(tb, err, "news %d", i)
	}
}

// scheduled gives a new order's shipment.
func scheduled(tb testing.TB, s *Store) string {
	tb.Helper()
	id := newID()
	tell(tb, s, news(1, asked(id, 0, false)))
	return id
}

func dispatch(s *shipment.Shipment) ([]events.Type, error) { return s.Dispatch("T-1") }

func act(tb testing.TB, s *Store, id string, step shipment.Step) *shipment.Shipment {
	tb.Helper()
	now, err := s.Act(tb.Context(), id, "", step)
	require.NoError(tb, err)
	return now
}

func get(tb testing.TB, s *Store, id string) *document {
	tb.Helper()
	d, err := s.shipments.Get(tb.Context(), id)
	require.NoError(tb, err)
	return d
}

// outboxOf decodes the events in a document's outbox, and checks that they agree with their entries and with the
// document.
func outboxOf(tb testing.TB, d *document) []*events.Event {
	tb.Helper()
	var all []*events.Event
	for _, e := range d.Outbox {
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
		all = append(all, event)
	}
	require.Len(tb, d.Shipment.History, int(d.Sequences[events.TopicShipping]), "a line for each event")
	return all
}

func types(all []*events.Event) []events.Type {
	var types []events.Type
	for _, e := range all {
		types = append(types, e.Type)
	}
	return types
}

// clock makes the store live at a time of the test's.
func clock(s *Store, at time.Time) { s.now = func() time.Time { return at } }
