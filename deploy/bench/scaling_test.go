package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScalingFigures_CompareWithinARepetition(t *testing.T) {
	r := &report{}
	for _, rates := range [][2]float64{{100, 200}, {200, 200}, {400, 300}} {
		for _, f := range scalingFigures(rates[0], rates[1]) {
			r.add("scaling", f)
		}
	}
	require.Len(t, r.series, 3)
	ratio := r.series[2]
	require.Equal(t, "3 instances ÷ 1", ratio.name)
	require.Equal(t, "1.00 ×", ratio.unit.show(median(ratio.values)))
	require.Equal(t, "0.75 – 2.00 ×", ratio.spread())
}
