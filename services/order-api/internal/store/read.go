package store

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// Get reads one order.
func (s *Store) Get(ctx context.Context, id string) (*order.Order, error) {
	d, err := s.orders.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read order %s: %w", id, notFound(err))
	}
	return d.order(), nil
}

// Filter narrows a list.
type Filter struct {
	Customer string       // "" for all
	Status   order.Status // 0 for all
	Before   string       // id of the last order of the page before; "" for the first page
	Limit    int
}

// List reads a page of orders, newest first, without their histories; more tells whether another page follows.
func (s *Store) List(ctx context.Context, f Filter) (page []*order.Order, more bool, err error) {
	cursor, err := s.list.Find(ctx, f.query(), options.Find().SetSort(newestFirst).SetLimit(int64(f.Limit)+1).
		SetProjection(bson.D{{Key: "outbox", Value: 0}, {Key: "history", Value: 0}}))
	if err != nil {
		return nil, false, fmt.Errorf("list orders: %w", err)
	}
	var docs []*document
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, false, fmt.Errorf("list orders: %w", err)
	}
	if more = len(docs) > f.Limit; more {
		docs = docs[:f.Limit]
	}
	page = make([]*order.Order, 0, len(docs))
	for _, d := range docs {
		page = append(page, d.order())
	}
	return page, more, nil
}

// newestFirst is the order of the ids: they are UUIDv7, which sort by time.
var newestFirst = bson.D{{Key: "_id", Value: -1}}

func (f Filter) query() bson.D {
	q := bson.D{}
	if f.Customer != "" {
		q = append(q, bson.E{Key: "customerId", Value: f.Customer})
	}
	if f.Status != 0 {
		q = append(q, bson.E{Key: "status", Value: events.Word(f.Status)})
	}
	if f.Before != "" {
		q = append(q, bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: f.Before}}})
	}
	return q
}
