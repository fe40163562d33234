package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/orderwire/orderwire/pkg/chaos"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// Fold applies the news of each order, oldest first, in one write per order, and gives an outcome for each piece of
// news: nil when it is applied or known already, order.ErrNotFound for an order that is not there,
// order.ErrImpossible for news that cannot be true of it; anything else is worth another try.
func (s *Store) Fold(ctx context.Context, news map[string][]order.News) map[string][]error {
	outcomes := make(map[string][]error, len(news))
	failed := s.orders.Apply(ctx, slices.Sorted(maps.Keys(news)), func(id string, d *document) (*document, error) {
		if d == nil {
			return nil, order.ErrNotFound
		}
		write, out, err := s.fold(d, news[id])
		outcomes[id] = out
		if err != nil || !write {
			return nil, err
		}
		return d, nil
	})
	for id, err := range failed {
		if err == nil {
			continue
		}
		err = fmt.Errorf("take in news of order %s: %w", id, err)
		outcomes[id] = slices.Repeat([]error{err}, len(news[id]))
	}
	return outcomes
}

// fold takes in what is newer than what the document has heard of its source, and says order-updated if anything
// differs. A duplicate, or an event that a newer one has superseded, is recognised before it is judged.
func (s *Store) fold(d *document, news []order.News) (write bool, outcomes []error, err error) {
	o := d.order()
	before := o.Snapshot()
	outcomes = make([]error, len(news))
	var (
		heard []order.Line
		trace string
	)
	for i, n := range news {
		source := string(n.Event.Source())
		if n.Event.Sequence <= d.Seen[source] && !chaos.On(chaos.NoDedup) {
			continue
		}
		changed, err := n.Apply(o)
		if err != nil {
			outcomes[i] = fmt.Errorf("take in %s %d of order %s: %w", n.Event.Type, n.Event.Sequence, d.ID, err)
			continue
		}
		d.Take(source, n.Event.Sequence)
		if !changed {
			continue
		}
		trace = n.Event.TraceParent
		heard = append(heard, order.Line{
			Time: order.Now(n.Event.Time), Source: n.Event.Source(), Type: n.Event.Type, Sequence: n.Event.Sequence,
		})
	}
	if len(heard) == 0 {
		return false, outcomes, nil
	}
	return true, outcomes, d.publish(before, s.now(), trace, heard, events.OrderUpdated)
}
