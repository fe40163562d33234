// Package store keeps stock, reservations and adjustments in MongoDB.
//
// Stock moves in multi-document transactions: a batch's stock rows and reservations change together, and a reservation
// carries its events in the outbox envelope of pkg/outbox. A process has one writer, which batches, adjustments and
// the clearing of published events share, so that a transaction meets those of other processes only. Where it does,
// it is read and decided again with half of the batch. A database that is away is an error of each call, within the
// call's deadline.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// Names of the collections, and of the index that makes an idempotency key unique.
const (
	stockName        = "stock"
	reservationsName = "reservations"
	adjustmentsName  = "adjustments"
	idempotencyIndex = "idempotency"
)

// codeNamespaceExists is the server's answer where a collection is there already.
const codeNamespaceExists = 48

// Store keeps stock.
type Store struct {
	reservations *outbox.Collection[document, *document]
	held         *mongo.Collection // the reservations, without their events
	stock        *mongo.Collection
	adjustments  *mongo.Collection
	metrics      *metrics
	now          func() time.Time
	early        []stock.Level // of the control chaos.UnguardedStock
}

// Reservations is the collection that the relay publishes from.
func Reservations(db *mongo.Database) *mongo.Collection { return db.Collection(reservationsName) }

// New makes the store; relay is told of every event that a write appends. reg may be nil.
func New(db *mongo.Database, relay *outbox.Relay, reg prometheus.Registerer) *Store {
	return &Store{
		reservations: outbox.NewCollection[document](Reservations(db), relay),
		held:         Reservations(db),
		stock:        db.Collection(stockName),
		adjustments:  db.Collection(adjustmentsName),
		metrics:      newMetrics(reg),
		now:          time.Now,
	}
}

// EnsureIndexes creates what is missing, collections included.
// Every query of the package has an index; a test asks the database.
func (s *Store) EnsureIndexes(ctx context.Context) error {
	if err := mongodb.EnsureIndexes(ctx, s.held, outbox.Indexes()...); err != nil {
		return fmt.Errorf("create the indexes of reservations: %w", err)
	}
	err := mongodb.EnsureIndexes(ctx, s.adjustments, mongo.IndexModel{
		Keys: bson.D{{Key: "sku", Value: 1}, {Key: "key", Value: 1}},
		Options: options.Index().SetName(idempotencyIndex).SetUnique(true).
			SetPartialFilterExpression(bson.D{{Key: "key", Value: bson.D{{Key: "$gt", Value: ""}}}}),
	})
	if err != nil {
		return fmt.Errorf("create the indexes of adjustments: %w", err)
	}
	// Two transactions that create a collection meet, so it is made before the first one.
	var server mongo.ServerError
	err = s.stock.Database().CreateCollection(ctx, stockName)
	if exists := errors.As(err, &server) && server.HasErrorCode(codeNamespaceExists); err != nil && !exists {
		return fmt.Errorf("create the collection of stock rows: %w", err)
	}
	return nil
}

// pause waits a random while, longer with every try, so that those in conflict part.
func pause(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(min(2*time.Millisecond<<min(try, 10), 100*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
