package mongoconformance

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Survives checks that what a server has acknowledged is there after kill -9. kill kills it; start starts it again
// with the same data, and returns once it takes writes.
func Survives(t *testing.T, uri string, kill func(), start func(ctx context.Context) error) {
	t.Helper()
	plainUpdateMany(t, uri)
	for round := range 3 {
		t.Run(fmt.Sprintf("kill %d", round+1), func(t *testing.T) { survivesKill(t, uri, kill, start) })
	}
}

func survivesKill(t *testing.T, uri string, kill func(), start func(ctx context.Context) error) {
	client := connect(t, uri, nil)
	coll := collection(t, client)
	seed(t, coll, 1)

	open, _ := begin(t, client)
	_, err := coll.InsertOne(open, bson.D{{Key: "_id", Value: "uncommitted"}})
	require.NoError(t, err)
	_, err = coll.UpdateOne(open, id(0), set(1))
	require.NoError(t, err)

	// Writers write until the server is gone, and remember what was acknowledged.
	var mu sync.Mutex
	var singles, pairs []string
	enough := make(chan struct{})
	acknowledged := func(list *[]string, name string) {
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, name)
		if len(singles) >= 200 && len(pairs) >= 50 {
			select {
			case <-enough:
			default:
				close(enough)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("single-%d-%d", w, i)
				if _, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: name}}); err != nil {
					return
				}
				acknowledged(&singles, name)
			}
		})
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("pair-%d-%d", w, i)
				err := retry(ctx, client, func(ctx context.Context) error {
					if _, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: name + "-a"}}); err != nil {
						return err
					}
					_, err := coll.InsertOne(ctx, bson.D{{Key: "_id", Value: name + "-b"}})
					return err
				})
				if err != nil {
					return
				}
				acknowledged(&pairs, name)
			}
		})
	}
	select {
	case <-enough:
	case <-ctx.Done():
		t.Error("the writers do not get on")
	}
	kill()
	cancel()
	writers.Wait()
	require.NoError(t, start(t.Context()))

	after := connect(t, uri, nil).Database(coll.Database().Name()).Collection(coll.Name())
	stored := map[string]bool{}
	for _, doc := range read(t, after, bson.D{{Key: "_id", Value: bson.D{{Key: "$type", Value: "string"}}}}) {
		stored[doc["_id"].(string)] = true
	}
	for _, name := range singles {
		require.True(t, stored[name], "%s was acknowledged and is lost (of %d)", name, len(singles))
	}
	for _, name := range pairs {
		require.True(t, stored[name+"-a"] && stored[name+"-b"], "transaction %s was committed and is lost (of %d)", name, len(pairs))
	}
	for name := range stored {
		if half, isA := cutLast(name, "-a"); isA {
			require.True(t, stored[half+"-b"], "half of transaction %s", half)
		}
	}
	require.False(t, stored["uncommitted"], "an uncommitted insert is there")
	require.EqualValues(t, 0, read(t, after, id(0))[0]["n"], "an uncommitted update is there")
	t.Logf("%d writes and %d transactions acknowledged before the kill, all there", len(singles), len(pairs))
}

func cutLast(s, suffix string) (string, bool) {
	n := len(s) - len(suffix)
	if n < 0 || s[n:] != suffix {
		return "", false
	}
	return s[:n], true
}

// plainUpdateMany records whether an updateMany outside a transaction comes back when it meets an open transaction on
// the same documents. It is known to hang on SecantusDB, now and then, also after the transaction has ended; the
// design does without it.
func plainUpdateMany(t *testing.T, uri string) {
	t.Helper()
	const rounds, bound = 20, 3 * time.Second
	client := connect(t, uri, nil)
	coll := collection(t, client)
	ids := seed(t, coll, 100)
	hung := 0
	for range rounds {
		var both sync.WaitGroup
		both.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			if err := retry(ctx, client, func(ctx context.Context) error {
				var each []mongo.WriteModel
				for _, v := range ids {
					each = append(each, mongo.NewUpdateOneModel().SetFilter(id(v)).SetUpdate(inc("each")))
				}
				_, err := coll.BulkWrite(ctx, each)
				return err
			}); err != nil {
				t.Logf("the transaction: %v", err)
			}
		})
		both.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			if _, err := coll.UpdateMany(ctx, id(in(ids)), inc("many")); err != nil {
				hung++
			}
		})
		both.Wait()
		if hung > 0 {
			t.Logf("KNOWN: a plain updateMany that met a transaction on its documents did not come back within %s", bound)
			return
		}
	}
	t.Logf("a plain updateMany met a transaction on its documents %d times and always came back", rounds)
}
