package main

import (
	"encoding/json"
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
