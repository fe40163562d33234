package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/chaos"
)

// TestControls shows that a green run of this harness means something: with a wrong behaviour switched on it is red, for
// the history, the watchers, the log and the audit, each by one that needs next to no faults. The other nine take
// minutes (--controls); deploy/controls finds all thirteen without chance.
func TestControls(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes minutes")
	}
	c := testConfig(t, stack.KafkaFake)
	c.Seed = 1
	want := map[chaos.Control]string{ // one of the invariants by which it must be found
		chaos.StartAtNewest: "I1", chaos.RandomPartitioner: "I4", chaos.SwallowDeadLetters: "I9", chaos.SkipSilently: "I7",
	}
	var mu sync.Mutex
	found := map[chaos.Control]caught{}
	asked := []chaos.Control{chaos.StartAtNewest, chaos.RandomPartitioner, chaos.SwallowDeadLetters, chaos.SkipSilently}
	sideBySide(2, len(asked), func(n int) {
		got := c.control(t.Context(), asked[n])
		mu.Lock()
		defer mu.Unlock()
		found[got.control] = got
	})
	for control, invariant := range want {
		got := found[control]
		require.NoError(t, got.err, "%s", control)
		require.Contains(t, got.by, invariant, "%s was found by %s", control, got.verdict())
	}
}
