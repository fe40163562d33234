package service

import (
	"os"
	"regexp"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// bytesOf reads a metric of the runtime after a collection.
func bytesOf(name string) uint64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// goal is the heap size at which the next collection ends.
func goal() uint64 { return bytesOf("/gc/heap/goal:bytes") }

// resident is this process's resident memory in bytes, 0 where the system does not tell.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	kilobytes := regexp.MustCompile(`VmRSS:\s+(\d+)`).FindSubmatch(status)
	require.NotNil(t, kilobytes)
	n, err := strconv.Atoi(string(kilobytes[1]))
	require.NoError(t, err)
	return n << 10
}

func TestBallast_PutsOffCollectionsUnderLoadAndTakesNoMemory(t *testing.T) {
	var b ballast
	without := goal()
	for range 3 { // the second time it may get addresses that were used before
		b.weigh(busy - 1)
		require.Zero(t, b.held.Cap(), "not busy yet")
		before := resident(t)
		b.weigh(busy)
		require.GreaterOrEqual(t, goal(), uint64(2*ballastSize))
		require.Less(t, resident(t), before+ballastSize/4)
		b.weigh(calm)
		require.NotZero(t, b.held.Cap(), "not calm yet")

		// What load leaves behind does not stay.
		garbage := make([]byte, ballastSize)
		for i := range garbage {
			garbage[i] = 1
		}
		runtime.KeepAlive(garbage)
		b.weigh(calm - 1)
		require.Less(t, bytesOf("/memory/classes/heap/free:bytes"), uint64(ballastSize/4))
		require.Less(t, goal(), without+ballastSize)
	}
}

func TestAllocated_Grows(t *testing.T) {
	before := allocated()
	runtime.KeepAlive(make([]byte, busy))
	require.GreaterOrEqual(t, allocated(), before+busy)
}
