// Package consumer takes in what order-api and shipping say about orders.
//
// A batch holds news of many orders from both topics. It is sorted by order, in the order of arrival, because stock is
// given first come, first served; each order's news is folded into one decision, and each record gets an outcome of
// its own: done, permanent (it goes to the dead-letter topic), or worth another try. Recognising duplicates is left
// to the rules in package stock, which know what an order has heard.
package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// Name of the service, and of its consumer group.
const Name = string(events.SourceInventory)

// table says what is done with each type. The type is a label: all types of a source are taken in by the same rule,
// which compares the snapshot with the reservation.
var table = map[events.Type]func(*events.Event) stock.News{
	events.OrderCreated:         order,
	events.OrderUpdated:         order,
	events.OrderCancelRequested: order,

	events.ShipmentDispatched:    shipment,
	events.ShipmentCancelled:     shipment,
	events.ShipmentCancelRefused: shipment,
	events.ShipmentFailed:        shipment,
}

// reservations takes in the news of a batch of orders and gives an outcome for each piece of it.
type reservations interface {
	Apply(ctx context.Context, batch []stock.Dossier) [][]error
}

// Consumer hands news to the orders they are about.
type Consumer struct{ reservations reservations }

// New makes a consumer.
func New(r reservations) *Consumer { return &Consumer{reservations: r} }

// Topics that the service reads.
func Topics() []string { return []string{events.TopicOrders, events.TopicShipping} }

// Wants tells by its header alone whether a record is read: own events and those for others are not.
func Wants(r *consumer.Record) bool {
	_, ok := table[events.Type(r.Header(events.HeaderType))]
	return ok
}

// Handle applies a batch and gives an outcome per record.
func (c *Consumer) Handle(ctx context.Context, batch []*consumer.Record) []error {
	var (
		outcomes = make([]error, len(batch))
		dossiers []stock.Dossier
		records  [][]int // per dossier, indexes into batch, beside its news
		at       = map[string]int{}
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
		n, ok := at[e.Subject]
		if !ok {
			n = len(dossiers)
			at[e.Subject] = n
			dossiers, records = append(dossiers, stock.Dossier{OrderID: e.Subject}), append(records, nil)
		}
		dossiers[n].News = append(dossiers[n].News, take(e))
		records[n] = append(records[n], i)
	}
	if len(dossiers) == 0 {
		return outcomes
	}
	for n, errs := range c.reservations.Apply(ctx, dossiers) {
		for j, i := range records[n] {
			outcomes[i] = judge(batch[i], errs[j])
		}
	}
	return outcomes
}

// judge tells what cannot become true by trying again from what can.
func judge(r *consumer.Record, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stock.ErrImpossible):
		return consumer.Permanent(err)
	default:
		return fmt.Errorf("%s of %s[%d]@%d: %w", r.Header(events.HeaderType), r.Topic, r.Partition, r.Offset, err)
	}
}
