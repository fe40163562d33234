package main

import (
	"fmt"
	"slices"
	"strings"
)

// unit of a figure; it decides the digits that are shown.
type unit string

const (
	megabytes    unit = "MB" // 1e6 bytes
	seconds      unit = "s"
	milliseconds unit = "ms"
	perSecond    unit = "/s"
	times        unit = "×"
)

// show gives "12.3 ms"; a rate has no digits behind the point.
func (u unit) show(v float64) string {
	switch u {
	case perSecond:
		return fmt.Sprintf("%.0f/s", v)
	case seconds, times:
		return fmt.Sprintf("%.2f %s", v, u)
	default:
		return fmt.Sprintf("%.1f %s", v, u)
	}
}

// sense says on which side of its limit a figure should be.
type sense string

const (
	free    sense = "" // it has none
	atMost  sense = "≤"
	atLeast sense = "≥"
)

// figure is one measured value. The same name in the next repetition is the same figure again.
type figure struct {
	name  string
	unit  unit
	value float64
	sense sense
	limit float64
	of    string // where the limit comes from, when it was measured, too
}

// series is a figure of all repetitions.
type series struct {
	measurement string
	figure      // its value and limit are the last ones
	values      []float64
	limits      []float64
}

// met tells whether the median of value ÷ limit, each of the same repetition, is on the right side of 1.
func (s *series) met() bool {
	ratios := make([]float64, len(s.values))
	for n := range s.values {
		ratios[n] = s.values[n] / s.limits[n]
	}
	switch s.sense {
	case atMost:
		return median(ratios) <= 1
	case atLeast:
		return median(ratios) >= 1
	default:
		return true
	}
}

// verdict is "met", "missed", or "" of a figure without a limit.
func (s *series) verdict() string {
	switch {
	case s.sense == free:
		return ""
	case s.met():
		return "met"
	default:
		return "missed"
	}
}

// bound shows the limit: "≤ 40.0 MB", "≥ 3214/s (2 × InsertOne)".
func (s *series) bound() string {
	if s.sense == free {
		return ""
	}
	text := string(s.sense) + " " + s.unit.show(median(s.limits))
	if s.of != "" {
		text += " (" + s.of + ")"
	}
	return text
}

// median of values; of an even number the mean of the two in the middle; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread shows the lowest and the highest value; "" of a single one.
func (s *series) spread() string {
	if len(s.values) < 2 {
		return ""
	}
	low, high := s.unit.show(slices.Min(s.values)), s.unit.show(slices.Max(s.values))
	return strings.TrimRight(strings.TrimSuffix(low, string(s.unit)), " ") + " – " + high
}
