package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	indexName    = "outbox_unsent"
	maxCounted   = 10_000
	sweepTimeout = 5 * time.Second
)

// hasEntries asks for an outbox that is not empty by its first element, never by a flag beside it: a flag can be
// cleared by one writer and set by another.
var hasEntries = bson.E{Key: "outbox.0", Value: bson.D{{Key: "$exists", Value: true}}}

// Indexes are what the sweep needs: the documents with entries, and only they, by the id of their first entry.
func Indexes() []mongo.IndexModel {
	return []mongo.IndexModel{{
		Keys:    bson.D{{Key: "outbox.0.id", Value: 1}},
		Options: options.Index().SetName(indexName).SetPartialFilterExpression(bson.D{hasEntries}),
	}}
}

// sweepLoop looks for entries that a crash or an overflow left behind.
func (r *Relay) sweepLoop(ctx context.Context) {
	for {
		if err := r.sweep(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("the outbox is not swept", "error", err)
		}
		timer := time.NewTimer(r.settings.sweepEvery/2 + rand.N(r.settings.sweepEvery))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.sweepWake:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// sweep goes once through the stored outboxes, page by page, and ends early where there is no room. It begins at a
// random place, so that relays of several processes do not all repeat the same entries, and a crowd of entries that
// cannot be published does not hide the others.
func (r *Relay) sweep(ctx context.Context) error {
	n, err := r.count(ctx)
	if err != nil || n == 0 {
		return err
	}
	start, err := r.headAt(ctx, rand.Int64N(n))
	if err != nil {
		return err
	}
	room, err := r.sweepRange(ctx, bson.D{{Key: "$gte", Value: start}})
	if err != nil || !room {
		return err
	}
	_, err = r.sweepRange(ctx, bson.D{{Key: "$lt", Value: start}})
	return err
}

// stored is as much of a document as the sweep reads.
type stored struct {
	ID     string  `bson:"_id"`
	Outbox []Entry `bson:"outbox"`
}

// sweepRange offers the old outboxes whose first entry's id is within the bounds, and tells whether there was room.
func (r *Relay) sweepRange(ctx context.Context, bounds bson.D) (bool, error) {
	var after string
	for {
		if !r.room() {
			return false, nil
		}
		within := bounds
		if after != "" {
			within = append(bson.D{{Key: "$gt", Value: after}}, onlyUpper(bounds)...)
		}
		page, err := r.page(ctx, within)
		if err != nil {
			return false, err
		}
		for _, doc := range page {
			r.take(doc)
		}
		if len(page) < r.settings.sweepPage {
			return true, nil
		}
		after = page[len(page)-1].Outbox[0].ID
	}
}

func onlyUpper(bounds bson.D) bson.D {
	if bounds[0].Key == "$lt" {
		return bounds
	}
	return nil
}

func (r *Relay) page(ctx context.Context, within bson.D) ([]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	filter := bson.D{
		hasEntries,
		{Key: "outbox.0.id", Value: within},
		{Key: "outbox.0.at", Value: bson.D{{Key: "$lt", Value: time.Now().Add(-r.settings.sweepAge)}}},
	}
	cursor, err := r.coll.Find(ctx, filter, options.Find().
		SetSort(bson.D{{Key: "outbox.0.id", Value: 1}}).
		SetHint(indexName).
		SetLimit(int64(r.settings.sweepPage)).
		SetProjection(bson.D{{Key: "outbox", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("read outboxes: %w", err)
	}
	var page []stored
	if err := cursor.All(ctx, &page); err != nil {
		return nil, fmt.Errorf("read outboxes: %w", err)
	}
	return page, nil
}

func (r *Relay) take(doc stored) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken, _ := r.offer(doc.ID, doc.Outbox)
	r.metrics.swept.Add(float64(taken))
}

func (r *Relay) room() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hungry = !r.lanes.hasRoom()
	return !r.hungry
}

// count gives the number of documents with entries, up to a bound, and measures the oldest.
func (r *Relay) count(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	n, err := r.coll.CountDocuments(ctx, bson.D{hasEntries, anyHead}, options.Count().SetHint(indexName).SetLimit(maxCounted))
	if err != nil {
		return 0, fmt.Errorf("count outboxes: %w", err)
	}
	r.metrics.pending.Set(float64(n))
	r.metrics.oldest.Set(0)
	if n == 0 {
		return 0, nil
	}
	first, err := r.head(ctx, 0)
	if err == nil && first != nil {
		r.metrics.oldest.Set(time.Since(first.At).Seconds())
	}
	return n, err
}

var anyHead = bson.E{Key: "outbox.0.id", Value: bson.D{{Key: "$gte", Value: ""}}}

// headAt gives the id of the nth outbox's first entry, "" where there are fewer by now.
func (r *Relay) headAt(ctx context.Context, n int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	e, err := r.head(ctx, n)
	if err != nil || e == nil {
		return "", err
	}
	return e.ID, nil
}

func (r *Relay) head(ctx context.Context, skip int64) (*Entry, error) {
	cursor, err := r.coll.Find(ctx, bson.D{hasEntries, anyHead}, options.Find().
		SetSort(bson.D{{Key: "outbox.0.id", Value: 1}}).
		SetHint(indexName).SetSkip(skip).SetLimit(1).
		SetProjection(bson.D{{Key: "outbox.id", Value: 1}, {Key: "outbox.at", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("read outboxes: %w", err)
	}
	var found []stored
	if err := cursor.All(ctx, &found); err != nil {
		return nil, fmt.Errorf("read outboxes: %w", err)
	}
	if len(found) == 0 || len(found[0].Outbox) == 0 {
		return nil, nil //nolint:nilnil // nothing there is no error
	}
	return &found[0].Outbox[0], nil
}
