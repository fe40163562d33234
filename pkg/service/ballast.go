package service

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

const (
	// ballastSize is how much more garbage may pile up under load before it is collected than as much as is alive.
	ballastSize = 32 << 20
	// A process that allocates busy bytes in ballastEvery gets its ballast, one that has allocated fewer than calm so many
	// times in a row gives it back.
	busy         = 8 << 20
	calm         = 1 << 20
	calmFor      = 10
	ballastEvery = time.Second
)

// ballast is heap that is never touched: it takes addresses, no memory, and counts as alive. A service lives on some ten MB,
// so under load it would collect its garbage many times a second, for a quarter of its processor time. Idle it has none:
// then garbage would only take memory. Nor has it any with much alive, where as much again may pile up anyway.
type ballast struct {
	held     strings.Builder
	calmness int
}

// keepBallast adds and drops the ballast until ctx ends; nobody waits for it, as nothing depends on its end.
func keepBallast(ctx context.Context) {
	var b ballast
	ticker := time.NewTicker(ballastEvery)
	defer ticker.Stop()
	for before, _ := heap(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, live := heap()
		b.weigh(now-before, live)
		before, _ = heap() // without the ballast itself
	}
}

// mayHaveBallast is false where somebody has decided how much garbage there may be.
func mayHaveBallast(environ func(string) string) bool {
	return environ("GOGC") == "" && environ("GOMEMLIMIT") == ""
}

// weigh decides by what was allocated lately and by what is alive, in bytes.
func (b *ballast) weigh(lately, live uint64) {
	size := uint64(b.held.Cap())
	if live >= size { // of the last collection, which may not have met it yet
		live -= size
	}
	b.calmness++
	if lately >= calm {
		b.calmness = 0
	}
	switch {
	case size == 0 && lately >= busy && live < ballastSize:
		// Unlike make, a Builder does not clear what it has not got fresh from the system, by which it would take memory.
		b.held.Grow(ballastSize)
	case size > 0 && live >= 2*ballastSize:
		b.held.Reset()
	case size > 0 && b.calmness >= calmFor:
		b.held.Reset()
		debug.FreeOSMemory() // now, not in the minutes until idleness has filled the heap to its last goal
	}
}

// heap tells how much the process has allocated in its life, and how much the last collection found alive, in bytes.
func heap() (allocated, live uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
