package service

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

const (
	// ballastSize is as much garbage as may pile up before it is collected, beside as much as is alive.
	ballastSize = 32 << 20
	// A process that allocates busy bytes in ballastEvery gets its ballast, one that allocates fewer than calm gives it back.
	busy         = 8 << 20
	calm         = 1 << 20
	ballastEvery = time.Second
)

// ballast is heap that is never touched: it takes addresses, no memory, and counts as alive. A service lives on some ten MB,
// so under load it would collect its garbage many times a second, for a quarter of its processor time. Idle it has none:
// then garbage would only take memory.
type ballast struct{ held strings.Builder }

// keepBallast adds and drops the ballast until ctx ends. Whoever has set GOGC or GOMEMLIMIT has decided otherwise.
func keepBallast(ctx context.Context) {
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	var b ballast
	ticker := time.NewTicker(ballastEvery)
	defer ticker.Stop()
	for before := allocated(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := allocated()
		b.weigh(now - before)
		before = now
	}
}

// weigh decides by what was allocated lately, in bytes.
func (b *ballast) weigh(lately uint64) {
	switch has := b.held.Cap() > 0; {
	case !has && lately >= busy:
		b.held.Grow(ballastSize) // a Builder does not clear it as make would, by which it would take memory
	case has && lately < calm:
		b.held.Reset()
		debug.FreeOSMemory() // now, not in the minutes until idleness has filled the heap to its last goal
	}
}

// allocated is how much the process has allocated in its life, in bytes.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
