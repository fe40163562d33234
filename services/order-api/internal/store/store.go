// Package store keeps orders and the price list in MongoDB.
//
// An order and the events that say how it came to be so are one document, written by one guarded write: the outbox
// envelope of pkg/outbox carries the version that guards it, the sequences, and the events that the relay has not
// published yet. So no order changes without its event, and no event is published of a change that was not stored.
// A database that is away is an error of each call, within the call's deadline; the store tries nothing again but
// what the guard and the idempotency key tell it to.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/group"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// maxUnsent is how many unpublished events, those published a moment ago among them, an order may have before clients are
// asked to wait. News of other services is finite and never refused.
const maxUnsent = 32

// ErrBusy says that the order's last events are not published yet; a client should try again soon.
var ErrBusy = fmt.Errorf("the order has %d events that are not published yet", maxUnsent)

// Names of the collections, and of the index that makes an idempotency key unique.
const (
	ordersName       = "orders"
	productsName     = "products"
	idempotencyIndex = "idempotency"
)

// document is an order as it is stored.
type document struct {
	outbox.Document `bson:",inline"`
	Order           order.Order `bson:",inline"`
	// Status repeats what the facts amount to, for queries.
	Status string `bson:"status"`
	// Waiting repeats since when the order is in its state, for the states beyond the first that it must leave again;
	// nil in the others: while it is pending its creation says it.
	Waiting *waiting `bson:"waiting"`
	// Idempotency is the key of the request that placed the order, nil without one.
	Idempotency *idempotency `bson:"idempotency"`
	// Command names the last of its clients' commands, "" before the first.
	Command string `bson:"command"`
}

type idempotency struct {
	Key  string `bson:"key"`
	Hash []byte `bson:"hash"`
}

// order gives the order with its identity from the envelope.
func (d *document) order() *order.Order {
	d.Order.ID, d.Order.Version = d.ID, d.Version
	return &d.Order
}

// Store keeps orders and products. Run must be running for Place to be answered.
type Store struct {
	orders   *outbox.Collection[document, *document]
	list     *mongo.Collection
	products *mongo.Collection
	placing  *group.Group[Placement, Placed]
	now      func() time.Time
}

// Orders is the collection that the relay publishes from.
func Orders(db *mongo.Database) *mongo.Collection { return db.Collection(ordersName) }

// New makes the store; relay is told of every event that a write appends.
func New(db *mongo.Database, relay *outbox.Relay) *Store {
	s := &Store{
		orders:   outbox.NewCollection[document](Orders(db), relay),
		list:     Orders(db),
		products: db.Collection(productsName),
		now:      time.Now,
	}
	s.placing = group.New(placeWorkers, placeBatch, placeQueue, Placement.size, placeBytes, s.placeAll)
	return s
}

// Run answers Place until ctx ends.
func (s *Store) Run(ctx context.Context) error { return s.placing.Run(ctx) }

// EnsureIndexes creates what is missing. Every query of the package has an index; a test asks the database.
func (s *Store) EnsureIndexes(ctx context.Context) error {
	newestFirst := bson.E{Key: "_id", Value: -1} // ids are UUIDv7: they sort by time
	models := append(outbox.Indexes(),
		mongo.IndexModel{
			Keys: bson.D{{Key: "customerId", Value: 1}, {Key: "idempotency.key", Value: 1}},
			Options: options.Index().SetName(idempotencyIndex).SetUnique(true).
				SetPartialFilterExpression(bson.D{{Key: "idempotency.key", Value: bson.D{{Key: "$exists", Value: true}}}}),
		},
		mongo.IndexModel{Keys: bson.D{{Key: "customerId", Value: 1}, newestFirst}},
		mongo.IndexModel{Keys: bson.D{{Key: "customerId", Value: 1}, {Key: "status", Value: 1}, newestFirst}},
		mongo.IndexModel{Keys: bson.D{{Key: "status", Value: 1}, newestFirst}},
		mongo.IndexModel{
			Keys: longestWaiting,
			Options: options.Index().SetName("waiting").
				SetPartialFilterExpression(bson.D{{Key: "waiting.since", Value: bson.D{{Key: "$exists", Value: true}}}}),
		},
	)
	if err := mongodb.EnsureIndexes(ctx, s.list, models...); err != nil {
		return fmt.Errorf("create the indexes of orders: %w", err)
	}
	return nil
}

// publish completes a write: it moves the version on and appends one event per type, all with that version and one
// snapshot. heard are the events of others that caused the write; without them it is the client's doing, and the
// first own event is what the history shows.
func (d *document) publish(before *eventspb.Order, at time.Time, trace string, heard []order.Line, types ...events.Type) error {
	o := d.order()
	o.Version = d.Touch()
	if at = order.Now(at); at.After(o.UpdatedAt) { // clocks differ between instances
		o.UpdatedAt = at
	}
	d.enter(o.Status(), o.UpdatedAt)
	snapshot := o.Snapshot()
	for i, typ := range types {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an event id: %w", err)
		}
		e := &events.Event{
			ID: id.String(), Type: typ, Subject: o.ID, Time: o.UpdatedAt, Sequence: d.NextSequence(events.TopicOrders),
			Customer: o.CustomerID, TraceParent: trace, Data: snapshot,
		}
		if typ == events.OrderUpdated {
			e.Changed = events.Changed(before, snapshot)
		}
		headers, body, err := events.Encode(e)
		if err != nil {
			return fmt.Errorf("encode the event of order %s: %w", o.ID, err)
		}
		d.Append(entry(e, headers, body))
		if i == 0 && len(heard) == 0 {
			heard = []order.Line{{Time: e.Time, Source: e.Source(), Type: typ, Sequence: e.Sequence}}
		}
	}
	for _, line := range heard {
		line.Version = o.Version
		o.Record(line)
	}
	return nil
}

func entry(e *events.Event, headers []events.Header, body []byte) outbox.Entry {
	out := outbox.Entry{ID: e.ID, Topic: e.Topic(), Key: e.Subject, Sequence: e.Sequence, At: e.Time, Body: body}
	for _, h := range headers {
		out.Headers = append(out.Headers, outbox.Header(h))
	}
	return out
}

// notFound names a missing order in the domain's words.
func notFound(err error) error {
	if errors.Is(err, outbox.ErrNotFound) {
		return order.ErrNotFound
	}
	return err
}
