// Package mongoconformance checks what Orderwire needs of a MongoDB before it is trusted with orders: a mongod, or
// whatever speaks its protocol.
//
// Run asks a running server and leaves nothing behind. Survives needs a server of its own, because it kills it.
// A known shortfall that the design works around is logged, not failed.
package mongoconformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// patience bounds every wait; no check expects a time.
const patience = 30 * time.Second

// Run checks a running server.
func Run(t *testing.T, uri string) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, *mongo.Collection){
		"two transactions that write the same document conflict, with a label": writeConflict,
		"a transaction conflicts with a write since its snapshot":              staleSnapshot,
		"a duplicate key aborts a transaction":                                 duplicateKey,
		"a partial unique index holds under racing inserts":                    partialUnique,
		"an updateMany and other updates in transactions both end":             updateManyMeets,
		"$pull with $in removes array elements":                                pullIn,
		"a pipeline update filters and concatenates an array":                  pipeline,
		"a partial index on the first array element is used":                   partialIndex,
		"an updateMany over ids changes exactly them":                          updateManyIDs,
		"a guarded update matches the version that was read, once":             guard,
	} {
		t.Run(name, func(t *testing.T) { check(t, collection(t, connect(t, uri, nil))) })
	}
	t.Run("a write whose answer is lost is retried and done once", func(t *testing.T) { lostAnswer(t, uri) })
	t.Run("a document is free again after the client of its transaction has crashed", func(t *testing.T) { crashedClient(t, uri) })
}

// connect gives a client with the write concern that Orderwire uses.
func connect(t testing.TB, uri string, dialer options.ContextDialer) *mongo.Client {
	t.Helper()
	journal := true
	o := options.Client().ApplyURI(uri).SetAppName("conformance").
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadConcern(readconcern.Majority()).
		SetTimeout(patience)
	if dialer != nil {
		o.SetDialer(dialer)
	}
	client, err := mongo.Connect(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = client.Disconnect(ctx) // the server may be dead by then
	})
	return client
}

// collection gives one in a database of its own.
func collection(t testing.TB, client *mongo.Client) *mongo.Collection {
	t.Helper()
	db := client.Database("conformance_" + strings.ToLower(rand.Text()[:10]))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := db.Drop(ctx); err != nil {
			t.Error(err)
		}
	})
	return db.Collection("docs")
}

func set(value any) bson.D {
	return bson.D{{Key: "$set", Value: bson.D{{Key: "n", Value: value}}}}
}

func inc(field string) bson.D {
	return bson.D{{Key: "$inc", Value: bson.D{{Key: field, Value: 1}}}}
}

func id(value any) bson.D { return bson.D{{Key: "_id", Value: value}} }

func in(values any) bson.D { return bson.D{{Key: "$in", Value: values}} }

// seed inserts n documents with the ids 0…n-1 and gives these.
func seed(t testing.TB, coll *mongo.Collection, n int) bson.A {
	t.Helper()
	docs, ids := make([]bson.D, n), make(bson.A, n)
	for i := range n {
		docs[i], ids[i] = bson.D{{Key: "_id", Value: i}, {Key: "n", Value: 0}, {Key: "outbox", Value: bson.A{}}}, i
	}
	_, err := coll.InsertMany(t.Context(), docs)
	require.NoError(t, err)
	return ids
}

func read(t testing.TB, coll *mongo.Collection, filter bson.D) (all []bson.M) {
	t.Helper()
	cursor, err := coll.Find(t.Context(), filter)
	require.NoError(t, err)
	require.NoError(t, cursor.All(t.Context(), &all))
	return all
}

// begin opens a transaction; what is still open at the test's end is aborted.
func begin(t testing.TB, client *mongo.Client) (context.Context, *mongo.Session) {
	t.Helper()
	session, err := client.StartSession()
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		session.EndSession(ctx)
	})
	require.NoError(t, session.StartTransaction(options.Transaction().SetReadConcern(readconcern.Snapshot())))
	return mongo.NewSessionContext(t.Context(), session), session
}

func isTransient(err error) bool {
	var labeled mongo.LabeledError
	return errors.As(err, &labeled) && labeled.HasErrorLabel("TransientTransactionError")
}

func writeConflict(t *testing.T, coll *mongo.Collection) {
	seed(t, coll, 1)
	ctx1, one := begin(t, coll.Database().Client())
	ctx2, two := begin(t, coll.Database().Client())
	_, err := coll.UpdateOne(ctx1, id(0), set(1))
	require.NoError(t, err)
	_, err = coll.UpdateOne(ctx2, id(0), set(2))
	if err == nil {
		err = two.CommitTransaction(ctx2)
	}
	require.Error(t, err, "both wrote the same document")
	require.True(t, isTransient(err), "no TransientTransactionError: %v", err)
	require.NoError(t, one.CommitTransaction(ctx1))
	require.EqualValues(t, 1, read(t, coll, id(0))[0]["n"])
}

func staleSnapshot(t *testing.T, coll *mongo.Collection) {
	seed(t, coll, 2)
	ctx, session := begin(t, coll.Database().Client())
	require.NoError(t, coll.FindOne(ctx, id(0)).Err())
	_, err := coll.UpdateOne(t.Context(), id(1), set(7))
	require.NoError(t, err)
	_, err = coll.UpdateOne(ctx, id(1), inc("n"))
	if err == nil {
		err = session.CommitTransaction(ctx)
	}
	require.Error(t, err, "wrote over what it had not seen")
	require.True(t, isTransient(err), "no TransientTransactionError: %v", err)
	require.EqualValues(t, 7, read(t, coll, id(1))[0]["n"])
}

func duplicateKey(t *testing.T, coll *mongo.Collection) {
	seed(t, coll, 2)
	ctx, session := begin(t, coll.Database().Client())
	_, err := coll.UpdateOne(ctx, id(0), set(9))
	require.NoError(t, err)
	_, err = coll.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}})
	require.True(t, mongo.IsDuplicateKeyError(err), "%v", err)
	require.False(t, isTransient(err), "a duplicate key carries no label: the retry loop asks for it by itself")
	require.Contains(t, err.Error(), "index: _id_", "the message names the index")
	_, err = coll.UpdateOne(ctx, id(1), set(9))
	require.Error(t, err, "the transaction goes on after a duplicate key")
	require.Error(t, session.CommitTransaction(ctx))
	for _, doc := range read(t, coll, bson.D{}) {
		require.EqualValues(t, 0, doc["n"])
	}
}

func partialUnique(t *testing.T, coll *mongo.Collection) {
	_, err := coll.Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "customer", Value: 1}, {Key: "key", Value: 1}},
		Options: options.Index().SetName("key_once").SetUnique(true).
			SetPartialFilterExpression(bson.D{{Key: "key", Value: bson.D{{Key: "$exists", Value: true}}}}),
	})
	require.NoError(t, err)
	var mu sync.Mutex
	won := 0
	race(64, func(i int) {
		_, err := coll.InsertMany(t.Context(), []bson.D{
			{{Key: "_id", Value: fmt.Sprint("keyed-", i)}, {Key: "customer", Value: "c"}, {Key: "key", Value: "k"}},
			{{Key: "_id", Value: fmt.Sprint("free-", i)}, {Key: "customer", Value: "c"}},
		}, options.InsertMany().SetOrdered(false))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			won++
		case !mongo.IsDuplicateKeyError(err) || !strings.Contains(err.Error(), "index: key_once"):
			t.Errorf("no duplicate key of key_once: %v", err)
		}
	})
	require.Equal(t, 1, won)
	require.Len(t, read(t, coll, bson.D{{Key: "customer", Value: "c"}, {Key: "key", Value: "k"}}), 1)
	require.Len(t, read(t, coll, bson.D{}), 65, "the index is about those with a key only")
	if n := len(read(t, coll, bson.D{{Key: "key", Value: "k"}})); n != 1 {
		t.Logf("KNOWN: equality on the second field of a compound partial index finds %d of 1 documents here; queries name the first as well", n)
	}
}

func race(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// updateManyMeets: clears of published events meet a batch of updates on the same documents.
func updateManyMeets(t *testing.T, coll *mongo.Collection) {
	const rounds = 10
	ids := seed(t, coll, 100)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	race(2, func(i int) {
		for range rounds {
			err := retry(ctx, coll.Database().Client(), func(ctx context.Context) error {
				if i == 0 {
					_, err := coll.UpdateMany(ctx, id(in(ids)), inc("many"))
					return err
				}
				var each []mongo.WriteModel
				for _, v := range ids {
					each = append(each, mongo.NewUpdateOneModel().SetFilter(id(v)).SetUpdate(inc("each")))
				}
				_, err := coll.BulkWrite(ctx, each)
				return err
			})
			if err != nil {
				t.Errorf("writer %d does not end: %v", i, err)
				return
			}
		}
	})
	for _, doc := range read(t, coll, bson.D{}) {
		require.EqualValues(t, rounds, doc["many"], "lost or doubled")
		require.EqualValues(t, rounds, doc["each"], "lost or doubled")
	}
}

// retry does a transaction until it commits, or ctx ends.
func retry(ctx context.Context, client *mongo.Client, do func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		err := func() error {
			session, err := client.StartSession()
			if err != nil {
				return err
			}
			defer session.EndSession(ctx)
			if err := session.StartTransaction(); err != nil {
				return err
			}
			if err := do(mongo.NewSessionContext(ctx, session)); err != nil {
				return err
			}
			return session.CommitTransaction(ctx)
		}()
		if err == nil || !isTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w after %d tries: %w", ctx.Err(), try, err)
		case <-time.After(time.Duration(try%10+1) * time.Millisecond): // they part
		}
	}
}

func pullIn(t *testing.T, coll *mongo.Collection) {
	ids := seed(t, coll, 3)
	entries := bson.A{}
	for _, e := range []string{"a", "b", "c", "d"} {
		entries = append(entries, bson.D{{Key: "id", Value: e}})
	}
	_, err := coll.UpdateMany(t.Context(), id(in(ids)), bson.D{{Key: "$push", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "$each", Value: entries}}}}}})
	require.NoError(t, err)
	_, err = coll.UpdateMany(t.Context(), id(in(ids[:2])), bson.D{{Key: "$pull", Value: bson.D{
		{Key: "outbox", Value: bson.D{{Key: "id", Value: in(bson.A{"a", "c", "x"})}}},
	}}})
	require.NoError(t, err)
	require.Equal(t, []string{"b", "d"}, outboxOf(t, coll, 0))
	require.Equal(t, []string{"b", "d"}, outboxOf(t, coll, 1))
	require.Equal(t, []string{"a", "b", "c", "d"}, outboxOf(t, coll, 2))
}

func outboxOf(t *testing.T, coll *mongo.Collection, key any) (ids []string) {
	t.Helper()
	var doc struct {
		Outbox []struct{ ID string }
	}
	require.NoError(t, coll.FindOne(t.Context(), id(key)).Decode(&doc))
	for _, e := range doc.Outbox {
		ids = append(ids, e.ID)
	}
	return ids
}

func pipeline(t *testing.T, coll *mongo.Collection) {
	_, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 0}, {Key: "version", Value: 3}, {Key: "outbox", Value: bson.A{
		bson.D{{Key: "id", Value: "a"}}, bson.D{{Key: "id", Value: "b"}},
	}}})
	require.NoError(t, err)
	kept := bson.D{{Key: "$filter", Value: bson.D{
		{Key: "input", Value: "$outbox"},
		{Key: "cond", Value: bson.D{{Key: "$not", Value: bson.A{bson.D{{Key: "$in", Value: bson.A{"$$this.id", bson.A{"a"}}}}}}}},
	}}}
	fresh := bson.D{{Key: "$literal", Value: bson.A{bson.D{{Key: "id", Value: "$c"}}}}}
	result, err := coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: 0}, {Key: "version", Value: 3}}, mongo.Pipeline{{{Key: "$set", Value: bson.D{
		{Key: "version", Value: 4},
		{Key: "outbox", Value: bson.D{{Key: "$concatArrays", Value: bson.A{kept, fresh}}}},
	}}}})
	require.NoError(t, err)
	require.EqualValues(t, 1, result.MatchedCount)
	require.Equal(t, []string{"b", "$c"}, outboxOf(t, coll, 0))
}

func partialIndex(t *testing.T, coll *mongo.Collection) {
	hasEntries := bson.E{Key: "outbox.0", Value: bson.D{{Key: "$exists", Value: true}}}
	_, err := coll.Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys:    bson.D{{Key: "unsent", Value: 1}, {Key: "_id", Value: 1}},
		Options: options.Index().SetName("unsent").SetPartialFilterExpression(bson.D{hasEntries}),
	})
	require.NoError(t, err)
	seed(t, coll, 300)
	push := bson.D{{Key: "$push", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "id", Value: "e"}}}}}}
	_, err = coll.UpdateMany(t.Context(), id(in(bson.A{5, 6, 7})), push)
	require.NoError(t, err)
	_, err = coll.UpdateOne(t.Context(), id(6), bson.D{{Key: "$pull", Value: bson.D{{Key: "outbox", Value: bson.D{{Key: "id", Value: "e"}}}}}})
	require.NoError(t, err)
	set := func(entries bson.A) bson.D {
		return bson.D{{Key: "$set", Value: bson.D{{Key: "outbox", Value: entries}}}}
	}
	_, err = coll.UpdateOne(t.Context(), id(7), set(bson.A{}))
	require.NoError(t, err)
	_, err = coll.UpdateOne(t.Context(), id(8), set(bson.A{bson.D{{Key: "id", Value: "e"}}}))
	require.NoError(t, err)
	find := bson.D{
		{Key: "find", Value: coll.Name()},
		{Key: "filter", Value: bson.D{hasEntries, {Key: "unsent", Value: nil}}},
		{Key: "sort", Value: id(1)},
	}
	var plan struct {
		ExecutionStats struct {
			NReturned         int `bson:"nReturned"`
			TotalDocsExamined int `bson:"totalDocsExamined"`
		} `bson:"executionStats"`
	}
	require.NoError(t, coll.Database().RunCommand(t.Context(), bson.D{{Key: "explain", Value: find}, {Key: "verbosity", Value: "executionStats"}}).Decode(&plan))
	require.Equal(t, 2, plan.ExecutionStats.NReturned)
	if n := plan.ExecutionStats.TotalDocsExamined; n > 2 && os.Getenv("TEST_MONGODB_KIND") == "secantusd-py" {
		t.Logf("KNOWN: %d documents are scanned where a partial index names 2", n)
	} else {
		require.LessOrEqual(t, n, 2, "the index is not used, or holds more than it should")
	}

	// The design does without this one.
	_, err = coll.Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: bson.D{{Key: "outbox.0.id", Value: 1}}, Options: options.Index().SetName("head")})
	require.NoError(t, err)
	cursor, err := coll.Find(t.Context(), bson.D{{Key: "outbox.0.id", Value: "e"}}, options.Find().SetHint("head"))
	require.NoError(t, err)
	var found []bson.M
	require.NoError(t, cursor.All(t.Context(), &found))
	if len(found) != 2 {
		t.Logf("KNOWN: an index key with an array position finds %d of 2 documents here; the design uses none", len(found))
	}
}

func updateManyIDs(t *testing.T, coll *mongo.Collection) {
	ids := seed(t, coll, 100)
	result, err := coll.UpdateMany(t.Context(), id(in(ids[20:70])), inc("n"))
	require.NoError(t, err)
	require.EqualValues(t, 50, result.MatchedCount)
	require.EqualValues(t, 50, result.ModifiedCount)
	require.Len(t, read(t, coll, bson.D{{Key: "n", Value: 1}}), 50)
}

func guard(t *testing.T, coll *mongo.Collection) {
	seed(t, coll, 1)
	var mu sync.Mutex
	won := int64(0)
	race(20, func(i int) {
		result, err := coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: 0}, {Key: "n", Value: 0}}, set(i+1))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Error(err)
			return
		}
		won += result.MatchedCount
	})
	require.EqualValues(t, 1, won)
}
