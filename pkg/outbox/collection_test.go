package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

func TestCollection_KeepsADocumentWithItsEvents(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, errors.Join(c.Insert(t.Context(), []*thing{newThing("a"), newThing("b")})...))

	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(1), a.Version)
	require.Equal(t, 1, a.Unsent())
	require.Equal(t, "a", a.Outbox[0].Key)
	require.Equal(t, []byte("a"), a.Outbox[0].Body)
	require.Equal(t, []Header{{"version", "1"}}, a.Outbox[0].Headers)
	require.NotNil(t, a.Tags, "a nil slice is stored as an empty one")

	found, err := c.Find(t.Context(), "a", "b", "c")
	require.NoError(t, err)
	require.Len(t, found, 2)
	_, err = c.Get(t.Context(), "c")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestInsert_AnswersForEachDocument(t *testing.T) {
	c, _ := things(t, &log{})
	_, err := c.coll.Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "label", Value: 1}},
		Options: options.Index().SetName("label_once").SetUnique(true).
			SetPartialFilterExpression(bson.D{{Key: "label", Value: bson.D{{Key: "$gt", Value: ""}}}}),
	})
	require.NoError(t, err)
	first := newThing("a")
	first.Label = "only"
	require.NoError(t, c.Insert(t.Context(), []*thing{first})[0])

	second, other, other2 := newThing("b"), newThing("c"), newThing("a")
	second.Label = "only"
	errs := c.Insert(t.Context(), []*thing{second, other, other2})
	var taken *DuplicateKeyError
	require.ErrorAs(t, errs[0], &taken)
	require.Equal(t, DuplicateKeyError{Index: "label_once", ID: "b"}, *taken)
	require.NoError(t, errs[1])
	require.ErrorAs(t, errs[2], &taken)
	require.Equal(t, DuplicateKeyError{Index: "_id_", ID: "a"}, *taken)

	second.Label = ""
	require.NoError(t, c.Insert(t.Context(), []*thing{second})[0], "what was refused can be inserted again")
	b, err := c.Get(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, int64(1), b.Version)
	require.Equal(t, int64(1), b.Sequences[topic])
}

// A driver that repeats an insert whose answer was lost meets its own document.
func TestInsert_ThatMeetsItselfIsASuccess(t *testing.T) {
	c, _ := things(t, &log{})
	first := newThing("a")
	again := *first
	again.fresh = slices.Clone(first.fresh)
	third := again
	third.fresh = slices.Clone(first.fresh)
	require.NoError(t, c.Insert(t.Context(), []*thing{first})[0])
	require.NoError(t, c.Insert(t.Context(), []*thing{&again})[0])

	_, err := c.coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "a"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "outbox", Value: bson.A{}}}}})
	require.NoError(t, err)
	require.NoError(t, c.Insert(t.Context(), []*thing{&third})[0], "also when its entries are published and cleared")
}

func TestUpdate_TwentyWritersLoseNothing(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	var writers sync.WaitGroup
	for range 20 {
		writers.Go(func() {
			_, err := c.Update(t.Context(), "a", func(th *thing) error { th.count(1); return nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 21, a.Count)
	require.Equal(t, int64(21), a.Version)
	require.Len(t, a.Outbox, 21)
	for i, e := range a.Outbox {
		require.Equal(t, int64(i+1), e.Sequence)
	}
}

func TestUpdate_WritesNothingWhenNothingChanges(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	_, err := c.Update(t.Context(), "a", func(th *thing) error { th.Count = 7; return ErrUnchanged })
	require.NoError(t, err)
	refusal := errors.New("no")
	_, err = c.Update(t.Context(), "a", func(th *thing) error { th.Count = 7; return refusal })
	require.ErrorIs(t, err, refusal)
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, a.Count)
	require.Equal(t, int64(1), a.Version)
}

// A caller who was told ErrUnknown asks again, and finds that nothing is left to change. What the first call has stored
// is on nobody's way: without the offer it waits for the sweep.
func TestUpdate_OffersWhatIsStoredWhenNothingChanges(t *testing.T) {
	c, relay := things(t, &log{})
	th := newThing("a")
	th.written() // as another process would store it
	_, err := c.coll.InsertOne(t.Context(), th)
	require.NoError(t, err)
	_, err = c.Update(t.Context(), "a", func(th *thing) error { th.count(1); return ErrUnchanged })
	require.NoError(t, err)
	require.Equal(t, 1, relay.lanes.entries, "what is stored, and not what was decided against")
}

// The answer to a write may be lost after it was made: deciding again would do the change twice.
func TestUpdate_RecognisesItsOwnLostWrite(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	decided := 0
	a, err := c.Update(t.Context(), "a", func(th *thing) error {
		decided++
		th.count(1)
		twin := *th
		return c.write(t.Context(), &twin) // makes the write that is about to be sent; its answer is lost
	})
	require.NoError(t, err)
	require.Equal(t, 1, decided)
	require.Equal(t, 2, a.Count)
	require.Equal(t, int64(2), a.Version)
}

// A write whose answer is lost may arrive late, when the next one is decided already: the third read finds it.
func TestUpdate_RecognisesItsOwnLateWrite(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	move := func(n int) { // keeps a write from its guard, as a network does
		_, err := c.coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "a"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "version", Value: n}}}})
		require.NoError(t, err)
	}
	var late thing
	decided := 0
	a, err := c.Update(t.Context(), "a", func(th *thing) error {
		decided++
		th.count(1)
		switch decided {
		case 1:
			late = *th
			move(1)
		case 2:
			move(-1)
			require.NoError(t, c.write(t.Context(), &late))
			move(1)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 2, decided)
	require.Equal(t, 2, a.Count)
}

func TestUpdate_RefusesWhatWouldBreakTheOrderOfEvents(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	for name, e := range map[string]Entry{
		"a number given out before": {ID: "x", Topic: topic, Key: "a", At: time.Now(), Sequence: 1},
		"a number not given out":    {ID: "x", Topic: topic, Key: "a", At: time.Now(), Sequence: 9},
		"no id":                     {Topic: topic, Key: "a", At: time.Now(), Sequence: 2},
	} {
		_, err := c.Update(t.Context(), "a", func(th *thing) error { th.Append(e); return nil })
		require.Error(t, err, name)
	}
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(1), a.Version)
}

func TestApply_FoldsEachDocumentOnce(t *testing.T) {
	c, _ := things(t, &log{})
	require.NoError(t, errors.Join(c.Insert(t.Context(), []*thing{newThing("changed"), newThing("same"), newThing("bad")})...))
	bad := errors.New("impossible")
	failed := c.Apply(t.Context(), []string{"changed", "same", "bad", "new", "none", "changed"}, func(id string, th *thing) (*thing, error) {
		switch id {
		case "changed":
			th.count(5)
		case "same":
			return th, ErrUnchanged
		case "bad":
			th.count(100)
			return nil, bad
		case "new":
			require.Nil(t, th)
			return newThing(id), nil
		case "none":
			return nil, nil
		}
		return th, nil
	})
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed["bad"], bad)
	found, err := c.Find(t.Context(), "changed", "same", "bad", "new", "none")
	require.NoError(t, err)
	require.Len(t, found, 4)
	require.Equal(t, 6, found["changed"].Count)
	require.Equal(t, int64(2), found["changed"].Version)
	require.Len(t, found["changed"].Outbox, 2)
	require.Equal(t, int64(1), found["same"].Version)
	require.Equal(t, int64(1), found["bad"].Version)
	require.Equal(t, int64(1), found["new"].Version)
}

// One document that cannot be stored fails alone.
func TestApply_OneBadDocumentFailsAlone(t *testing.T) {
	c, _ := things(t, &log{})
	ids := []string{"a", "b", "c", "d", "e"}
	failed := c.Apply(t.Context(), ids, func(id string, _ *thing) (*thing, error) {
		th := newThing(id)
		if id == "c" {
			th.Append(Entry{ID: "broken"})
		}
		return th, nil
	})
	require.Len(t, failed, 1)
	require.Error(t, failed["c"])
	found, err := c.Find(t.Context(), ids...)
	require.NoError(t, err)
	require.Len(t, found, 4)
}

func TestApply_TakesMoreThanATransactionDoes(t *testing.T) {
	c, _ := things(t, &log{})
	ids := make([]string, 2*maxApply+1)
	for i := range ids {
		ids[i] = fmt.Sprintf("thing-%04d", i)
	}
	require.Empty(t, c.Apply(t.Context(), ids, func(id string, _ *thing) (*thing, error) { return newThing(id), nil }))
	found, err := c.Find(t.Context(), ids...)
	require.NoError(t, err)
	require.Len(t, found, len(ids))
}

// Four processes apply batches to the same documents; every change is made once.
func TestApply_ManyProcessesOnTheSameDocuments(t *testing.T) {
	db := testbackend.Mongo(t)
	ids := make([]string, 60)
	for i := range ids {
		ids[i] = fmt.Sprintf("thing-%03d", i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	const processes, rounds = 4, 3
	var all sync.WaitGroup
	for range processes {
		c, _ := thingsIn(t, db, &log{})
		all.Go(func() {
			for range rounds {
				failed := c.Apply(ctx, ids, func(id string, th *thing) (*thing, error) {
					if th == nil {
						return newThing(id), nil
					}
					th.count(1)
					return th, nil
				})
				for id, err := range failed {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	all.Wait()
	c, _ := thingsIn(t, db, &log{})
	found, err := c.Find(t.Context(), ids...)
	require.NoError(t, err)
	require.Len(t, found, len(ids))
	for _, th := range found {
		require.Equal(t, processes*rounds, th.Count, th.ID)
		require.Equal(t, int64(processes*rounds), th.Version)
		require.Equal(t, int64(processes*rounds), th.Sequences[topic])
		require.Len(t, th.Outbox, processes*rounds)
	}
}

func TestTransact_IsAllOrNothing(t *testing.T) {
	c, relay := things(t, &log{})
	rows := c.coll.Database().Collection("rows")
	_, err := rows.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "r"}, {Key: "n", Value: 1}})
	require.NoError(t, err)
	step := func(n int, then error) error {
		return c.Transact(t.Context(), func(ctx context.Context, tx *Tx[thing, *thing]) error {
			_, err := rows.UpdateOne(ctx, bson.D{{Key: "_id", Value: "r"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: n}}}})
			if err != nil {
				return err
			}
			found, err := tx.Find(ctx, "a")
			if err != nil {
				return err
			}
			th := found["a"]
			if th == nil {
				th = &thing{Document: Document{ID: "a"}}
			}
			th.count(n)
			tx.Put(th)
			require.Zero(t, th.Unsent()-len(th.Outbox)-1, "one event")
			return then
		})
	}
	refusal := errors.New("not enough")
	require.ErrorIs(t, step(5, refusal), refusal)
	_, err = c.Get(t.Context(), "a")
	require.ErrorIs(t, err, ErrNotFound)
	require.Zero(t, relay.lanes.entries, "an event of a write that was not made is not offered")

	require.NoError(t, step(5, nil))
	require.NoError(t, step(2, nil))
	require.ErrorIs(t, step(2, refusal), refusal)
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 7, a.Count)
	require.Equal(t, int64(2), a.Version)
	require.Equal(t, 2, relay.lanes.entries)
	var row struct{ N int }
	require.NoError(t, rows.FindOne(t.Context(), bson.D{{Key: "_id", Value: "r"}}).Decode(&row))
	require.Equal(t, 8, row.N)
}

// TestTransact_OffersWhatItFoundOnlyOnceCommitted: what a transaction reads is not safe before its commit.
func TestTransact_OffersWhatItFoundOnlyOnceCommitted(t *testing.T) {
	db := testbackend.Mongo(t)
	other, _ := thingsIn(t, db, &log{})
	require.NoError(t, other.Insert(t.Context(), []*thing{newThing("a")})[0])
	c, relay := thingsIn(t, db, &log{})
	look := func(then error) error {
		return c.Transact(t.Context(), func(ctx context.Context, tx *Tx[thing, *thing]) error {
			found, err := tx.Find(ctx, "a")
			if err != nil {
				return err
			}
			tx.Unchanged(found["a"])
			require.Zero(t, relay.lanes.entries, "not yet committed")
			return then
		})
	}
	refusal := errors.New("not enough")
	require.ErrorIs(t, look(refusal), refusal)
	require.Zero(t, relay.lanes.entries)
	require.NoError(t, look(nil))
	require.Equal(t, 1, relay.lanes.entries)
}

// TestTransact_TidiesUpOnlyBesideWhatItPuts: a transaction that writes elsewhere has nothing to do with published entries.
func TestTransact_TidiesUpOnlyBesideWhatItPuts(t *testing.T) {
	c, _ := things(t, &log{})
	publishMany(t, c, "a")
	unsent := func() int {
		a, err := c.Get(t.Context(), "a")
		require.NoError(t, err)
		return a.Unsent()
	}

	require.NoError(t, c.Transact(t.Context(), func(context.Context, *Tx[thing, *thing]) error { return nil }))
	require.Equal(t, 1, unsent())
	require.NoError(t, c.Transact(t.Context(), func(_ context.Context, tx *Tx[thing, *thing]) error {
		tx.Put(newThing("b"))
		return nil
	}))
	require.Zero(t, unsent())
}

// TestTransact_LeavesAFewToTheClearLoop: a small transaction stays one.
func TestTransact_LeavesAFewToTheClearLoop(t *testing.T) {
	c, relay := things(t, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	acknowledge(t, relay)
	require.NoError(t, c.Transact(t.Context(), func(_ context.Context, tx *Tx[thing, *thing]) error {
		tx.Put(newThing("b"))
		return nil
	}))
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, a.Unsent())
}

// TestTransact_ForgetsNothingThatIsNewerThanWhatItSees: a document that is stored and published amid a transaction is none
// that the transaction can tidy up.
func TestTransact_ForgetsNothingThatIsNewerThanWhatItSees(t *testing.T) {
	c, relay := things(t, &log{})
	publishMany(t, c, "first")
	require.NoError(t, c.Transact(t.Context(), func(ctx context.Context, tx *Tx[thing, *thing]) error {
		if _, err := tx.Find(ctx, "a"); err != nil { // from here on it sees no news
			return err
		}
		require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
		acknowledge(t, relay)
		tx.Put(newThing("b"))
		return nil
	}))
	relay.clear(t.Context())
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Zero(t, a.Unsent())
}

func TestTransact_TellsAConflict(t *testing.T) {
	db := testbackend.Mongo(t)
	c, _ := thingsIn(t, db, &log{})
	other, _ := thingsIn(t, db, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])

	err := c.Transact(t.Context(), func(ctx context.Context, tx *Tx[thing, *thing]) error {
		found, err := tx.Find(ctx, "a")
		if err != nil {
			return err
		}
		if _, err := other.Update(t.Context(), "a", func(th *thing) error { th.count(10); return nil }); err != nil {
			return err
		}
		found["a"].count(1)
		tx.Put(found["a"])
		return nil
	})
	require.ErrorIs(t, err, ErrConflict, "a write in between")

	err = c.Transact(t.Context(), func(_ context.Context, tx *Tx[thing, *thing]) error {
		tx.Put(newThing("a"))
		return nil
	})
	require.ErrorIs(t, err, ErrConflict, "a document that is there already")
	require.True(t, mongodb.IsDuplicateKey(err))
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 11, a.Count)
}

func TestTransact_LeavesNothingOpenWhenItsContextEnds(t *testing.T) {
	db := testbackend.Mongo(t)
	c, _ := thingsIn(t, db, &log{})
	require.NoError(t, c.Insert(t.Context(), []*thing{newThing("a")})[0])
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Transact(ctx, func(ctx context.Context, tx *Tx[thing, *thing]) error {
		_, err := c.coll.UpdateOne(ctx, bson.D{{Key: "_id", Value: "a"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "count", Value: 50}}}})
		cancel()
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	_, err = c.Update(t.Context(), "a", func(th *thing) error { th.count(1); return nil })
	require.NoError(t, err, "the document is free")
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 2, a.Count)
}
