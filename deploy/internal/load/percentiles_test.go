package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeasure_IsTheNearestRank(t *testing.T) {
	var all []time.Duration
	for n := 100; n > 0; n-- {
		all = append(all, time.Duration(n)*time.Millisecond)
	}
	require.Equal(t, Percentiles{100, 50, 90, 99, 100}, Measure(all))
	require.Equal(t, Percentiles{1, 5, 5, 5, 5}, Measure([]time.Duration{5 * time.Millisecond}))
	require.Equal(t, Percentiles{}, Measure(nil))
}
