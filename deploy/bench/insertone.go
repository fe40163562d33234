package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/mongodb"
)

// openPeerDatabase gives the database for what the peer inserts; its name is this run's own.
func openPeerDatabase(ctx context.Context, s *stack.Stack) (*mongo.Database, error) {
	conf := mongodb.Config{URI: s.Database.URI, Database: "bench-" + uuid.NewString()[:8]}
	return mongodb.Connect(ctx, conf, "bench", nil)
}

// insertOne gives the documents a second that 64 clients insert one by one, durably: with the driver's settings of the
// services (majority, journal), into a collection with no index but _id. The documents are copies of a stored order.
func (l *lab) insertOne(ctx context.Context) (float64, error) {
	orders := l.database.Client().Database(l.stack.DatabaseName(stack.OrderAPI)).Collection("orders")
	var order bson.D
	if err := orders.FindOne(ctx, bson.D{}).Decode(&order); err != nil {
		return 0, fmt.Errorf("InsertOne: find an order to copy: %w", err)
	}
	collection := l.database.Collection("copies")
	if err := collection.Drop(ctx); err != nil {
		return 0, fmt.Errorf("InsertOne: %w", err)
	}
	return insertRate(ctx, collection, order, burstClients, l.sizes.peer)
}

// insertRate lets clients insert copies of document, each with an id of its own, for some time.
func insertRate(ctx context.Context, to *mongo.Collection, document bson.D, clients int, most time.Duration) (float64, error) {
	rest := bson.D{}
	for _, e := range document {
		if e.Key != "_id" {
			rest = append(rest, e)
		}
	}
	var inserted atomic.Int64
	errs := make([]error, clients)
	var all sync.WaitGroup
	begin := time.Now()
	for n := range clients {
		all.Go(func() {
			for time.Since(begin) < most && errs[n] == nil {
				copied := append(bson.D{{Key: "_id", Value: uuid.NewString()}}, rest...)
				if _, errs[n] = to.InsertOne(ctx, copied); errs[n] == nil {
					inserted.Add(1)
				}
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("InsertOne: %w", err)
	}
	return float64(inserted.Load()) / took.Seconds(), nil
}
