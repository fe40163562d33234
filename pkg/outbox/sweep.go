package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	indexName    = "outbox_left"
	maxMeasured  = 1000 // documents with entries that are counted, and among which a sweep begins
	sweepTimeout = 5 * time.Second
)

// hasEntries asks for an outbox that is not empty by its first element, never by a flag beside it: a flag can be
// cleared by one writer and set by another.
var hasEntries = bson.E{Key: "outbox.0", Value: bson.D{{Key: "$exists", Value: true}}}

// isUnsent names the index's first key, which no document has: so the index is chosen without a hint.
var isUnsent = bson.E{Key: "unsent", Value: nil}

// Indexes are what the sweep needs: the ids of the documents with entries, and only of them.
//
// An index over _id alone cannot be partial, hence the first key. A key outbox.0.… would give pages by age, but not
// every database that speaks the protocol finds array positions in an index.
func Indexes() []mongo.IndexModel {
	return []mongo.IndexModel{{
		Keys:    bson.D{{Key: "unsent", Value: 1}, {Key: "_id", Value: 1}},
		Options: options.Index().SetName(indexName).SetPartialFilterExpression(bson.D{hasEntries}),
	}}
}

// sweepLoop looks for entries that a crash or an overflow left behind: now and then, and at once when there is room
// again after a sweep that ended for want of it.
func (r *Relay) sweepLoop(ctx context.Context, sweep func(context.Context) error) {
	for {
		if err := sweep(ctx); err != nil && ctx.Err() == nil {
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
// cannot be published does not hide the others. Before it, what keeps failing is compared with what is stored, and what
// has long been sent is forgotten: where it is stored still, only that brings it back.
func (r *Relay) sweep(ctx context.Context) error {
	r.mu.Lock()
	r.lanes.expire(time.Now()) // nobody else does while nothing is sent
	r.mu.Unlock()
	if err := r.disown(ctx); err != nil {
		return err
	}
	n, err := r.measure(ctx)
	if err != nil || n == 0 {
		return err
	}
	start, err := r.nth(ctx, rand.Int64N(n))
	if err != nil {
		return err
	}
	room, err := r.sweepRange(ctx, start, "")
	if err != nil || !room {
		return err
	}
	_, err = r.sweepRange(ctx, "", start)
	return err
}

// stored is as much of a document as the sweep reads.
type stored struct {
	ID     string  `bson:"_id"`
	Outbox []Entry `bson:"outbox"`
}

// sweepRange offers the old outboxes of the documents after from and up to to, "" for no bound, and tells whether there
// was room.
func (r *Relay) sweepRange(ctx context.Context, from, to string) (bool, error) {
	for {
		if !r.room() {
			return false, nil
		}
		page, err := r.page(ctx, from, to)
		if err != nil {
			return false, err
		}
		for _, doc := range page {
			r.take(doc)
		}
		if len(page) < r.settings.sweepPage {
			return true, nil
		}
		from = page[len(page)-1].ID
	}
}

// disown stops sending what keeps failing and is stored no longer.
func (r *Relay) disown(ctx context.Context) error {
	r.mu.Lock()
	doubtful := r.lanes.doubtful(r.settings.sweepPage)
	r.mu.Unlock()
	if len(doubtful) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	ids := make(bson.A, len(doubtful))
	for i, d := range doubtful {
		ids[i] = d.id
	}
	cursor, err := r.coll.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}},
		options.Find().SetProjection(bson.D{{Key: "outbox.id", Value: 1}}))
	if err != nil {
		return fmt.Errorf("read outboxes: %w", err)
	}
	var docs []stored
	if err := cursor.All(ctx, &docs); err != nil {
		return fmt.Errorf("read outboxes: %w", err)
	}
	left := map[string]bool{}
	for _, doc := range docs {
		for _, e := range doc.Outbox {
			left[e.ID] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []string
	for _, d := range doubtful {
		if !left[d.entry] && r.lanes.disown(d, time.Now()) {
			gone = append(gone, d.entry)
		}
	}
	if len(gone) > 0 {
		r.log.Warn("events that kept failing are stored no longer: another instance has sent them, or somebody has removed them",
			"events", len(gone), "event_id", gone[0])
	}
	r.gauge()
	return nil
}

func (r *Relay) page(ctx context.Context, from, to string) ([]stored, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	cursor, err := r.coll.Aggregate(ctx, r.left(from, to))
	if err != nil {
		return nil, fmt.Errorf("read outboxes: %w", err)
	}
	var page []stored
	if err := cursor.All(ctx, &page); err != nil {
		return nil, fmt.Errorf("read outboxes: %w", err)
	}
	return page, nil
}

// left asks for outboxes that were left behind, by their ids: those that are older than an entry is on its usual way, and
// those from a future that a clock once showed.
//
// What narrows it stands in a stage of its own: MongoDB makes one query of both and reads no more of the index than it
// must, SecantusDB finds the partial index by exactly its own filter and would otherwise read every document.
func (r *Relay) left(from, to string) mongo.Pipeline {
	ids := bson.D{{Key: "$gt", Value: from}}
	if to != "" {
		ids = append(ids, bson.E{Key: "$lte", Value: to})
	}
	now := time.Now()
	return mongo.Pipeline{
		{{Key: "$match", Value: bson.D{hasEntries, isUnsent}}},
		{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}},
		{{Key: "$match", Value: bson.D{
			{Key: "_id", Value: ids},
			{Key: "$or", Value: bson.A{
				bson.D{{Key: "outbox.0.at", Value: bson.D{{Key: "$lt", Value: now.Add(-r.settings.sweepAge)}}}},
				bson.D{{Key: "outbox.0.at", Value: bson.D{{Key: "$gt", Value: now.Add(r.settings.sweepAge)}}}},
			}},
		}}},
		{{Key: "$limit", Value: r.settings.sweepPage}},
		{{Key: "$project", Value: bson.D{{Key: "outbox", Value: 1}}}},
	}
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

// measure counts the documents with entries, up to a bound, and tells the age of the oldest entry among them.
func (r *Relay) measure(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	cursor, err := r.coll.Aggregate(ctx, mongo.Pipeline{
		{{Key: "$match", Value: bson.D{hasEntries, isUnsent}}},
		{{Key: "$limit", Value: maxMeasured}},
		{{Key: "$group", Value: bson.D{
			{Key: "_id", Value: nil},
			{Key: "n", Value: bson.D{{Key: "$sum", Value: 1}}},
			{Key: "oldest", Value: bson.D{{Key: "$min", Value: bson.D{{Key: "$arrayElemAt", Value: bson.A{"$outbox.at", 0}}}}}},
		}}},
	})
	if err != nil {
		return 0, fmt.Errorf("measure outboxes: %w", err)
	}
	var found []struct {
		N      int64
		Oldest time.Time
	}
	if err := cursor.All(ctx, &found); err != nil {
		return 0, fmt.Errorf("measure outboxes: %w", err)
	}
	if len(found) == 0 {
		r.metrics.pending.Set(0)
		r.metrics.oldest.Set(0)
		return 0, nil
	}
	r.metrics.pending.Set(float64(found[0].N))
	if oldest := found[0].Oldest; oldest.IsZero() { // its entries were cleared while it was read
		r.metrics.oldest.Set(0)
	} else {
		r.metrics.oldest.Set(time.Since(oldest).Abs().Seconds()) // a clock may have been ahead
	}
	return found[0].N, nil
}

// nth gives the id of the nth document with entries, "" where there are fewer by now.
func (r *Relay) nth(ctx context.Context, n int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	var doc stored
	err := r.coll.FindOne(ctx, bson.D{hasEntries, isUnsent}, options.FindOne().
		SetSort(bson.D{{Key: "_id", Value: 1}}).
		SetSkip(n).
		SetProjection(bson.D{{Key: "_id", Value: 1}})).Decode(&doc)
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return "", fmt.Errorf("read outboxes: %w", err)
	}
	return doc.ID, nil
}

// Plan is how the database finds the entries that were left behind.
type Plan struct {
	Index                      string // "" when it reads all documents
	KeysExamined, DocsExamined int
}

// Explain asks the database how it finds what a sweep reads.
func (r *Relay) Explain(ctx context.Context) (Plan, error) {
	var answer struct {
		ExecutionStats struct {
			TotalKeysExamined int      `bson:"totalKeysExamined"`
			TotalDocsExamined int      `bson:"totalDocsExamined"`
			ExecutionStages   bson.Raw `bson:"executionStages"`
		} `bson:"executionStats"`
	}
	err := r.coll.Database().RunCommand(ctx, bson.D{
		{Key: "explain", Value: bson.D{
			{Key: "find", Value: r.coll.Name()},
			{Key: "filter", Value: bson.D{hasEntries, isUnsent}},
			{Key: "sort", Value: bson.D{{Key: "_id", Value: 1}}},
		}},
		{Key: "verbosity", Value: "executionStats"},
	}).Decode(&answer)
	if err != nil {
		return Plan{}, fmt.Errorf("explain the sweep: %w", err)
	}
	plan := Plan{KeysExamined: answer.ExecutionStats.TotalKeysExamined, DocsExamined: answer.ExecutionStats.TotalDocsExamined}
	for stage, ok := answer.ExecutionStats.ExecutionStages, true; ok; stage, ok = stage.Lookup("inputStage").DocumentOK() {
		if name, ok := stage.Lookup("indexName").StringValueOK(); ok {
			plan.Index = name
		}
	}
	return plan, nil
}
