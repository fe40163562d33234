package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckResources_FindsWhatIsNotGivenBack(t *testing.T) {
	at := func(rss int64, fds, goroutines int) usage {
		return usage{RSS: rss, FDs: fds, Goroutines: goroutines, Over: overMB(rss, fds)}
	}
	before := map[string]usage{"inventory": {RSS: 40, FDs: 30, Goroutines: 60}}
	for name, c := range map[string]struct {
		after, peak usage
		breaks      bool
	}{
		"as before":              {at(60, 30, 60), at(100, 3000, 4000), false},
		"a pool, kept alive":     {at(60, 30+64+16, 60+40), at(100, 200, 200), false},
		"descriptors leak":       {at(60, 500, 60), at(100, 500, 60), true},
		"goroutines leak":        {at(60, 30, 500), at(100, 30, 500), true},
		"memory without a bound": {at(60, 30, 60), at(mostRSS+10, 30, 60), true},
		"memory of connections":  {at(60, 30, 60), at(mostRSS+300, 10_000, 60), false},
		"memory and then many":   {at(60, 30, 60), at(mostRSS+10, 30, 60).most(at(60, 10_000, 60)), true},
		"events that wait":       {usage{RSS: 60, FDs: 30, Goroutines: 60, Queued: 1}, at(100, 30, 60), true},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			checkResources(&v, before, map[string]usage{"inventory": c.after, "inventory-2": {FDs: 9999}}, map[string]usage{"inventory": c.peak})
			if !c.breaks {
				require.Empty(t, v.found)
				return
			}
			only(t, v, "I10")
		})
	}
}

func TestCheckResources_WantsToHearOfEachProcess(t *testing.T) {
	var v verdict
	checkResources(&v, map[string]usage{"inventory": {RSS: 40, FDs: 30, Goroutines: 60}}, nil, nil)
	only(t, v, "I10")
}

func TestMetric_IsThatOfTheNameWithWhateverLabels(t *testing.T) {
	text := []byte("# HELP a what\na_total 7\na{collection=\"orders\"} 3\nb 1.5e+02\n")
	for name, want := range map[string]int{"a": 3, "b": 150} {
		n, err := metric(text, name)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	_, err := metric(text, "c")
	require.Error(t, err)
}

func TestRSS_IsThatOfTheProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("SKIP: this system has no /proc")
	}
	mb, err := rss(os.Getpid())
	require.NoError(t, err)
	require.Positive(t, mb)
}
