package machine_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/machine"
)

func TestCPUTime_IsThatOfTheProcess(t *testing.T) {
	before, ok := machine.CPUTime(os.Getpid())
	if !ok {
		t.Skip("SKIP: this system has no /proc")
	}
	require.Eventually(t, func() bool {
		for n := 0; n < 1e7; n++ {
			runtime.KeepAlive(n)
		}
		after, ok := machine.CPUTime(os.Getpid())
		return ok && after > before
	}, 20*time.Second, time.Millisecond)
	_, ok = machine.CPUTime(1 << 30)
	require.False(t, ok)
}
