package web

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// TestBuckets_AFloodOfNamesIsCheap: with no room left for another name the search for what can be forgotten goes over all of
// them while everybody waits, so it is not made for each new one.
func TestBuckets_AFloodOfNamesIsCheap(t *testing.T) {
	b := &buckets{limit: rate.Every(time.Hour), burst: 10, of: map[string]*rate.Limiter{}}
	now := time.Now()
	searches, before := 0, 0
	for i := range 3 * maxBuckets {
		b.take(fmt.Sprint("flood ", i), now)
		require.LessOrEqual(t, len(b.of), maxBuckets)
		if len(b.of) <= before {
			searches++
		}
		before = len(b.of)
	}
	require.LessOrEqual(t, searches, 10)
}

// TestBuckets_WhoHasAFullOneIsForgottenFirst: nobody else gets a fresh one by that.
func TestBuckets_WhoHasAFullOneIsForgottenFirst(t *testing.T) {
	b := &buckets{limit: rate.Every(time.Second), burst: 2, of: map[string]*rate.Limiter{}}
	now := time.Now()
	for i := range maxBuckets / 2 {
		b.take(fmt.Sprint("early ", i), now)
	}
	later := now.Add(time.Minute)
	for i := range maxBuckets / 2 {
		b.take(fmt.Sprint("late ", i), later)
	}
	b.take("one more", later)
	require.Len(t, b.of, maxBuckets/2+1)
	left, _ := b.take("late 0", later)
	require.Zero(t, left)
}
