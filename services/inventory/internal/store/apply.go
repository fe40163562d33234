package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// maxBatch is how many orders one transaction takes at most. A longer one saves little and meets others more often.
const maxBatch = 200

// Apply takes in the news of a batch of orders, first come first served, and gives an outcome for each piece of news:
// nil when it is applied or known already, stock.ErrImpossible for what can never be applied; anything else is worth
// another try.
//
// Where a transaction meets another one, all is read and decided again, in half of the batch, down to one order, so
// that somebody always gets through, until ctx ends.
func (s *Store) Apply(ctx context.Context, batch []stock.Dossier) [][]error {
	outcomes := make([][]error, 0, len(batch))
	size, try := min(len(batch), maxBatch), 0
	for len(outcomes) < len(batch) {
		todo := batch[len(outcomes):]
		chunk := todo[:min(size, len(todo))]
		decided, err := s.try(ctx, chunk)
		isLost := ctx.Err() != nil || mongodb.IsAway(err) || errors.Is(err, outbox.ErrUnknown)
		switch {
		case err == nil:
			for _, d := range decided {
				outcomes = append(outcomes, d.Errors)
			}
			size, try = min(2*size, maxBatch), 0
			continue
		case isLost:
			return failAll(outcomes, todo, err)
		case errors.Is(err, outbox.ErrConflict):
			s.metrics.conflicts.WithLabelValues("batch").Inc()
		case len(chunk) == 1:
			outcomes = failAll(outcomes, chunk, err)
			continue
		}
		size = max(1, len(chunk)/2)
		if pause(ctx, try) != nil {
			return failAll(outcomes, todo, err)
		}
		try++
	}
	return outcomes
}

func failAll(outcomes [][]error, of []stock.Dossier, err error) [][]error {
	for _, d := range of {
		outcomes = append(outcomes, slices.Repeat([]error{fmt.Errorf("move the stock of order %s: %w", d.OrderID, err)}, len(d.News)))
	}
	return outcomes
}

// try decides a batch in one transaction. An error says that nothing is written, or that this is unknown.
func (s *Store) try(ctx context.Context, batch []stock.Dossier) (outcomes []stock.Outcome, err error) {
	start := time.Now()
	if chaos.On(chaos.UnguardedStock) {
		if s, err = s.readingEarly(ctx, batch); err != nil {
			return nil, err
		}
	}
	err = s.reservations.Transact(ctx, func(ctx context.Context, tx *outbox.Tx[document, *document]) error {
		outcomes, err = s.decide(ctx, tx, batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.metrics.decided(outcomes, time.Since(start))
	return outcomes, nil
}

// decide reads what the batch needs, decides in memory, and writes the stock rows first, always in the order of their
// SKUs: two batches meet at their first common row, before they have done much.
func (s *Store) decide(ctx context.Context, tx *outbox.Tx[document, *document], batch []stock.Dossier) ([]stock.Outcome, error) {
	ids := make([]string, len(batch))
	for i, d := range batch {
		ids[i] = d.OrderID
	}
	docs, err := tx.Find(ctx, ids...)
	if err != nil {
		return nil, err
	}
	levels, err := s.levels(ctx, skus(batch, docs))
	if chaos.On(chaos.UnguardedStock) {
		levels = s.early
	}
	if err != nil {
		return nil, err
	}
	shelf := stock.NewShelf(levels)
	outcomes := make([]stock.Outcome, len(batch))
	for i, d := range batch {
		doc := docs[d.OrderID]
		reservation, seen := doc.reservation(), doc.seen
		if chaos.On(chaos.NoDedup) && repeats(d, doc) {
			reservation, seen = nil, (*document)(nil).seen
		}
		out := stock.Fold(d, reservation, seen, shelf, s.now())
		outcomes[i] = out
		if !out.Changed {
			if doc != nil {
				tx.Unchanged(doc)
			}
			continue
		}
		if doc, err = doc.write(out); err != nil {
			return nil, err
		}
		tx.Put(doc)
	}
	return outcomes, s.move(ctx, shelf.Changes())
}

// skus names the stock rows that the batch may touch.
func skus(batch []stock.Dossier, docs map[string]*document) []string {
	var all []string
	for _, d := range batch {
		if doc := docs[d.OrderID]; doc != nil {
			// Those of the order are the same, or the news is impossible.
			for _, i := range doc.Reservation.Items {
				all = append(all, i.SKU)
			}
			continue
		}
		for _, n := range d.News {
			for _, i := range n.Order.GetItems() {
				all = append(all, i.GetSku())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// levels reads stock rows; those that do not exist are missing in the answer.
func (s *Store) levels(ctx context.Context, skus []string) ([]stock.Level, error) {
	if len(skus) == 0 {
		return nil, nil
	}
	cursor, err := s.stock.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: skus}}}})
	if err != nil {
		return nil, fmt.Errorf("read %d stock rows: %w", len(skus), err)
	}
	var levels []stock.Level
	if err := cursor.All(ctx, &levels); err != nil {
		return nil, fmt.Errorf("read %d stock rows: %w", len(skus), err)
	}
	return levels, nil
}

// move adds changes to the counters. Each that goes down is guarded: it holds as much as is taken, or nothing of the
// transaction is written.
func (s *Store) move(ctx context.Context, changes []stock.Level) error {
	if len(changes) == 0 {
		return nil
	}
	updates := make([]mongo.WriteModel, len(changes))
	for i, c := range changes {
		filter, inc := bson.D{{Key: "_id", Value: c.SKU}}, bson.D{}
		for _, counter := range counters {
			n := *c.In(counter.bucket)
			if n == 0 {
				continue
			}
			inc = append(inc, bson.E{Key: counter.field, Value: n})
			if n < 0 && !chaos.On(chaos.UnguardedStock) {
				filter = append(filter, bson.E{Key: counter.field, Value: bson.D{{Key: "$gte", Value: -n}}})
			}
		}
		updates[i] = mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$inc", Value: inc}})
	}
	result, err := s.stock.BulkWrite(ctx, updates)
	if err != nil {
		return fmt.Errorf("update %d stock rows: %w", len(changes), err)
	}
	if result.MatchedCount < int64(len(changes)) {
		return fmt.Errorf("update %d stock rows, %d hold what is taken: %w", len(changes), result.MatchedCount, outbox.ErrConflict)
	}
	return nil
}

var counters = []struct {
	field  string
	bucket stock.Bucket
}{
	{"available", stock.Available},
	{"reserved", stock.Reserved},
	{"shipped", stock.Shipped},
	{"writtenOff", stock.WrittenOff},
}
