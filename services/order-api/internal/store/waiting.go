package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// waiting says since when an order is in a state that it must leave again.
type waiting struct {
	Status string    `bson:"status"`
	Since  time.Time `bson:"since"`
}

// Moving lists the states that an order must leave again.
func Moving() []order.Status {
	return []order.Status{
		eventspb.OrderStatus_ORDER_STATUS_PENDING, eventspb.OrderStatus_ORDER_STATUS_CONFIRMED,
		eventspb.OrderStatus_ORDER_STATUS_CANCELLING, eventspb.OrderStatus_ORDER_STATUS_SHIPPED,
	}
}

// enter notes the order's state; whoever is in it already has been since then.
func (d *document) enter(status order.Status, at time.Time) {
	word := events.Word(status)
	if word == d.Status {
		return
	}
	d.Status, d.Waiting = word, nil
	switch status {
	case eventspb.OrderStatus_ORDER_STATUS_CONFIRMED, eventspb.OrderStatus_ORDER_STATUS_CANCELLING, eventspb.OrderStatus_ORDER_STATUS_SHIPPED:
		d.Waiting = &waiting{Status: word, Since: at}
	default:
	}
}

// longestWaiting is the order of the partial index: placing an order does not touch it, and an order that has ended is
// not in it.
var longestWaiting = bson.D{{Key: "waiting.status", Value: 1}, {Key: "waiting.since", Value: 1}}

// WaitingSince tells since when the order that is in a moving state longest has been in it; the zero time where there
// is none. It reads one document by an index.
func (s *Store) WaitingSince(ctx context.Context, status order.Status) (time.Time, error) {
	filter, sort := waitingQuery(status)
	var d document
	err := s.list.FindOne(ctx, filter, options.FindOne().SetSort(sort).
		SetProjection(bson.D{{Key: "waiting", Value: 1}, {Key: "createdAt", Value: 1}})).Decode(&d)
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("find the order that is %s longest: %w", events.Word(status), err)
	case d.Waiting != nil:
		return d.Waiting.Since, nil
	default:
		return d.Order.CreatedAt, nil
	}
}

func waitingQuery(status order.Status) (filter, sort bson.D) {
	word := events.Word(status)
	if status == eventspb.OrderStatus_ORDER_STATUS_PENDING {
		return bson.D{{Key: "status", Value: word}}, bson.D{{Key: "_id", Value: 1}} // ids are UUIDv7: they sort by time
	}
	return bson.D{{Key: "waiting.status", Value: word}, {Key: "waiting.since", Value: bson.D{{Key: "$exists", Value: true}}}},
		bson.D{{Key: "waiting.since", Value: 1}}
}
