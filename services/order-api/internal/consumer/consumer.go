// Package consumer takes in what inventory and shipping say about orders.
//
// A batch holds news of many orders from both topics. It is sorted by order, each order's news is folded into one
// write, and each record gets an outcome of its own: done, permanent (it goes to the dead-letter topic), or worth
// another try. Recognising duplicates is the store's part, because it knows what an order has heard.
package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// Name of the service, and of its consumer group.
const Name = string(events.SourceOrderAPI)

// table says what is done with each type. The type is a label: all types of a source are taken in by the same rule,
// which compares the snapshot with the order.
var table = map[events.Type]func(*events.Event) order.News{
	events.StockReserved: stock,
	events.StockRejected: stock,
	events.StockReleased: stock,

	events.ShipmentScheduled:     shipment,
	events.ShipmentUpdated:       shipment,
	events.ShipmentUpdateRefused: shipment,
	events.ShipmentDispatched:    shipment,
	events.ShipmentDelivered:     shipment,
	events.ShipmentCancelled:     shipment,
	events.ShipmentCancelRefused: shipment,
	events.ShipmentFailed:        shipment,
}

// orders folds news into orders and gives an outcome for each piece of news.
type orders interface {
	Fold(ctx context.Context, news map[string][]order.News) map[string][]error
}

// Consumer hands news to the orders they are about.
type Consumer struct{ orders orders }

// New makes a consumer.
func New(o orders) *Consumer { return &Consumer{orders: o} }

// Wants tells by its header alone whether a record is read: own events and those between other services are not.
func Wants(r *consumer.Record) bool {
	_, ok := table[events.Type(r.Header(events.HeaderType))]
	return ok
}

// Handle applies a batch and gives an outcome per record.
func (c *Consumer) Handle(ctx context.Context, batch []*consumer.Record) []error {
	var (
		outcomes = make([]error, len(batch))
		news     = map[string][]order.News{}
		records  = map[string][]int{} // order id → indexes into batch, beside news
	)
	for i, r := range batch {
		e, err := events.Decode(r.Header, r.Key, r.Value)
		if errors.Is(err, events.ErrUnknownType) {
			continue // others may share the topics
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
	folded := c.orders.Fold(ctx, news)
	for id, of := range records {
		for n, i := range of {
			outcomes[i] = judge(batch[i], folded[id][n])
		}
	}
	return outcomes
}

// judge tells what cannot become true by trying again from what can. News of an order that is not there is
// impossible: an order is stored before its first event is published.
func judge(r *consumer.Record, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, order.ErrNotFound), errors.Is(err, order.ErrImpossible):
		return consumer.Permanent(err)
	default:
		return fmt.Errorf("%s of %s[%d]@%d: %w", r.Header(events.HeaderType), r.Topic, r.Partition, r.Offset, err)
	}
}
