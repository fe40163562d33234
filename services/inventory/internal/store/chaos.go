package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// repeats tells whether an order's news brings what the document has heard: the control chaos.NoDedup takes it in as
// if the order had never been seen.
func repeats(d stock.Dossier, doc *document) bool {
	for _, n := range d.News {
		if doc != nil && n.Order != nil && n.Sequence <= doc.seen(n.Source()) {
			return true
		}
	}
	return false
}

// early is how long before its transaction the control reads, at least: others have time to take what it has seen. Two
// that read at once write one after the other, or they would only meet.
const early = 100 * time.Millisecond

// readingEarly is the control chaos.UnguardedStock: a store that has read the stock rows before the transaction.
func (s *Store) readingEarly(ctx context.Context, batch []stock.Dossier) (*Store, error) {
	levels, err := s.levels(ctx, skus(batch, nil))
	if err != nil {
		return nil, err
	}
	time.Sleep(early + rand.N(early))
	c := *s
	c.early = levels
	return &c, nil
}
