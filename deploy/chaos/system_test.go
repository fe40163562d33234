package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// still is a unit that runs and does nothing else.
type still struct{ unit }

func (still) running() bool { return true }

// TestAwaitBackends_AFaultLastsUntilTheyAreReady: a broker that is started again is waited for, a service is not, nor a
// part that another fault keeps down.
func TestAwaitBackends_AFaultLastsUntilTheyAreReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, down, service := &part{unit: still{}}, &part{unit: still{}, downs: 1}, &part{unit: still{}}
		s := &system{parts: map[string]*part{"broker-1": broker, "database": down, "order-api": service}}
		begun := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			broker.mu.Lock()
			defer broker.mu.Unlock()
			broker.ready = true
		}()
		s.awaitBackends(t.Context())
		require.InDelta(t, 10, time.Since(begun).Seconds(), 0.1)

		broker.ready, begun = false, time.Now()
		s.awaitBackends(t.Context())
		require.Equal(t, startsWithin, time.Since(begun), "it never starts: that is for the check at the end")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.awaitBackends(ctx)
	})
}
