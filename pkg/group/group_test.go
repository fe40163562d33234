package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gated is a batch function that shows each batch and waits to be let go.
type gated struct {
	begun chan []int
	let   chan struct{}
}

func newGated() *gated { return &gated{begun: make(chan []int), let: make(chan struct{})} }

func (g *gated) do(_ context.Context, batch []int) []Result[int] {
	g.begun <- slices.Clone(batch)
	<-g.let
	return double(batch)
}

func double(batch []int) []Result[int] {
	results := make([]Result[int], len(batch))
	for i, n := range batch {
		results[i].Value = 2 * n
	}
	return results
}

func start[In, Out any](t *testing.T, g *Group[In, Out]) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

func one(int) int { return 1 }

// ask has n done and waits until it is queued or answered.
func ask(t *testing.T, g *Group[int, int], answers chan<- string, n int) {
	t.Helper()
	go func() {
		out, err := g.Do(context.Background(), n)
		answers <- fmt.Sprint(n, out, err)
	}()
	synctest.Wait()
}

func TestGroup_WhatArrivesMeanwhileGoesNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGated()
		g := New(1, 10, 100, one, 100, b.do)
		stop := start(t, g)
		answers := make(chan string, 10)
		ask(t, g, answers, 1)
		require.Equal(t, []int{1}, <-b.begun, "an idle group makes nobody wait")
		for n := 2; n <= 5; n++ {
			ask(t, g, answers, n)
		}
		b.let <- struct{}{}
		require.Equal(t, "1 2 <nil>", <-answers)
		require.Equal(t, []int{2, 3, 4, 5}, <-b.begun)
		b.let <- struct{}{}
		stop()
		synctest.Wait() // the callers have told
		close(answers)
		var all []string
		for a := range answers {
			all = append(all, a)
		}
		require.ElementsMatch(t, []string{"2 4 <nil>", "3 6 <nil>", "4 8 <nil>", "5 10 <nil>"}, all)
	})
}

func TestGroup_CapsItsBatchesByCountAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGated()
		g := New(1, 3, 100, func(n int) int { return n }, 50, b.do)
		stop := start(t, g)
		answers := make(chan string, 20)
		ask(t, g, answers, 1)
		<-b.begun
		for _, n := range []int{2, 3, 4, 5, 40, 20, 90, 6} {
			ask(t, g, answers, n)
		}
		for _, want := range [][]int{{2, 3, 4}, {5, 40}, {20}, {90}, {6}} {
			b.let <- struct{}{}
			require.Equal(t, want, <-b.begun)
		}
		b.let <- struct{}{}
		stop()
	})
}

func TestGroup_RefusesWhenItsQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGated()
		g := New(1, 10, 2, one, 100, b.do)
		stop := start(t, g)
		answers := make(chan string, 10)
		ask(t, g, answers, 1)
		<-b.begun
		ask(t, g, answers, 2)
		ask(t, g, answers, 3)
		_, err := g.Do(t.Context(), 4)
		require.ErrorIs(t, err, ErrOverloaded)
		b.let <- struct{}{}
		require.Equal(t, []int{2, 3}, <-b.begun)
		b.let <- struct{}{}
		stop()
		_, err = g.Do(t.Context(), 5)
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestGroup_ACallerThatLeavesStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newGated()
		seen := make(chan error, 1)
		g := New(1, 10, 100, one, 100, func(ctx context.Context, batch []int) []Result[int] {
			results := b.do(ctx, batch)
			seen <- ctx.Err()
			return results
		})
		stop := start(t, g)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := g.Do(ctx, 1)
			left <- err
		}()
		require.Equal(t, []int{1}, <-b.begun)

		early, leaveEarly := context.WithCancel(t.Context())
		go func() {
			_, err := g.Do(early, 2)
			left <- err
		}()
		answers := make(chan string, 1)
		synctest.Wait()
		ask(t, g, answers, 3)
		leave()
		require.ErrorIs(t, <-left, context.Canceled)
		leaveEarly()
		require.ErrorIs(t, <-left, context.Canceled)
		b.let <- struct{}{}
		require.NoError(t, <-seen, "the batch goes on")
		require.Equal(t, []int{3}, <-b.begun, "who left before the batch began is not in it")
		b.let <- struct{}{}
		require.NoError(t, <-seen)
		require.Equal(t, "3 6 <nil>", <-answers)
		stop()
	})
}

func TestGroup_APanicIsAnError(t *testing.T) {
	g := New(2, 10, 100, one, 100, func(_ context.Context, batch []int) []Result[int] {
		switch batch[0] {
		case 1:
			panic("broken")
		case 2:
			return nil
		}
		return double(batch)
	})
	stop := start(t, g)
	_, err := g.Do(t.Context(), 1)
	require.ErrorContains(t, err, "broken")
	_, err = g.Do(t.Context(), 2)
	require.ErrorContains(t, err, "0 results")
	out, err := g.Do(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, 6, out)
	stop()
}

// Whatever the sizes and caps, every caller gets the answer to its own question, or is told that there is none.
func TestGroup_AnswersEachItsOwn(t *testing.T) {
	refusal := errors.New("odd")
	rapid.Check(t, func(rt *rapid.T) {
		workers := rapid.IntRange(1, 3).Draw(rt, "workers")
		maxBatch := rapid.IntRange(1, 5).Draw(rt, "batch")
		maxBytes := rapid.IntRange(1, 30).Draw(rt, "bytes")
		size := func(n int) int { return n % 10 }
		var mu sync.Mutex
		running := 0
		g := New(workers, maxBatch, 1000, size, maxBytes, func(_ context.Context, batch []int) []Result[int] {
			mu.Lock()
			running++
			if running > workers {
				rt.Errorf("%d batches at once", running)
			}
			mu.Unlock()
			bytes := 0
			for _, n := range batch {
				bytes += size(n)
			}
			if len(batch) > maxBatch || len(batch) > 1 && bytes > maxBytes {
				rt.Errorf("batch %v is too big", batch)
			}
			results := double(batch)
			for i, n := range batch {
				if n%2 == 1 {
					results[i] = Result[int]{Err: refusal}
				}
			}
			mu.Lock()
			running--
			mu.Unlock()
			return results
		})
		stop := start(t, g)
		var callers sync.WaitGroup
		for n := range rapid.IntRange(1, 60).Draw(rt, "callers") {
			callers.Go(func() {
				out, err := g.Do(t.Context(), n)
				if n%2 == 1 && !errors.Is(err, refusal) || n%2 == 0 && (err != nil || out != 2*n) {
					rt.Errorf("%d: got %d, %v", n, out, err)
				}
			})
		}
		callers.Wait()
		stop()
	})
}
