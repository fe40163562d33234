package main

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

func TestPlan_IsAPureFunctionOfTheSeed(t *testing.T) {
	on := terrain{kafka: "cluster", nodes: 3, faults: allFaults()}
	text := func(seed uint64) string {
		raw, err := json.Marshal(newPlan(seed, 5*time.Minute, on))
		require.NoError(t, err)
		return string(raw)
	}
	first, again := text(7), text(7)
	require.Equal(t, first, again)
	require.NotEqual(t, text(7), text(8))
}

func TestPlan_BreaksWithinItsTimeAndLeavesAQuarterQuiet(t *testing.T) {
	for seed := range uint64(50) {
		p := newPlan(seed, 5*time.Minute, terrain{faults: allFaults()})
		require.Len(t, p.Periods, 10)
		quiet := 0
		for _, set := range p.Periods {
			if len(set) == 0 {
				quiet++
			}
		}
		require.Equal(t, 2, quiet, "seed %d", seed)
		require.NotEmpty(t, p.Periods[0], "a short run is there to break something")
		last := duration(0)
		for _, i := range p.Steps {
			require.GreaterOrEqual(t, i.At, last, "seed %d", seed)
			require.Less(t, i.At, p.Duration)
			last = i.At
		}
	}
}

func TestPlan_DrawsEveryFaultThatIsPossible(t *testing.T) {
	for kafka, nodes := range map[string]int{stack.KafkaFake: 0, stack.KafkaApache: 1, stack.KafkaCluster: 3} {
		for _, f := range allFaults() {
			on := terrain{kafka: kafka, nodes: nodes, faults: []string{f}}
			drawn := len(newPlan(1, time.Minute, on).Steps) > 0
			possible := kinds[f].possible == nil || kinds[f].possible(on)
			require.Equal(t, possible, drawn, "%s on %s", f, kafka)
		}
	}
}

func TestPlan_NoFaultComesAgainBeforeAllHaveCome(t *testing.T) {
	for seed := range uint64(20) {
		p := newPlan(seed, 20*time.Minute, terrain{faults: []string{"F1", "F4", "F6", "F7", "F8", "F10", "F12"}})
		times := map[string]int{}
		for _, set := range p.Periods {
			for _, f := range set {
				times[f]++
			}
		}
		counts := slices.Sorted(maps.Values(times))
		require.Len(t, counts, 7)
		require.LessOrEqual(t, counts[6]-counts[0], 1, "seed %d: %v", seed, times)
	}
}

func TestPlan_IsNarrowedToVariants(t *testing.T) {
	cluster := terrain{kafka: "cluster", nodes: 3}
	for asked, want := range map[string]func(Injection) bool{
		"F6:kill:leader": func(i Injection) bool { return i.Variant == "kill" && i.Target[0] == "leader" },
		"F6:two":         func(i Injection) bool { return len(i.Target) == 2 },
		"F6:pause":       func(i Injection) bool { return i.Variant == "pause" },
	} {
		require.NoError(t, cluster.check(asked))
		on := cluster
		on.faults = []string{asked}
		p := newPlan(3, 5*time.Minute, on)
		require.NotEmpty(t, p.Steps)
		for _, i := range p.Steps {
			require.True(t, want(i), "%s: %s", asked, i)
			require.Equal(t, "F6", i.Fault)
		}
	}
	require.ErrorContains(t, cluster.check("F6:three"), "no variant")
	require.ErrorContains(t, terrain{nodes: 1}.check("F6:leader"), "no variant", "of one broker")
	require.ErrorContains(t, cluster.check("F99"), "no fault")
}
