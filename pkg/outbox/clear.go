package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/mongodb"
)

// maxClears is how many entries one transaction removes at most, statementClears how many each of its statements: SecantusDB
// lets nobody insert into the collection while a statement runs, and compares each entry of a document with all that are
// removed by it. A batch with writes of its own removes none where there are no more than fewClears: it stays small.
const (
	maxClears       = 256
	statementClears = 32
	fewClears       = 32
)

// clearTimeout is for one such transaction.
const clearTimeout = 5 * time.Second

// clears are published entries on their way out of the store.
type clears []ack

// takeClears gives up to limit pending clears to a transaction; settleClears ends what it began.
func (r *Relay) takeClears(limit int) clears {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken, gone := r.lanes.takeClears(limit, time.Now())
	r.metrics.cleared.Add(float64(gone))
	return taken
}

// takeManyClears gives pending clears to a batch where there are many. A few are left to the clear loop.
func (r *Relay) takeManyClears() clears {
	taken := r.takeClears(maxClears)
	if len(taken) <= fewClears {
		r.settleClears(taken, false)
		return nil
	}
	return taken
}

func (r *Relay) settleClears(taken clears, removed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lanes.settle(taken, removed, time.Now())
	if removed {
		r.metrics.cleared.Add(float64(len(taken)))
	}
}

// write removes the entries, inside a transaction: a plain updateMany that meets another's open transaction may not
// come back. It neither checks nor raises the documents' versions: what is published stays so.
func (c clears) write(ctx context.Context, coll *mongo.Collection) error {
	for some := range slices.Chunk(c, statementClears) {
		ids, entries := make(bson.A, 0, len(some)), make(bson.A, 0, len(some))
		for i, a := range some {
			if i == 0 || a.id != some[i-1].id {
				ids = append(ids, a.id)
			}
			entries = append(entries, a.entry)
		}
		_, err := coll.UpdateMany(ctx,
			bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}},
			bson.D{{Key: "$pull", Value: bson.D{{Key: "outbox", Value: bson.D{
				{Key: "id", Value: bson.D{{Key: "$in", Value: entries}}},
			}}}}})
		if err != nil {
			return fmt.Errorf("clear %d entries: %w", len(some), err)
		}
	}
	return nil
}

// without leaves out those of some documents.
func (c clears) without(ids map[string]bool) clears {
	return slices.DeleteFunc(slices.Clone(c), func(a ack) bool { return ids[a.id] })
}

// clearLoop removes published entries that no write has removed, clearEvery after the first acknowledgement.
func (r *Relay) clearLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.clearWake:
		}
		if !sleep(ctx, r.settings.clearEvery) {
			return
		}
		r.clear(ctx)
	}
}

// clear removes all that is acknowledged when it begins. Where it meets another's transaction it tries again with half of it.
func (r *Relay) clear(ctx context.Context) {
	limit := maxClears
	for try := 0; ; {
		n, err := r.clearSome(ctx, limit)
		switch {
		case err == nil && n < limit: // what is acknowledged meanwhile goes with the next round
			return
		case err == nil:
			limit, try = min(2*limit, maxClears), 0
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrConflict):
			r.metrics.clashes.Inc()
			limit = max(1, min(n, limit)/2)
		default:
			r.log.Warn("published events are not removed from the outbox yet", "error", err)
			if mongodb.IsAway(err) && !sleep(ctx, r.settings.clearEvery) {
				return
			}
		}
		if pause(ctx, try) != nil {
			return
		}
		try++
	}
}

func (r *Relay) clearSome(ctx context.Context, limit int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout) // a commit without a deadline is tried for longer than a stop may take
	defer cancel()
	if err := r.lock(ctx); err != nil {
		return 0, err
	}
	defer r.unlock()
	taken := r.takeClears(limit)
	if len(taken) == 0 {
		return 0, nil
	}
	err := transaction(ctx, r.coll.Database().Client(), func(ctx context.Context) error {
		return taken.write(ctx, r.coll)
	})
	r.settleClears(taken, err == nil)
	return len(taken), err
}

// sleep waits, and tells whether ctx is still on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
