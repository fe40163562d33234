package main

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSoak_GoesOnWhereItWasStopped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "soak.jsonl")
	c := config{Kafka: "kfake", Duration: time.Minute, Rate: 40, Faults: []string{"F1"}, Seeds: []uint64{1, 2, 3, 4, 5}, commit: "abc"}
	done := result{Commit: "abc", Kafka: "kfake", Duration: duration(time.Minute), Rate: 40, Faults: []string{"F1"}, Seed: 2}
	lost, other, foreign := done, done, done
	lost.Seed, lost.Error = 3, "no broker"
	other.Seed, other.Commit = 4, "abd"
	foreign.Seed = 6
	for _, r := range []result{done, lost, other, foreign} {
		require.NoError(t, appendResult(file, r))
	}
	covered := func() []result {
		all, err := readResults(file)
		require.NoError(t, err)
		var out []result
		for _, r := range all {
			if c.covers(r) {
				out = append(out, r)
			}
		}
		return out
	}
	require.Equal(t, []result{done}, covered())
	require.Equal(t, []uint64{1, 3, 4, 5}, c.seedsLeft(covered()))

	c.commit, done.Commit = "abc+", "abc+"
	require.False(t, c.covers(done), "the sources may have changed since")
	c.commit = "abc"

	c.Seeds, c.Soak = nil, 5
	require.Len(t, covered(), 2, "random seeds: each counts")
	require.Len(t, c.seedsLeft(covered()), 3)
}

func TestResults_ALineThatACrashCutOffIsNoRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "soak.jsonl")
	first, second := result{Seed: 1}, result{Seed: 2}
	require.NoError(t, appendResult(file, first))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(raw, raw[:len(raw)/2]...), 0o600))
	all, err := readResults(file)
	require.NoError(t, err)
	require.Equal(t, []result{first}, all)
	require.NoError(t, appendResult(file, second))
	all, err = readResults(file)
	require.NoError(t, err)
	require.Equal(t, []result{first, second}, all)
}

func TestKafkaOf_DrawsEachKindBySeed(t *testing.T) {
	c := config{Kafka: kafkaMixed}
	n := map[string]int{}
	for seed := range uint64(600) {
		again := c.kafkaOf(seed)
		require.Equal(t, c.kafkaOf(seed), again)
		n[again]++
	}
	require.InDelta(t, 300, n["kfake"], 40)
	require.InDelta(t, 200, n["apache"], 40)
	require.InDelta(t, 100, n["cluster"], 40)
}

func TestSideBySide_DoesAllAndNoMoreThanItMayAtATime(t *testing.T) {
	const parallel, total = 3, 20
	var mu sync.Mutex
	at, most := 0, 0
	seen := map[int]bool{}
	count := func(more int) {
		mu.Lock()
		defer mu.Unlock()
		at += more
		most = max(most, at)
	}
	sideBySide(parallel, total, func(n int) {
		count(1)
		defer count(-1)
		mu.Lock()
		defer mu.Unlock()
		seen[n] = true
	})
	require.Len(t, seen, total)
	require.LessOrEqual(t, most, parallel)
}

func TestTable_NamesWhatWasRunAndWhatWasFound(t *testing.T) {
	good := result{
		Commit: "abc", Machine: "2 cores", Seed: 7, Kafka: "apache", Duration: duration(time.Minute), Faults: []string{"F1", "F10"},
		Orders: 100, Injections: 3, Injected: map[string]int{"F10 kill": 1, "F2 start": 2},
		Recovery: map[string][]float64{"F10 kill": {3}},
	}
	blind := good
	blind.Seed, blind.Duration, blind.Injected, blind.Recovery = 9, duration(2*time.Minute), nil, nil
	good.Committed = 21
	bad := good
	bad.Seed, bad.Violations, bad.Dir = 8, []violation{{Invariant: "I1", Order: "o-1", Detail: "it is gone"}}, "/kept"
	bad.Recovery = map[string][]float64{"F10 kill": {1, 2}}
	require.False(t, good.bad())
	require.True(t, bad.bad())
	require.True(t, blind.bad())
	var out bytes.Buffer
	table(&out, []result{good, bad, blind})
	for _, want := range []string{
		"machine   2 cores", "faults    F1,F10\n", `7 +abc +apache +1m0s +3 .* 21 +0\n`, `8 +abc .* 21 +1\n`, `3 runs +4m0s +9 .* 300 .* 42 +1\n`,
		`F2 start +4 +0 +0 +- +-\nF10 kill +2 +0 +3 +2.0 +3.0\n`, "I1 o-1 it is gone", "--seed 8 --kafka apache --duration 1m0s",
		`--seed 9 .*\n  nobody looked at what groups have committed`,
	} {
		require.Regexp(t, want, out.String())
	}
}
