package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// Adjustment brings goods in or takes available ones out.
type Adjustment struct {
	SKU      string
	Quantity int64
	Reason   string
	By       string // who asked
	Key      string // idempotency key, unique per SKU; "" for none
}

// adjustment is one as it is stored: the sum of all of a SKU is what its stock row adds up to.
type adjustment struct {
	ID       string    `bson:"_id"`
	SKU      string    `bson:"sku"`
	Quantity int64     `bson:"quantity"`
	Reason   string    `bson:"reason"`
	By       string    `bson:"by"`
	Key      string    `bson:"key"`
	Hash     []byte    `bson:"hash"` // of what was asked for, to tell a repeat from another use of the key
	At       time.Time `bson:"at"`
}

// Adjust makes an adjustment and gives the stock as it is then. The first one of a SKU creates its row. With a key
// that was used for the same adjustment before it changes nothing: replayed is true, and the stock is today's.
//
// It fails with stock.ErrBelowZero and stock.ErrKeyReused. Where it meets a batch of another process it tries again
// until ctx ends.
func (s *Store) Adjust(ctx context.Context, a Adjustment) (level stock.Level, replayed bool, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return stock.Level{}, false, fmt.Errorf("make an id: %w", err)
	}
	doc := adjustment{
		ID: id.String(), SKU: a.SKU, Quantity: a.Quantity, Reason: a.Reason, By: a.By, Key: a.Key, Hash: a.hash(),
		At: s.now().UTC().Truncate(time.Millisecond),
	}
	// A second adjustment with the same key is rare, and the unique index refuses it. So an earlier one is looked for only
	// where there may be one: behind a duplicate, behind our own try of which no answer came, and where goods are missing
	// that our own earlier one may have taken.
	look := false
	for try := 0; ; try++ {
		err := s.reservations.Transact(ctx, func(ctx context.Context, _ *outbox.Tx[document, *document]) error {
			level, replayed, err = s.adjust(ctx, doc, look)
			return err
		})
		if err == nil {
			return level, replayed, nil
		}
		maybe := mongodb.IsDuplicateKey(err) || errors.Is(err, outbox.ErrUnknown) || errors.Is(err, stock.ErrBelowZero) && doc.Key != ""
		if maybe && !look && ctx.Err() == nil {
			look = true
			continue
		}
		if !errors.Is(err, outbox.ErrConflict) || pause(ctx, try) != nil {
			return stock.Level{}, false, fmt.Errorf("adjust the stock of %s: %w", a.SKU, err)
		}
		s.metrics.conflicts.WithLabelValues("adjustment").Inc()
	}
}

func (a Adjustment) hash() []byte {
	h := sha256.Sum256(fmt.Appendf(nil, "%d %s", a.Quantity, a.Reason))
	return h[:]
}

// adjust is one try, inside a transaction, which looks for an earlier adjustment where it is told to.
func (s *Store) adjust(ctx context.Context, doc adjustment, look bool) (level stock.Level, replayed bool, err error) {
	var earlier *adjustment
	if look {
		if earlier, err = s.earlier(ctx, doc); err != nil {
			return stock.Level{}, false, err
		}
	}
	levels, err := s.levels(ctx, []string{doc.SKU})
	if err != nil {
		return stock.Level{}, false, err
	}
	isNew := len(levels) == 0
	level = stock.Level{SKU: doc.SKU}
	if !isNew {
		level = levels[0]
	}
	if earlier != nil {
		if !bytes.Equal(earlier.Hash, doc.Hash) {
			return stock.Level{}, false, stock.ErrKeyReused
		}
		return level, earlier.ID != doc.ID, nil // with our own id it is our own try of which no answer came
	}
	if err := level.Adjust(doc.Quantity); err != nil {
		return stock.Level{}, false, err
	}
	// First of all writes: a repeat meets the index and not those who want the row as well.
	if _, err := s.adjustments.InsertOne(ctx, doc); err != nil {
		return stock.Level{}, false, fmt.Errorf("store an adjustment: %w", err)
	}
	if isNew {
		if _, err := s.stock.InsertOne(ctx, level); err != nil {
			return stock.Level{}, false, fmt.Errorf("create a stock row: %w", err)
		}
	} else if err := s.move(ctx, []stock.Level{{SKU: doc.SKU, Available: doc.Quantity}}); err != nil {
		return stock.Level{}, false, err
	}
	return level, false, nil
}

// earlier finds the adjustment that has this id or this key already, nil if none has.
func (s *Store) earlier(ctx context.Context, doc adjustment) (*adjustment, error) {
	filters := []bson.D{{{Key: "_id", Value: doc.ID}}}
	if doc.Key != "" {
		filters = append(filters, bson.D{{Key: "sku", Value: doc.SKU}, {Key: "key", Value: doc.Key}})
	}
	for _, filter := range filters {
		var found adjustment
		err := s.adjustments.FindOne(ctx, filter).Decode(&found)
		switch {
		case err == nil:
			return &found, nil
		case !errors.Is(err, mongo.ErrNoDocuments):
			return nil, fmt.Errorf("look for an earlier adjustment: %w", err)
		}
	}
	return nil, nil //nolint:nilnil // nothing there is no error
}
