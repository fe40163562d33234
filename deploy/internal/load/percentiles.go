package load

import (
	"slices"
	"time"
)

// Percentiles of durations, in milliseconds, by the nearest rank.
type Percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Measure gives the percentiles of the durations; it sorts them in place. Of none, all is 0.
func Measure(all []time.Duration) Percentiles {
	if len(all) == 0 {
		return Percentiles{}
	}
	slices.Sort(all)
	at := func(percent int) float64 {
		rank := (len(all)*percent + 99) / 100
		return float64(all[max(rank, 1)-1].Microseconds()) / 1000
	}
	return Percentiles{len(all), at(50), at(90), at(99), at(100)}
}
