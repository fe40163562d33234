// Package consumer takes in what inventory asks of shipping.
//
// A batch holds news of many orders. It is sorted by order, each order's news is folded into one write, and each record
// gets an outcome of its own: done, permanent (it goes to the dead-letter topic), or worth another try. Recognising
// duplicates is left to the rules in package shipment.
package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// Name of the service, and of its consumer group.
const Name = string(events.SourceShipping)

// Topics that the service reads.
func Topics() []string { return []string{events.TopicShipping} }

// table says what is done with each type. The type is a label: all are taken in by the same rule, which compares the
// snapshot with the shipment.
var table = map[events.Type]func(*events.Event) shipment.News{
	events.ShipmentRequested:       reservation,
	events.ShipmentUpdateRequested: reservation,
	events.ShipmentCancelRequested: reservation,
}

// Wants tells by its header alone whether a record is read: own events and those for others are not.
func Wants(r *consumer.Record) bool {
	_, ok := table[events.Type(r.Header(events.HeaderType))]
	return ok
}

// shipments folds news into shipments and gives an outcome for each piece of news.
type shipments interface {
	Fold(ctx context.Context, news map[string][]shipment.News) map[string][]error
}

// Consumer hands news to the orders they are about.
type Consumer struct{ shipments shipments }

// New makes a consumer.
func New(s shipments) *Consumer { return &Consumer{shipments: s} }

// Handle applies a batch and gives an outcome per record.
func (c *Consumer) Handle(ctx context.Context, batch []*consumer.Record) []error {
	var (
		outcomes = make([]error, len(batch))
		news     = map[string][]shipment.News{}
		records  = map[string][]int{} // order id → indexes into batch, beside news
	)
	for i, r := range batch {
		e, err := events.Decode(r.Header, r.Key, r.Value)
		if errors.Is(err, events.ErrUnknownType) {
			continue // others may share the topic
		}
		if err != nil {
			outcomes[i] = consumer.Permanent(err)
			continue
		}
		take, ok := table[e.Type]
		if !ok {
			continue // not ours to act on
		}
		news[e.Subject] = append(news[e.Subject], take(e))
		records[e.Subject] = append(records[e.Subject], i)
	}
	if len(news) == 0 {
		return outcomes
	}
	folded := c.shipments.Fold(ctx, news)
	for id, of := range records {
		for n, i := range of {
			outcomes[i] = judge(batch[i], folded[id][n])
		}
	}
	return outcomes
}

// judge tells what cannot become true by trying again from what can.
func judge(r *consumer.Record, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, shipment.ErrImpossible):
		return consumer.Permanent(err)
	default:
		return fmt.Errorf("%s of %s[%d]@%d: %w", r.Header(events.HeaderType), r.Topic, r.Partition, r.Offset, err)
	}
}
