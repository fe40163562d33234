package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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

func TestPlan_DrawsEveryFault(t *testing.T) {
	for _, nodes := range []int{0, 1, 3} {
		for _, f := range allFaults() {
			p := newPlan(1, time.Minute, terrain{nodes: nodes, faults: []string{f}})
			require.NotEmpty(t, p.Steps, "%s with %d nodes", f, nodes)
		}
	}
}
