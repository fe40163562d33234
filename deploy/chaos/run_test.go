package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
