package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// The order's last event may be met in a replay long before those that the other topic still has to tell.
func TestWatch_AReplayIsSeenToItsEnd(t *testing.T) {
	const subscribed, caughtUp, ended = "notifier.subscribed", "notifier.caught-up", "order-updated"
	type step struct {
		typ, data string
		ends      bool
	}
	for name, steps := range map[string][]step{
		"a replay": {
			{subscribed, `{"mode":"replay"}`, false},
			{ended, `{"status":"delivered"}`, false},
			{"shipment-delivered", `{"status":"delivered"}`, false},
			{caughtUp, ``, true},
		},
		"a replay that was cut off": {
			{subscribed, `{"mode":"replay"}`, false},
			{ended, `{"status":"delivered"}`, false},
			{subscribed, `{"mode":"replay"}`, false},
			{"shipment-delivered", `{"status":"delivered"}`, false},
			{caughtUp, ``, true},
		},
		"it had caught up before": {
			{subscribed, `{"mode":"replay"}`, false},
			{caughtUp, ``, false},
			{subscribed, `{"mode":"replay"}`, false},
			{ended, `{"status":"delivered"}`, false},
			{caughtUp, ``, true},
		},
		"after a replay": {
			{subscribed, `{"mode":"replay"}`, false},
			{caughtUp, ``, false},
			{ended, `{"status":"delivered"}`, true},
		},
		"live": {
			{subscribed, `{"mode":"live"}`, false},
			{ended, `{"status":"delivered"}`, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ends := false
			w := &watch{
				orderWatchCmd: &orderWatchCmd{ID: "o-1", Type: []string{"nothing"}},
				end:           func() { ends = true },
				current:       func() error { return nil }, // it was under way then
			}
			for i, s := range steps {
				source := map[bool]string{true: "order-api", false: "shipping"}[s.typ == ended]
				e := &client.Event{Type: s.typ, Source: source, Subject: "o-1", Data: json.RawMessage(s.data)}
				require.NoError(t, w.handle(e, nil))
				require.Equal(t, s.ends, ends, "step %d, %s", i, s.typ)
			}
		})
	}
}
