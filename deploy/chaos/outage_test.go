package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// withoutBroker is an outage of the broker as it should be.
func withoutBroker() *outageRun {
	o := &outageRun{
		name: "broker", kind: outages["broker"], absent: 20 * time.Second, healed: 80 * time.Second, drained: 5 * time.Second,
		rss: map[string][]sampleAt{}, ready: map[string][]readyAnswer{},
	}
	for s := range 90 {
		at := time.Duration(s) * time.Second
		o.attempts = append(o.attempts, attempt{at: at, took: 10 * time.Millisecond, status: http.StatusCreated})
		for _, service := range stack.Services() {
			o.rss[service] = append(o.rss[service], sampleAt{at, 40})
			status := http.StatusOK
			if service != stack.OrderAPI && at >= o.absent && at < o.healed {
				status = http.StatusServiceUnavailable
			}
			o.ready[service] = append(o.ready[service], readyAnswer{at: at, status: status})
		}
	}
	return o
}

func TestOutage_FindsWhatIsNotKept(t *testing.T) {
	o := withoutBroker()
	o.judge()
	require.Empty(t, o.verdict.found)
	for name, c := range map[string]struct {
		change func(*outageRun)
		breaks string
	}{
		"an order is refused": {func(o *outageRun) { o.attempts[30] = attempt{at: o.attempts[30].at, status: 503, retryAfter: true} }, "I11"},
		"a wrong answer":      {func(o *outageRun) { o.attempts[30].status = http.StatusInternalServerError }, "I11"},
		"memory grows":        {func(o *outageRun) { o.rss[stack.Shipping][70].mb += mostGrowth }, "I10"},
		"readiness is silent": {func(o *outageRun) { o.ready[stack.Inventory][40].status = http.StatusOK }, "I8"},
		"readiness fails":     {func(o *outageRun) { o.ready[stack.OrderAPI][40].status = http.StatusServiceUnavailable }, "I8"},
		"never ready again":   {func(o *outageRun) { o.ready[stack.Notifier][89].status = http.StatusServiceUnavailable }, "I8"},
		"a slow drain":        {func(o *outageRun) { o.drained = time.Minute }, "I8"},
	} {
		t.Run(name, func(t *testing.T) {
			o := withoutBroker()
			c.change(o)
			o.judge()
			only(t, o.verdict, c.breaks)
		})
	}
	t.Run("a refusal that comes late", func(t *testing.T) {
		o := withoutBroker()
		o.kind.taken = false
		o.attempts[30] = attempt{at: o.attempts[30].at, took: 3 * time.Second, status: 503, retryAfter: true}
		o.judge()
		only(t, o.verdict, "I11")
	})
}
