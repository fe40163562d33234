package store

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// Level gives what there is of a SKU, or stock.ErrNotFound.
func (s *Store) Level(ctx context.Context, sku string) (stock.Level, error) {
	var l stock.Level
	err := s.stock.FindOne(ctx, bson.D{{Key: "_id", Value: sku}}).Decode(&l)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return stock.Level{}, stock.ErrNotFound
	}
	if err != nil {
		return stock.Level{}, fmt.Errorf("read the stock of %s: %w", sku, err)
	}
	return l, nil
}

// Levels gives a page of the stock, by SKU, behind the SKU after; more tells whether another page follows.
func (s *Store) Levels(ctx context.Context, after string, limit int) (page []stock.Level, more bool, err error) {
	cursor, err := s.stock.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}},
		options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)+1))
	if err != nil {
		return nil, false, fmt.Errorf("read the stock: %w", err)
	}
	if err := cursor.All(ctx, &page); err != nil {
		return nil, false, fmt.Errorf("read the stock: %w", err)
	}
	if len(page) > limit {
		return page[:limit], true, nil
	}
	return page, false, nil
}
