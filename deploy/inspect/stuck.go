package inspect

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/deploy/internal/documents"
)

// Deadlines say how long an order may be in a state. Services leave the first two in milliseconds; the others are a
// carrier's.
func Deadlines() map[string]time.Duration {
	return map[string]time.Duration{
		"pending": time.Minute, "cancelling": time.Minute, "confirmed": 72 * time.Hour, "shipped": 14 * 24 * time.Hour,
	}
}

// States are those of the deadlines, in the order of an order's life.
func States() []string { return []string{"pending", "confirmed", "cancelling", "shipped"} }

// Overdue is one state's orders that are beyond its deadline, the oldest first.
type Overdue struct {
	Status   string        `json:"status"`
	Deadline time.Duration `json:"-"`
	Seconds  float64       `json:"deadlineSeconds"`
	Total    int64         `json:"total"`
	Orders   []Waiting     `json:"orders"` // at most as many as were asked for
}

// Waiting is an order and since when it is in its state.
type Waiting struct {
	ID         string    `json:"id"`
	CustomerID string    `json:"customerId"`
	Since      time.Time `json:"since"`
}

// Stuck finds orders beyond their state's deadline, at most limit of each state; it reads indexes of order-api's.
func Stuck(ctx context.Context, d *documents.Databases, deadlines map[string]time.Duration, limit int, now time.Time) ([]Overdue, error) {
	orders := d.Collection(documents.OrderAPI)
	var all []Overdue
	for _, status := range States() {
		o := Overdue{Status: status, Deadline: deadlines[status], Seconds: deadlines[status].Seconds(), Orders: []Waiting{}}
		filter, sort := overdue(status, now.Add(-o.Deadline))
		var err error
		if o.Total, err = orders.CountDocuments(ctx, filter); err != nil {
			return nil, documents.Away(ctx, fmt.Errorf("count orders that are %s: %w", status, err))
		}
		cursor, err := orders.Find(ctx, filter, options.Find().SetSort(sort).SetLimit(int64(limit)).
			SetProjection(bson.D{{Key: "customerId", Value: 1}, {Key: "status", Value: 1}, {Key: "waiting", Value: 1}, {Key: "createdAt", Value: 1}}))
		if err != nil {
			return nil, documents.Away(ctx, fmt.Errorf("find orders that are %s: %w", status, err))
		}
		var found []documents.Order
		if err := cursor.All(ctx, &found); err != nil {
			return nil, documents.Away(ctx, fmt.Errorf("find orders that are %s: %w", status, err))
		}
		for _, f := range found {
			o.Orders = append(o.Orders, Waiting{f.ID, f.CustomerID, f.Since()})
		}
		all = append(all, o)
	}
	return all, nil
}

// overdue asks for orders that got into a state before a time.
func overdue(status string, before time.Time) (filter, sort bson.D) {
	if status == "pending" {
		return bson.D{{Key: "status", Value: status}, {Key: "_id", Value: bson.D{{Key: "$lt", Value: idAt(before)}}}},
			bson.D{{Key: "_id", Value: 1}}
	}
	return bson.D{{Key: "waiting.status", Value: status}, {Key: "waiting.since", Value: bson.D{{Key: "$exists", Value: true}, {Key: "$lt", Value: before}}}},
		bson.D{{Key: "waiting.since", Value: 1}}
}

// idAt gives the least id of an order placed at a time: ids are UUIDv7 (RFC 9562), whose first 48 bits are milliseconds.
func idAt(at time.Time) string {
	ms := uint64(max(at.UnixMilli(), 0))
	return fmt.Sprintf("%08x-%04x-7000-8000-000000000000", ms>>16, ms&0xffff)
}
