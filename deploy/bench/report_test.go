package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// measured is a report with a limit met, one missed, and a figure without one.
func measured() *report {
	r := &report{machine: machine{Cores: 2, Commit: "abc", Broker: "kfake"}, repetitions: 2}
	for _, v := range []float64{1000, 1200} {
		r.add("burst", figure{name: "InsertOne", unit: perSecond, value: v})
		r.add("burst", figure{name: "accepted", unit: perSecond, value: 3 * v, sense: atLeast, limit: 2 * v, of: "2 × InsertOne"})
	}
	r.add("memory", figure{name: "notifier", unit: megabytes, value: 50, sense: atMost, limit: 40})
	return r
}

func TestReport_PrintsEachFigureBesideItsLimit(t *testing.T) {
	var out bytes.Buffer
	r := measured()
	require.NoError(t, r.print(&out, measurements))
	text := regexp.MustCompile(` {2,}`).ReplaceAllString(out.String(), " | ")
	require.Contains(t, text, "commit abc")
	require.Contains(t, text, "InsertOne | 1100/s | 1000 – 1200/s")
	require.Contains(t, text, "accepted | ≥ 2200/s (2 × InsertOne) | 3300/s | 3000 – 3600/s | met")
	require.Contains(t, text, "notifier | ≤ 40.0 MB | 50.0 MB | missed")
	require.Less(t, bytes.Index(out.Bytes(), []byte("MEMORY")), bytes.Index(out.Bytes(), []byte("BURST")), "in the order of the list")
	require.NotContains(t, text, "START", "nothing was measured of it")
	require.NotContains(t, text, "quoted")
	require.NotContains(t, text, "FAILED")

	r.quick, r.profiled = true, true
	r.fail("burst: 3 orders were lost")
	out.Reset()
	require.NoError(t, r.print(&out, measurements))
	require.Contains(t, out.String(), "too short to be quoted")
	require.Contains(t, out.String(), "the profiles cost time")
	require.Contains(t, out.String(), "FAILED burst: 3 orders were lost")
}

func TestReport_PrintsTheSameForPrograms(t *testing.T) {
	var out bytes.Buffer
	r := measured()
	r.fail("lost")
	require.NoError(t, r.printJSON(&out))
	var got struct {
		Machine machine
		Figures []struct {
			Measurement, Name, Unit, Sense, LimitOf string
			Median                                  float64
			Values, Limits                          []float64
			Met                                     *bool
		}
		Failures []string
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, r.machine, got.Machine)
	require.Equal(t, []string{"lost"}, got.Failures)
	require.Len(t, got.Figures, 3)
	require.Nil(t, got.Figures[0].Met)
	require.Nil(t, got.Figures[0].Limits)
	accepted := got.Figures[1]
	require.Equal(t, []float64{3000, 3600}, accepted.Values)
	require.Equal(t, []float64{2000, 2400}, accepted.Limits)
	require.Equal(t, "≥", accepted.Sense)
	require.True(t, *accepted.Met)
	require.False(t, *got.Figures[2].Met)
}

func TestReport_ExitCodeIsAboutTheMeasuringAndNeverAboutTheFigures(t *testing.T) {
	r := measured()
	require.Equal(t, 0, r.exitCode(), "a missed limit is no failure")
	r.fail("an order was lost")
	require.Equal(t, exitFailed, r.exitCode())
	require.Equal(t, exitFailed, (&report{}).exitCode(), "nothing was measured")
}
