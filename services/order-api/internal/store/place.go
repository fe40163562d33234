package store

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/pkg/group"
	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// Whatever is asked for while a write is in flight goes with the next one. A durable commit costs about the same
// however big it is, so this is what gives throughput. A second writer halves the groups: fewer orders a second, answered
// no sooner. So one group that waits for another instance's (placeAll) holds up the others, for placeTimeout at most.
const (
	placeWorkers = 1
	placeBatch   = 256
	placeQueue   = 4096
	placeBytes   = 4 << 20
	// placeTimeout bounds one group; who waits for it has a deadline of its own.
	placeTimeout = 1500 * time.Millisecond
)

// ErrKeyReused says that the idempotency key belongs to a request with another body.
var ErrKeyReused = errors.New("the idempotency key was used for another request")

// Placement asks for an order. With a key, the same placement gives the same order, however often and wherever it is
// asked for; Hash tells whether it is the same.
type Placement struct {
	Draft       order.Draft
	Key         string // "" for none
	Hash        []byte
	TraceParent string
}

// size is about what the document takes.
func (p Placement) size() int {
	return 4096 + 256*len(p.Draft.Items) + 4*len(p.Draft.Note)
}

// Placed is the answer; Replayed if the order is there by an earlier request.
type Placed struct {
	Order    *order.Order
	Replayed bool
}

// Place stores an order with its order-created, durably, together with whatever else is asked for at the moment.
// It fails with an *order.InvalidError, ErrKeyReused, group.ErrOverloaded, or an error of the database, after which
// the order may be there or not; asking again with the same key finds out.
func (s *Store) Place(ctx context.Context, p Placement) (Placed, error) {
	return s.placing.Do(ctx, p)
}

// placeAll answers a group. The first round takes every key for a new one, which nearly all are: the unique index says
// so otherwise. Who meets its own twin then, in the group or on another instance, and who would be refused, comes again,
// and is looked up by its key first.
func (s *Store) placeAll(ctx context.Context, batch []Placement) []group.Result[Placed] {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	results := make([]group.Result[Placed], len(batch))
	waiting := make([]int, len(batch))
	for i := range batch {
		waiting[i] = i
	}
	isFirst := true
	for pause := time.Millisecond; len(waiting) > 0; pause *= 2 {
		again, met, err := s.placeRound(ctx, batch, waiting, isFirst, results)
		if err == nil && met { // with an order that nobody can see yet: its insert may still fail
			err = sleep(ctx, pause/2+rand.N(pause))
		}
		if err != nil {
			for _, i := range again {
				results[i].Err = fmt.Errorf("place an order: %w", err)
			}
			return results
		}
		waiting, isFirst = again, false
	}
	return results
}

// placeRound answers those of waiting that it can and returns the others. met tells that an insert ran into a key that
// was looked up and not found. An error concerns all that it returns.
func (s *Store) placeRound(ctx context.Context, batch []Placement, waiting []int, isFirst bool, results []group.Result[Placed]) (again []int, met bool, err error) {
	known := map[scope]*document{}
	if !isFirst {
		if known, err = s.byKey(ctx, batch, waiting); err != nil {
			return waiting, false, err
		}
	}
	var fresh []int
	for _, i := range waiting {
		twin := known[scopeOf(batch[i])]
		switch {
		case twin == nil:
			fresh = append(fresh, i)
		case subtle.ConstantTimeCompare(twin.Idempotency.Hash, batch[i].Hash) == 1:
			results[i].Value = Placed{Order: twin.order(), Replayed: true}
		default:
			results[i].Err = ErrKeyReused
		}
	}
	if len(fresh) == 0 {
		return nil, false, nil
	}
	prices, err := s.prices(ctx, batch, fresh)
	if err != nil {
		return fresh, false, err
	}
	var (
		docs []*document
		whom []int
	)
	leads := map[scope]bool{} // of each key one is placed; who is refused leads nobody
	for _, i := range fresh {
		if leads[scopeOf(batch[i])] {
			again = append(again, i)
			continue
		}
		d, err := s.build(batch[i], prices)
		if err != nil && isFirst && batch[i].Key != "" { // it may have been placed when it was right
			again = append(again, i)
			continue
		}
		if err != nil {
			results[i].Err = err
			continue
		}
		if batch[i].Key != "" {
			leads[scopeOf(batch[i])] = true
		}
		docs, whom = append(docs, d), append(whom, i)
	}
	if len(docs) == 0 {
		return again, false, nil
	}
	for n, err := range s.orders.Insert(ctx, docs) {
		i := whom[n]
		var duplicate *outbox.DuplicateKeyError
		switch {
		case err == nil:
			results[i].Value = Placed{Order: docs[n].order()}
		case errors.As(err, &duplicate) && duplicate.Index == idempotencyIndex:
			again, met = append(again, i), !isFirst
		default:
			results[i].Err = fmt.Errorf("place an order: %w", err)
		}
	}
	return again, met, nil
}

// build makes the document with its first event.
func (s *Store) build(p Placement, prices map[string]order.Product) (*document, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make an order id: %w", err)
	}
	at := s.now()
	o, err := order.Place(id.String(), p.Draft, prices, at)
	if err != nil {
		return nil, err
	}
	d := &document{Order: *o}
	d.ID = o.ID
	if p.Key != "" {
		d.Idempotency = &idempotency{Key: p.Key, Hash: p.Hash}
	}
	return d, d.publish(&eventspb.Order{}, at, p.TraceParent, nil, events.OrderCreated)
}

// scope is where an idempotency key is unique.
type scope struct{ customer, key string }

func scopeOf(p Placement) scope { return scope{p.Draft.CustomerID, p.Key} }

// byKey finds the orders that were placed with the keys of those who wait.
func (s *Store) byKey(ctx context.Context, batch []Placement, waiting []int) (map[scope]*document, error) {
	keys := map[string]bson.A{}
	for _, i := range waiting {
		if p := batch[i]; p.Key != "" {
			keys[p.Draft.CustomerID] = append(keys[p.Draft.CustomerID], p.Key)
		}
	}
	found := map[scope]*document{}
	if len(keys) == 0 {
		return found, nil
	}
	cursor, err := s.list.Find(ctx, byKeyFilter(keys))
	if err != nil {
		return nil, fmt.Errorf("look up idempotency keys: %w", err)
	}
	var docs []*document
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, fmt.Errorf("look up idempotency keys: %w", err)
	}
	for _, d := range docs {
		found[scope{d.Order.CustomerID, d.Idempotency.Key}] = d
	}
	return found, nil
}

func byKeyFilter(keys map[string]bson.A) bson.D {
	var each bson.A
	for customer, of := range keys {
		each = append(each, bson.D{{Key: "customerId", Value: customer}, {Key: "idempotency.key", Value: bson.D{{Key: "$in", Value: of}}}})
	}
	if len(each) == 1 {
		return each[0].(bson.D)
	}
	return bson.D{{Key: "$or", Value: each}}
}

// prices reads the price list once for the group, so that a price is in force as soon as it was answered.
func (s *Store) prices(ctx context.Context, batch []Placement, whom []int) (map[string]order.Product, error) {
	prices := map[string]order.Product{}
	var skus bson.A
	for _, i := range whom {
		for _, item := range batch[i].Draft.Items {
			if _, ok := prices[item.SKU]; !ok {
				prices[item.SKU] = order.Product{}
				skus = append(skus, item.SKU)
			}
		}
	}
	clear(prices)
	cursor, err := s.products.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: skus}}}})
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	var products []order.Product
	if err := cursor.All(ctx, &products); err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	for _, p := range products {
		prices[p.SKU] = p
	}
	return prices, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
