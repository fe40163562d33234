package main

import (
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
	t.Parallel()
	for _, want := range []struct {
		control   chaos.Control
		invariant string // one of those by which it must be found
	}{
		{chaos.StartAtNewest, "I1"},
		{chaos.RandomPartitioner, "I4"},
		{chaos.SwallowDeadLetters, "I9"},
		{chaos.SkipSilently, "I7"},
	} {
		t.Run(string(want.control), func(t *testing.T) {
			t.Parallel()
			c := testConfig(t, stack.KafkaFake)
			c.Seed = 1
			found := c.control(t.Context(), want.control)
			require.NoError(t, found.err)
			require.Contains(t, found.by, want.invariant, "it was found by %s", found.verdict())
		})
	}
}
