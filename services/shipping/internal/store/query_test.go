package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/pkg/testbackend"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

func TestList_PagesTheNewestFirst(t *testing.T) {
	s := open(t)
	var ids []string
	for i := range 7 {
		id := newID()
		r := asked(id, 0, false)
		r.CustomerId = []string{"alice", "bob"}[i%2]
		tell(t, s, news(1, r))
		ids = append([]string{id}, ids...)
	}
	act(t, s, ids[6], dispatch) // alice's oldest

	var got []string
	f := Filter{Limit: 3}
	for more := true; more; f.Before = got[len(got)-1] {
		var page []*shipment.Shipment
		var err error
		page, more, err = s.List(t.Context(), f)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), 3)
		for _, p := range page {
			got = append(got, p.ID)
		}
	}
	require.Equal(t, ids, got)

	for name, c := range map[string]struct {
		f    Filter
		want []string
	}{
		"a customer's":           {Filter{Customer: "bob"}, []string{ids[1], ids[3], ids[5]}},
		"by status":              {Filter{Status: shipment.Dispatched}, []string{ids[6]}},
		"by both":                {Filter{Customer: "bob", Status: shipment.Dispatched}, nil},
		"of an order":            {Filter{Order: ids[2]}, []string{ids[2]}},
		"of a stranger's order":  {Filter{Order: ids[2], Customer: "bob"}, nil},
		"of an order, next page": {Filter{Order: ids[2], Before: ids[2]}, nil},
		"behind":                 {Filter{Before: ids[4]}, []string{ids[5], ids[6]}},
	} {
		c.f.Limit = 10
		page, more, err := s.List(t.Context(), c.f)
		require.NoError(t, err, name)
		require.False(t, more, name)
		var got []string
		for _, p := range page {
			got = append(got, p.ID)
			require.NotEmpty(t, p.History, name)
		}
		require.Equal(t, c.want, got, name)
	}
}

func TestDue_TimesAreStoredAndOutliveTheirStore(t *testing.T) {
	db := testbackend.Mongo(t)
	timers := shipment.Timers{DispatchAfter: time.Minute, DeliverAfter: time.Hour}
	s := instance(t, db, timers)
	clock(s, noon)
	id := scheduled(t, s)
	due := func(s *Store, at time.Time) (ids []string) {
		t.Helper()
		for _, status := range []shipment.Status{shipment.Scheduled, shipment.Dispatched} {
			all, err := s.Due(t.Context(), status, time.Time{}, at, nil, 10)
			require.NoError(t, err)
			for _, d := range all {
				ids = append(ids, d.ID)
			}
		}
		return ids
	}
	require.Empty(t, due(s, noon.Add(time.Minute-time.Millisecond)))
	require.Equal(t, []string{id}, due(s, noon.Add(time.Minute)))

	s = instance(t, db, timers) // a restart
	require.Equal(t, []string{id}, due(s, noon.Add(time.Minute)))

	clock(s, noon.Add(30*time.Second))
	tell(t, s, news(2, asked(id, 1, false)))
	require.Equal(t, []string{id}, due(s, noon.Add(time.Minute)), "another address does not put it off")

	clock(s, noon.Add(2*time.Minute))
	act(t, s, id, dispatch)
	require.Empty(t, due(s, noon.Add(time.Hour)))
	clock(s, noon.Add(10*time.Minute))
	tell(t, s, news(3, asked(id, 2, true))) // refused, twice
	require.Equal(t, []string{id}, due(s, noon.Add(time.Hour+2*time.Minute)), "neither does a refusal")

	off := instance(t, db, shipment.Timers{})
	clock(off, noon)
	untimed := scheduled(t, off)
	require.NotContains(t, due(s, noon.Add(24*time.Hour)), untimed, "scheduled while the carrier was off")

	act(t, s, id, (*shipment.Shipment).Deliver)
	require.Empty(t, due(s, noon.Add(24*time.Hour)), "it has arrived")
	require.Zero(t, get(t, s, id).Due)
}

func TestDue_TheLongestOverdueComeFirst(t *testing.T) {
	s := instance(t, testbackend.Mongo(t), shipment.Timers{DispatchAfter: time.Minute})
	var ids []string
	for i := range 3 {
		clock(s, noon.Add(-time.Duration(i)*time.Second))
		ids = append([]string{scheduled(t, s)}, ids...)
	}
	all, err := s.Due(t.Context(), shipment.Scheduled, time.Time{}, noon.Add(time.Hour), nil, 2)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, ids[0], all[0].ID)
	require.Equal(t, ids[1], all[1].ID)

	for name, place := range map[string]struct {
		from   time.Time
		except []string
	}{"the first one is left out": {time.Time{}, ids[:1]}, "and who was due before": {all[1].Due, ids[:1]}} {
		all, err = s.Due(t.Context(), shipment.Scheduled, place.from, noon.Add(time.Hour), place.except, 2)
		require.NoError(t, err)
		require.Len(t, all, 2, name)
		require.Equal(t, ids[1], all[0].ID, name)
		require.Equal(t, ids[2], all[1].ID, name)
	}
}

func TestStore_EveryQueryHasAnIndex(t *testing.T) {
	s := instance(t, testbackend.Mongo(t), shipment.Timers{DispatchAfter: time.Minute, DeliverAfter: time.Minute})
	batch := map[string][]shipment.News{}
	var last string
	for i := range 30 {
		last = newID()
		r := asked(last, 0, false)
		r.CustomerId = fmt.Sprintf("c-%d", i%10)
		batch[last] = []shipment.News{news(1, r)}
	}
	for _, errs := range s.Fold(t.Context(), batch) {
		require.Equal(t, []error{nil}, errs)
	}
	sorted := bson.E{Key: "sort", Value: newestFirst}
	list := func(f Filter) bson.D { return bson.D{{Key: "filter", Value: f.query()}, sorted} }
	due := bson.D{{Key: "filter", Value: dueQuery(shipment.Scheduled, time.Time{}, time.Now())}, {Key: "sort", Value: soonest}}
	for name, c := range map[string]struct {
		find  bson.D
		index string
	}{
		"all":                {list(Filter{}), "_id_"},
		"the next page":      {list(Filter{Before: last}), "_id_"},
		"a customer's":       {list(Filter{Customer: "c-1", Before: last}), "customerId_1__id_-1"},
		"by status":          {list(Filter{Status: shipment.Scheduled, Before: last}), "status_1__id_-1"},
		"by both":            {list(Filter{Customer: "c-1", Status: shipment.Scheduled}), "customerId_1_status_1__id_-1"},
		"of an order":        {list(Filter{Customer: "c-1", Order: last}), "_id_"},
		"due":                {due, "status_1_due_1"},
		"(control) by a fee": {bson.D{{Key: "filter", Value: bson.D{{Key: "rate.cost", Value: 1}}}}, ""},
	} {
		plan := testbackend.Explain(t, s.list, c.find)
		if c.index == "" {
			require.Contains(t, plan, "COLLSCAN", "the test sees a scan where there is one")
			continue
		}
		require.NotContains(t, plan, "COLLSCAN", name)
		require.NotContains(t, plan, `"SORT"`, name)
		require.Contains(t, plan, `"indexName":"`+c.index+`"`, name)
	}
}
