package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// An order that stands still beside an event that cannot be published is told of, unless something else was broken.
func TestPassages_OnlyWhatNothingElseHolds(t *testing.T) {
	poison := window{Injection{Fault: "F16", Variant: "poison"}, 10 * time.Second, 20 * time.Second}
	kill := window{Injection{Fault: "F1", Variant: "kill"}, 12 * time.Second, 13 * time.Second}
	still := passage{order: "a", from: 10 * time.Second, to: 19 * time.Second}
	told := func(p passage, windows ...window) int {
		var v verdict
		checkPassages(&v, []passage{p}, windows)
		return len(v.found)
	}
	require.Equal(t, 1, told(still, poison))
	require.Zero(t, told(still, poison, kill))
	still.moved = true
	require.Zero(t, told(still, poison))
}

// The smaller ones are for the broker to refuse, whatever the record's envelope takes.
func TestTooLarge_IsNoRecordOfATopic(t *testing.T) {
	raw, err := bson.Marshal(tooLarge("poison-1", topicOrders, maxRecordBytes+1024, rand.New(rand.NewPCG(1, 1)))) //nolint:gosec // any will do
	require.NoError(t, err)
	_, body := bson.Raw(raw).Lookup("outbox", "0", "body").Binary()
	k := kmsg.NewRecord()
	k.Value = body
	require.Greater(t, len(k.AppendTo(nil)), maxRecordBytes)
}
