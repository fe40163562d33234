package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// TestJudge_KeepsWhatWasFoundBefore: a system that says nothing any more has shown enough while it did.
func TestJudge_KeepsWhatWasFoundBefore(t *testing.T) {
	h, err := newHistory(filepath.Join(t.TempDir(), "history.jsonl"))
	require.NoError(t, err)
	h.add(entry{Kind: "place", Status: http.StatusInternalServerError})
	require.NoError(t, h.close())
	sys := &system{
		stack: &stack.Stack{Dir: t.TempDir()}, api: "http://127.0.0.1:0", begin: time.Now(),
		passages: []passage{{order: "a", to: time.Second}}, probes: []probe{{}},
	}
	sys.say("I2", "oversold")
	r := &run{config: config{drain: time.Millisecond}, sys: sys, history: h, committed: 7, done: []Injection{{Fault: "F1"}}}
	r.load = &load{sys: sys, history: h, http: http.DefaultClient}
	r.load.workers = []*worker{{load: r.load}}
	r.live.say("I6", "", "committed and not done")
	require.NoError(t, os.Mkdir(filepath.Join(sys.stack.Dir, "logs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(sys.stack.Dir, "logs", "order-api.log"), []byte("panic: no\n"), 0o600))
	var res result
	require.NoError(t, r.judge(t.Context(), &res))
	told := map[string]int{}
	for _, f := range r.verdict.found {
		told[f.Invariant]++
	}
	require.Equal(t, map[string]int{"I2": 1, "I6": 1, "I8": 2, "I10": 1, "I11": 2}, told, "%v", r.verdict.found)
	require.Equal(t, 7, res.Committed)
	require.Equal(t, 1, res.Injections)
}

// TestInject_HealsAlsoWhenTheTimeToBreakIsOver: what stayed broken would be found as a violation of the system.
func TestInject_HealsAlsoWhenTheTimeToBreakIsOver(t *testing.T) {
	breaking, end := context.WithCancel(t.Context())
	healed := false
	kinds["a test"] = kind{do: func(context.Context, *breaker, Injection) (healer, error) {
		end()
		return func(ctx context.Context) {
			healed = true
			require.NoError(t, ctx.Err())
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
		}, nil
	}}
	t.Cleanup(func() { delete(kinds, "a test") })
	r := &run{sys: &system{begin: time.Now(), note: t.Logf}}
	r.inject(breaking, &breaker{sys: r.sys}, Injection{Fault: "a test", For: duration(time.Hour)})
	require.True(t, healed)
	require.Len(t, r.windows, 1)
}

// An order counts from its first try, whose answer may be the one that was lost; and nothing else may be broken meanwhile.
func TestRecovery_IsThatOfOrdersPlacedAfterTheFault(t *testing.T) {
	place := func(op int64, try int, begin time.Duration, order, outcome string) entry {
		return entry{Op: op, Try: try, Kind: "place", Order: order, Begin: duration(begin), Outcome: outcome}
	}
	scheduled := func(order string, at time.Duration) pushed {
		return pushed{lane: lane{Order: order}, Type: "shipment-scheduled", At: at}
	}
	fault := func(kind string, from, to time.Duration) window {
		return window{Injection{Fault: kind, Variant: "x"}, from, to}
	}
	r := run{
		history: &history{all: []entry{
			place(1, 1, 9*time.Second, "", outcomeInfo), place(1, 2, 11*time.Second, "a", outcomeOK),
			place(2, 1, 12*time.Second, "b", outcomeOK), place(3, 1, 31*time.Second, "c", outcomeOK),
		}},
		watch:   []*watcher{{seen: []pushed{scheduled("a", 10*time.Second), scheduled("b", 13*time.Second), scheduled("c", 40*time.Second)}}},
		windows: []window{fault("F8", 8*time.Second, 10*time.Second), fault("F1", 20*time.Second, 30*time.Second), fault("F7", 35*time.Second, 36*time.Second)},
	}
	require.Equal(t, map[string][]float64{"F8 x": {3}}, r.recovery())
}
