package service

import (
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
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

// resident is this process's resident memory in bytes.
func resident(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0 // the others do not tell so easily
	}
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	kilobytes := regexp.MustCompile(`VmRSS:\s+(\d+)`).FindSubmatch(status)
	require.NotNil(t, kilobytes)
	n, err := strconv.Atoi(string(kilobytes[1]))
	require.NoError(t, err)
	return n << 10
}

func TestBallast_PutsOffCollectionsUnderLoadAndTakesNoMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	var b ballast
	without := goal()
	for range 3 { // the second time it may get addresses that were used before
		b.weigh(busy-1, 0)
		require.Zero(t, b.held.Cap(), "not busy yet")
		before := resident(t)
		b.weigh(busy, ballastSize-1)
		require.GreaterOrEqual(t, goal(), uint64(2*ballastSize))
		require.Less(t, resident(t), before+ballastSize/4)

		// What load leaves behind does not stay.
		garbage := make([]byte, ballastSize)
		for i := range garbage {
			garbage[i] = 1
		}
		runtime.KeepAlive(garbage)
		for range calmFor - 1 {
			b.weigh(calm-1, ballastSize)
		}
		require.NotZero(t, b.held.Cap(), "not calm for long enough")
		b.weigh(calm-1, ballastSize)
		require.Less(t, bytesOf("/memory/classes/heap/free:bytes"), uint64(ballastSize/4))
		require.Less(t, goal(), without+ballastSize)
	}
}

func TestBallast_SpurtsKeepItAndALargeHeapHasNone(t *testing.T) {
	var b ballast
	b.weigh(busy, ballastSize)
	require.Zero(t, b.held.Cap(), "as much again may pile up anyway")
	b.weigh(busy, 0)
	for range 3 * calmFor {
		b.weigh(calm-1, ballastSize)
		b.weigh(calm, ballastSize)
	}
	require.NotZero(t, b.held.Cap())
	b.weigh(busy, 3*ballastSize-1)
	require.NotZero(t, b.held.Cap(), "a third of that is the ballast")
	b.weigh(busy, 3*ballastSize)
	require.Zero(t, b.held.Cap())
}

func TestHeap_TellsWhatWasAllocatedAndWhatIsAlive(t *testing.T) {
	before, _ := heap()
	held := make([]byte, busy)
	runtime.GC()
	after, live := heap()
	runtime.KeepAlive(held)
	require.GreaterOrEqual(t, after, before+busy)
	require.GreaterOrEqual(t, live, uint64(busy))
}

func TestMayHaveBallast_NotWhereSomebodyHasDecided(t *testing.T) {
	for _, name := range []string{"", "GOGC", "GOMEMLIMIT"} {
		environ := func(asked string) string {
			if asked == name {
				return "50"
			}
			return ""
		}
		require.Equal(t, name == "", mayHaveBallast(environ), name)
	}
}
