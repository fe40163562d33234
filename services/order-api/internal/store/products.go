package store

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// ErrNoProduct says that the SKU is not in the price list.
var ErrNoProduct = errors.New("product not found")

// Products reads a page of the price list by SKU, after the given one.
func (s *Store) Products(ctx context.Context, after string, limit int) (page []order.Product, more bool, err error) {
	q := bson.D{}
	if after != "" {
		q = bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}
	}
	cursor, err := s.products.Find(ctx, q, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)+1))
	if err != nil {
		return nil, false, fmt.Errorf("list products: %w", err)
	}
	if err := cursor.All(ctx, &page); err != nil {
		return nil, false, fmt.Errorf("list products: %w", err)
	}
	if more = len(page) > limit; more {
		page = page[:limit]
	}
	return page, more, nil
}

// Product reads one entry of the price list.
func (s *Store) Product(ctx context.Context, sku string) (order.Product, error) {
	var p order.Product
	err := s.products.FindOne(ctx, bson.D{{Key: "_id", Value: sku}}).Decode(&p)
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = ErrNoProduct
	}
	if err != nil {
		return order.Product{}, fmt.Errorf("read product %s: %w", sku, err)
	}
	return p, nil
}

// PutProduct sets an entry of the price list; created tells whether it is new.
func (s *Store) PutProduct(ctx context.Context, p order.Product) (created bool, err error) {
	if err := p.Check(); err != nil {
		return false, err
	}
	filter := bson.D{{Key: "_id", Value: p.SKU}}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: p.Name}, {Key: "unitPrice", Value: p.UnitPrice}}}}
	result, err := s.products.UpdateOne(ctx, filter, set, options.UpdateOne().SetUpsert(true))
	if mongodb.IsDuplicateKey(err) { // two upserts of one new SKU: the other one created it
		result, err = s.products.UpdateOne(ctx, filter, set)
	}
	if err != nil {
		return false, fmt.Errorf("write product %s: %w", p.SKU, err)
	}
	return result.UpsertedCount > 0, nil
}

// DeleteProduct takes an SKU off the price list.
func (s *Store) DeleteProduct(ctx context.Context, sku string) error {
	result, err := s.products.DeleteOne(ctx, bson.D{{Key: "_id", Value: sku}})
	if err != nil {
		return fmt.Errorf("delete product %s: %w", sku, err)
	}
	if result.DeletedCount == 0 {
		return fmt.Errorf("delete product %s: %w", sku, ErrNoProduct)
	}
	return nil
}
