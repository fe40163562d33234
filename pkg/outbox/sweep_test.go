package outbox

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSweepLoop_ComesBackInTime: sweeps follow each other at about their interval whether they fail or not, no two at the
// same moment in two processes, and at once when there is room again; the end waits for none of that.
func TestSweepLoop_ComesBackInTime(t *testing.T) {
	coll := unasked(t)
	synctest.Test(t, func(t *testing.T) {
		const every = 2 * time.Second
		r := NewRelay(coll, &silent{}, quiet, nil, WithSweep(every, 5*time.Second))
		ctx, stop := context.WithCancel(t.Context())
		var sweeps []time.Time
		var running sync.WaitGroup
		running.Go(func() {
			r.sweepLoop(ctx, func(context.Context) error {
				sweeps = append(sweeps, time.Now())
				return errors.New("the database is away")
			})
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		pauses := map[time.Duration]bool{}
		for i, at := range sweeps[1:] {
			pause := at.Sub(sweeps[i])
			require.GreaterOrEqual(t, pause, every/2)
			require.LessOrEqual(t, pause, 3*every/2)
			pauses[pause] = true
		}
		require.Greater(t, len(pauses), len(sweeps)/2, "processes part")

		n := len(sweeps)
		signal(r.sweepWake)
		synctest.Wait()
		require.Len(t, sweeps, n+1)
		require.Equal(t, time.Now(), sweeps[n])

		stopped := time.Now()
		stop()
		running.Wait()
		require.Equal(t, stopped, time.Now())
	})
}

// TestRelay_SweepsAgainOnceThereIsRoom: a sweep that finds the memory full leaves a note, and the acknowledgement that
// makes room calls it back.
func TestRelay_SweepsAgainOnceThereIsRoom(t *testing.T) {
	r := NewRelay(unasked(t), &silent{}, quiet, nil, WithMemory(4, 1<<20))
	for _, id := range []string{"a", "b", "c"} {
		r.Offer(id, nil, []Entry{{ID: id, Topic: "x", Key: id, Sequence: 1}})
	}
	require.False(t, r.room())
	var sent []*lane
	for range 3 {
		ln, _, _ := r.next()
		sent = append(sent, ln)
	}
	for i, ln := range sent {
		require.Empty(t, r.sweepWake, "after %d", i)
		r.done(ln, ln.queue[0], nil)
		if len(r.sweepWake) > 0 {
			require.Equal(t, 1, r.lanes.entries, "as soon as less than half is taken")
			return
		}
	}
	t.Fatal("the rest is left to the next round")
}

// TestSweep_FindsWhatAClockThatWasAheadHasLeft: such entries are not to wait until the clocks have caught up.
func TestSweep_FindsWhatAClockThatWasAheadHasLeft(t *testing.T) {
	c, relay := things(t, &log{})
	at := map[string]time.Duration{"fresh": 0, "old": -time.Minute, "ahead": time.Hour}
	for id, since := range at {
		th := newThing(id)
		th.fresh[0].At = time.Now().Add(since)
		require.NoError(t, c.Insert(t.Context(), []*thing{th})[0])
	}
	page, err := relay.page(t.Context(), "", "")
	require.NoError(t, err)
	var ids []string
	for _, doc := range page {
		ids = append(ids, doc.ID)
	}
	require.Equal(t, []string{"ahead", "old"}, ids)
}

// TestSweep_BringsBackWhatWasThoughtToBeGone: a clearing that has gone wrong in whatever way leaves an entry that the relay
// has sent and forgets only when it sends others. In a system at rest there are none.
func TestSweep_BringsBackWhatWasThoughtToBeGone(t *testing.T) {
	c, relay := things(t, &log{})
	th := newThing("a")
	th.fresh[0].At = time.Now().Add(-time.Minute)
	require.NoError(t, c.Insert(t.Context(), []*thing{th})[0])
	acknowledge(t, relay)
	relay.settleClears(relay.takeClears(1), true) // it is stored still

	require.NoError(t, relay.sweep(t.Context()))
	require.Zero(t, relay.lanes.entries, "it may be the view of somebody who was slow")
	relay.lanes.limits.linger = 0
	require.NoError(t, relay.sweep(t.Context()))
	acknowledge(t, relay)
	relay.clear(t.Context())
	a, err := c.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Zero(t, a.Unsent())
}

// TestClear_LeavesToTheNextRoundWhatComesMeanwhile: under load there is always something, and it would go one by one, in a
// durable commit each, under the writers' lock.
func TestClear_LeavesToTheNextRoundWhatComesMeanwhile(t *testing.T) {
	_, relay := things(t, &log{})
	n := 0
	acknowledge := func() {
		n++
		id := strconv.Itoa(n)
		relay.Offer(id, nil, []Entry{{ID: id, Topic: "x", Key: id, Sequence: 1}})
		relay.mu.Lock()
		defer relay.mu.Unlock()
		if ln, _, ok := relay.lanes.next(time.Now()); ok {
			relay.lanes.acknowledged(ln)
		}
	}
	waiting := func() int {
		relay.mu.Lock()
		defer relay.mu.Unlock()
		return len(relay.lanes.clears)
	}
	acknowledge()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const most = 10
	var coming sync.WaitGroup
	coming.Go(func() {
		for ctx.Err() == nil {
			if waiting() < most { // there is nearly always something
				acknowledge()
			}
		}
	})
	relay.clear(ctx)
	cancel()
	coming.Wait()
	require.LessOrEqual(t, n-waiting(), most, "cleared in one round")
}
