package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/mongodb"
)

const (
	commitTries  = 3
	abortTimeout = time.Second
)

// Tx is what a transaction may do with the documents of its collection.
type Tx[T any, P aggregate[T]] struct {
	c         *Collection[T, P]
	puts      []P
	unchanged []P
}

// Find reads documents inside the transaction.
func (tx *Tx[T, P]) Find(ctx context.Context, ids ...string) (map[string]P, error) {
	return tx.c.Find(ctx, ids...)
}

// Put writes doc, new or changed, with its events, when the transaction's function has returned. Each document is put
// once.
func (tx *Tx[T, P]) Put(doc P) { tx.puts = append(tx.puts, doc) }

// Unchanged says that doc stays as it was read: a try of ours with an unknown outcome may have written it, and then its
// events are on nobody's way yet. The relay hears of them after the commit, not before: what a transaction reads may
// still be rolled back until it has committed.
func (tx *Tx[T, P]) Unchanged(doc P) { tx.unchanged = append(tx.unchanged, doc) }

// Transact tries a transaction once, under the collection's writer lock. fn may write to other collections with the
// context that it is given, which names the session; the documents that it puts are written when it has returned, and
// their events offered to the relay after the commit. Pending clears of published entries may go along with what is put.
//
// ErrConflict says that nothing was written, because somebody else changed the same documents or a unique index
// refused one (the cause is in the chain): read again, and do it again with a smaller batch. ErrUnknown says that the
// commit got no answer. fn may call nothing but the database: the transaction should be short.
func (c *Collection[T, P]) Transact(ctx context.Context, fn func(ctx context.Context, tx *Tx[T, P]) error) error {
	if err := c.relay.lock(ctx); err != nil {
		return err
	}
	defer c.relay.unlock()
	tx := &Tx[T, P]{c: c}
	err := c.commit(ctx, func(ctx context.Context) ([]P, error) {
		err := fn(ctx, tx)
		return tx.puts, err
	})
	if err != nil {
		return err
	}
	for _, doc := range tx.unchanged {
		c.relay.Offer(doc.Envelope().ID, doc.Envelope().Outbox, nil)
	}
	return nil
}

// commit runs one transaction that writes what fn gives, and takes along pending clears where there are many. Where fn
// gives nothing it takes none: its documents are in other collections, and whoever waits for them is not to wait for our
// tidying up, nor to meet those who write to what is tidied. The caller holds the writer lock.
func (c *Collection[T, P]) commit(ctx context.Context, fn func(ctx context.Context) ([]P, error)) error {
	var (
		docs []P
		old  clears
	)
	if !c.conflicted {
		// Before the transaction sees anything: it would not find a document that is newer than what it sees, and say nothing.
		old = c.relay.takeManyClears()
	}
	err := transaction(ctx, c.coll.Database().Client(), func(ctx context.Context) error {
		var err error
		if docs, err = fn(ctx); err != nil {
			return err
		}
		if chaos.On(chaos.PublishBeforeWrite) {
			c.publishEarly(docs)
		}
		chaos.Pass(chaos.BeforeWrite)
		if err := c.writeAll(ctx, docs); err != nil {
			return err
		}
		if len(docs) == 0 || len(old) == 0 {
			return nil
		}
		emptied := map[string]bool{}
		for _, doc := range docs {
			if d := doc.Envelope(); d.empties {
				emptied[d.ID] = true
			}
		}
		return old.without(emptied).write(ctx, c.coll)
	})
	c.relay.settleClears(old, err == nil && len(docs) > 0)
	c.conflicted = errors.Is(err, ErrConflict)
	if err != nil {
		return fmt.Errorf("write to %s: %w", c.coll.Name(), err)
	}
	chaos.Pass(chaos.AfterWrite)
	for _, doc := range docs {
		c.offer(doc.Envelope())
	}
	return nil
}

// writeAll writes documents inside a transaction: changed ones first, then new ones, each in the order of their ids,
// so that two writers meet at their first common document.
func (c *Collection[T, P]) writeAll(ctx context.Context, docs []P) error {
	docs = slices.SortedFunc(slices.Values(docs), func(a, b P) int {
		return cmp.Compare(a.Envelope().ID, b.Envelope().ID)
	})
	var updates []mongo.WriteModel
	var inserts []bson.Raw
	for _, doc := range docs {
		if doc.Envelope().readVersion() == 0 {
			raw, err := insertion(doc)
			if err != nil {
				return err
			}
			inserts = append(inserts, raw)
			continue
		}
		filter, update, err := c.guarded(doc)
		if err != nil {
			return err
		}
		updates = append(updates, mongo.NewUpdateOneModel().SetFilter(filter).SetUpdate(update))
	}
	if len(updates) > 0 {
		result, err := c.coll.BulkWrite(ctx, updates)
		if err != nil {
			return fmt.Errorf("update %d documents: %w", len(updates), err)
		}
		if result.MatchedCount < int64(len(updates)) {
			return fmt.Errorf("update %d documents: %w", len(updates), ErrConflict)
		}
	}
	if len(inserts) > 0 {
		if _, err := c.coll.InsertMany(ctx, inserts); err != nil {
			return fmt.Errorf("insert %d documents: %w", len(inserts), err)
		}
	}
	return nil
}

// transaction runs fn in a transaction, once, and commits it. Its error is ErrConflict where the transaction may be
// done again from the beginning, ErrUnknown where the commit has no known outcome; after any other error nothing is
// written.
//
// It is not the driver's WithTransaction, which goes on for two minutes and commits on a background context.
func transaction(ctx context.Context, client *mongo.Client, fn func(ctx context.Context) error) error {
	session, err := client.StartSession()
	if err != nil {
		return fmt.Errorf("start a session: %w", err)
	}
	defer func() {
		// Ended in time even when ctx is over: an abandoned transaction would hold its documents for a minute.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		session.EndSession(ctx)
	}()
	// The write concern is the client's.
	if err := session.StartTransaction(options.Transaction().SetReadConcern(readconcern.Snapshot())); err != nil {
		return fmt.Errorf("start a transaction: %w", err)
	}
	if err := fn(mongo.NewSessionContext(ctx, session)); err != nil {
		return conflict(err)
	}
	// Whoever has left by now is not waited for: nothing is written. From here on only the deadline counts. The driver
	// takes a commit that was cancelled for one that was made, and would not abort the transaction.
	if ctx.Err() != nil {
		return fmt.Errorf("commit: %w", ctx.Err())
	}
	committing, done := uncancelled(ctx)
	defer done()
	for try := 1; ; try++ {
		err := session.CommitTransaction(committing)
		switch {
		case err == nil:
			return nil
		case mongodb.IsUnknownCommit(err) && try < commitTries && committing.Err() == nil:
		case mongodb.IsUnknownCommit(err) || mongodb.IsAway(err):
			return fmt.Errorf("commit: %w: %w", ErrUnknown, err)
		default:
			return conflict(fmt.Errorf("commit: %w", err))
		}
	}
}

// uncancelled gives a context that ends with ctx's deadline and at no other time.
func uncancelled(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !ok { // the client's own time-out bounds the call
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// conflict marks the errors after which the same transaction, begun again, may succeed. A server that is away is none
// of them: smaller batches would not help.
func conflict(err error) error {
	again := mongodb.IsDuplicateKey(err) || mongodb.IsTransient(err) && !mongodb.IsAway(err)
	if again && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}
