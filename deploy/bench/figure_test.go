package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMedian(t *testing.T) {
	require.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
	require.Zero(t, median(nil))
	values := []float64{3, 1, 2}
	median(values)
	require.Equal(t, []float64{3, 1, 2}, values, "the order of the repetitions is kept")
}

func TestSeries_IsMetByTheMedianOfValueAndLimitOfTheSameRepetition(t *testing.T) {
	for name, c := range map[string]struct {
		series
		verdict string
	}{
		"most, below":  {series{figure: figure{sense: atMost}, values: []float64{1, 2, 9}, limits: []float64{2, 2, 2}}, "met"},
		"most, above":  {series{figure: figure{sense: atMost}, values: []float64{1, 3, 3}, limits: []float64{2, 2, 2}}, "missed"},
		"least, above": {series{figure: figure{sense: atLeast}, values: []float64{3}, limits: []float64{2}}, "met"},
		"least, below": {series{figure: figure{sense: atLeast}, values: []float64{1}, limits: []float64{2}}, "missed"},
		"no limit":     {series{values: []float64{1}, limits: []float64{0}}, ""},
		// The medians, 20 and 15, would say that it is met.
		"limits that move": {series{figure: figure{sense: atLeast}, values: []float64{10, 20, 30}, limits: []float64{5, 40, 15}}, "met"},
		"limits that move, missed": {series{
			figure: figure{sense: atLeast}, values: []float64{10, 20, 30}, limits: []float64{11, 15, 40},
		}, "missed"},
	} {
		require.Equal(t, c.verdict, c.series.verdict(), name)
	}
}

func TestSeries_ShowsUnitsLimitsAndSpread(t *testing.T) {
	s := series{
		figure: figure{unit: perSecond, sense: atLeast, of: "2 × InsertOne"},
		values: []float64{3000.4, 2900, 3100}, limits: []float64{2000, 2100, 2200},
	}
	require.Equal(t, "≥ 2100/s (2 × InsertOne)", s.bound())
	require.Equal(t, "2900 – 3100/s", s.spread())
	s = series{figure: figure{unit: milliseconds, sense: atMost}, values: []float64{3.21}, limits: []float64{10}}
	require.Equal(t, "≤ 10.0 ms", s.bound())
	require.Empty(t, s.spread(), "there is none of one value")
	require.Equal(t, "1.25 s", seconds.show(1.25))
	require.Equal(t, "30.4 MB", megabytes.show(30.44))
	require.Empty(t, (&series{}).bound())
}
