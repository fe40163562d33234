package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// Store keeps shipments.
type Store struct {
	shipments *outbox.Collection[document, *document]
	list      *mongo.Collection
	timers    shipment.Timers
	metrics   *metrics
	now       func() time.Time
}

// Shipments is the collection that the relay publishes from.
func Shipments(db *mongo.Database) *mongo.Collection { return db.Collection("shipments") }

// New makes the store; relay is told of every event that a write appends, timers tell when a shipment is due. reg may
// be nil.
func New(db *mongo.Database, relay *outbox.Relay, timers shipment.Timers, reg prometheus.Registerer) *Store {
	return &Store{
		shipments: outbox.NewCollection[document](Shipments(db), relay), list: Shipments(db),
		timers: timers, metrics: newMetrics(reg), now: time.Now,
	}
}

// EnsureIndexes creates what is missing. Every query of the package has an index; a test asks the database.
func (s *Store) EnsureIndexes(ctx context.Context) error {
	err := mongodb.EnsureIndexes(ctx, s.list, append(outbox.Indexes(),
		mongo.IndexModel{Keys: bson.D{{Key: "customerId", Value: 1}, {Key: "_id", Value: -1}}},
		mongo.IndexModel{Keys: bson.D{{Key: "customerId", Value: 1}, {Key: "status", Value: 1}, {Key: "_id", Value: -1}}},
		mongo.IndexModel{Keys: bson.D{{Key: "status", Value: 1}, {Key: "_id", Value: -1}}},
		mongo.IndexModel{Keys: bson.D{{Key: "status", Value: 1}, {Key: "due", Value: 1}}},
	)...)
	if err != nil {
		return fmt.Errorf("create the indexes of shipments: %w", err)
	}
	return nil
}

// Fold takes in the news of each order in one write per order, and gives an outcome for each piece of news: nil when it
// is applied or known already, shipment.ErrImpossible for news that cannot be true of it; anything else is worth
// another try.
func (s *Store) Fold(ctx context.Context, news map[string][]shipment.News) map[string][]error {
	outcomes := make(map[string][]error, len(news))
	said := make(map[string][]events.Type, len(news)) // as the last try decided
	failed := s.shipments.Apply(ctx, slices.Sorted(maps.Keys(news)), func(id string, d *document) (*document, error) {
		seen := int64(0)
		if d != nil && !chaos.On(chaos.NoDedup) {
			seen = d.Seen[string(events.SourceInventory)]
		}
		at := s.clock()
		out := shipment.Fold(d.shipment(), news[id], seen, at)
		outcomes[id], said[id] = out.Errors, out.Says
		if len(out.Says) == 0 {
			return nil, outbox.ErrUnchanged
		}
		d, err := s.change(d, out.Shipment, out.Says, out.Trace, at)
		if err != nil {
			return nil, err
		}
		d.Take(string(events.SourceInventory), out.Taken)
		return d, nil
	})
	for id, err := range failed {
		delete(said, id)
		err = fmt.Errorf("take in news of order %s: %w", id, err)
		outcomes[id] = slices.Repeat([]error{err}, len(news[id]))
	}
	for _, says := range said {
		s.metrics.count(says)
	}
	return outcomes
}

// Act lets the carrier act on a shipment, in one guarded write. Where step says nothing, nothing is written. It gives
// the shipment as it is then, or shipment.ErrNotFound, or the error of step.
func (s *Store) Act(ctx context.Context, id, trace string, step shipment.Step) (*shipment.Shipment, error) {
	var says []events.Type // as the last try decided
	d, err := s.shipments.Update(ctx, id, func(d *document) error {
		var err error
		says, err = s.take(d, step, trace)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("shipment %s: %w", id, notFound(err))
	}
	s.metrics.count(says)
	return d.shipment(), nil
}

// ActAll lets the carrier take a step on each of several shipments, in one transaction: however many are overdue, they
// cost few durable writes. It gives those on which it could not act, and why.
func (s *Store) ActAll(ctx context.Context, steps map[string]shipment.Step) map[string]error {
	said := make(map[string][]events.Type, len(steps)) // as the last try decided
	failed := s.shipments.Apply(ctx, slices.Sorted(maps.Keys(steps)), func(id string, d *document) (*document, error) {
		delete(said, id)
		if d == nil {
			return nil, shipment.ErrNotFound
		}
		says, err := s.take(d, steps[id], "")
		if err != nil {
			return nil, err
		}
		said[id] = says
		return d, nil
	})
	for id, err := range failed {
		delete(said, id)
		failed[id] = fmt.Errorf("shipment %s: %w", id, err)
	}
	for _, says := range said {
		s.metrics.count(says)
	}
	return failed
}

// take lets the carrier take a step on a shipment as it was read, and gives the events that tell of it. It gives
// outbox.ErrUnchanged where the step says nothing.
func (s *Store) take(d *document, step shipment.Step, trace string) ([]events.Type, error) {
	now := d.shipment().Clone()
	says, err := step(now)
	if err != nil {
		return nil, err
	}
	if len(says) == 0 {
		return nil, outbox.ErrUnchanged
	}
	_, err = s.change(d, now, says, trace, s.clock())
	return says, err
}

// Get reads one shipment, or gives shipment.ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (*shipment.Shipment, error) {
	d, err := s.shipments.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read shipment %s: %w", id, notFound(err))
	}
	return d.shipment(), nil
}

func notFound(err error) error {
	if errors.Is(err, outbox.ErrNotFound) {
		return shipment.ErrNotFound
	}
	return err
}

// Filter narrows a list.
type Filter struct {
	Customer string          // "" for all
	Order    string          // "" for all
	Status   shipment.Status // "" for all
	Before   string          // id of the last shipment of the page before; "" for the first page
	Limit    int
}

// List reads a page of shipments, newest order first; more tells whether another page follows.
func (s *Store) List(ctx context.Context, f Filter) (page []*shipment.Shipment, more bool, err error) {
	docs, err := s.shipments.Query(ctx, f.query(), options.Find().SetSort(newestFirst).SetLimit(int64(f.Limit)+1).
		SetProjection(bson.D{{Key: "outbox", Value: 0}}))
	if err != nil {
		return nil, false, fmt.Errorf("list shipments: %w", err)
	}
	if more = len(docs) > f.Limit; more {
		docs = docs[:f.Limit]
	}
	page = make([]*shipment.Shipment, 0, len(docs))
	for _, d := range docs {
		page = append(page, d.shipment())
	}
	return page, more, nil
}

// newestFirst is the order of the ids: they are the orders', UUIDv7, which sort by time.
var newestFirst = bson.D{{Key: "_id", Value: -1}}

func (f Filter) query() bson.D {
	q := bson.D{}
	if f.Customer != "" {
		q = append(q, bson.E{Key: "customerId", Value: f.Customer})
	}
	if f.Status != "" {
		q = append(q, bson.E{Key: "status", Value: f.Status})
	}
	id := bson.D{}
	if f.Order != "" {
		id = append(id, bson.E{Key: "$eq", Value: f.Order})
	}
	if f.Before != "" {
		id = append(id, bson.E{Key: "$lt", Value: f.Before})
	}
	if len(id) > 0 {
		q = append(q, bson.E{Key: "_id", Value: id})
	}
	return q
}

// Due lists shipments in a state on which the carrier acts by now: at most limit, the longest overdue first, from a due
// time on and without those of except. It reads no more of them, so that one that cannot be read keeps nobody.
func (s *Store) Due(ctx context.Context, status shipment.Status, from, now time.Time, except []string, limit int) ([]shipment.Overdue, error) {
	query := dueQuery(status, from, now)
	if len(except) > 0 {
		query = append(query, bson.E{Key: "_id", Value: bson.D{{Key: "$nin", Value: except}}})
	}
	cursor, err := s.list.Find(ctx, query, options.Find().SetSort(soonest).SetLimit(int64(limit)).
		SetProjection(bson.D{{Key: "due", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("list due shipments: %w", err)
	}
	var found []struct {
		ID  string    `bson:"_id"`
		Due time.Time `bson:"due"`
	}
	if err := cursor.All(ctx, &found); err != nil {
		return nil, fmt.Errorf("list due shipments: %w", err)
	}
	due := make([]shipment.Overdue, len(found))
	for i, d := range found {
		due[i] = shipment.Overdue(d)
	}
	return due, nil
}

// soonest is the order in which the carrier acts.
var soonest = bson.D{{Key: "due", Value: 1}}

// dueQuery leaves out the zero time, which says never.
func dueQuery(status shipment.Status, from, now time.Time) bson.D {
	first := bson.E{Key: "$gte", Value: from}
	if from.IsZero() {
		first.Key = "$gt"
	}
	return bson.D{{Key: "status", Value: status}, {Key: "due", Value: bson.D{first, {Key: "$lte", Value: now}}}}
}

// clock gives the time in the milliseconds that the database keeps.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }
