package main

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/deploy/stack"
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

// An outbox that was not seen to be full, or has nothing in it, shows nothing.
func TestOutbox_IsDoneOnlyIfSomethingWaits(t *testing.T) {
	const taken, refused, changed, conflict, busy = `201 {"id":"1"}`, `400 {}`, `200 {}`, `412 {"code":"conflict"}`, `503 {"code":"order_busy"}`
	for name, c := range map[string]struct {
		place string
		write []string // of one order, one after the other; the last one is given for ever
		bound error
		many  error
	}{
		"no order is taken":  {refused, nil, errNothingToBreak, errNothingToBreak},
		"no change is taken": {taken, []string{conflict}, errNothingToBreak, nil},
		"it is full":         {taken, append(slices.Repeat([]string{changed}, maxUnsent-2), busy), nil, nil},
		"it has no bound":    {taken, []string{changed}, nil, nil}, // which is told
	} {
		t.Run(name, func(t *testing.T) {
			writes := 0
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := c.place
				switch r.Method {
				case http.MethodGet:
					answer = taken
				case http.MethodPatch:
					answer = c.write[min(writes, len(c.write)-1)]
					writes++
				}
				status, body, _ := strings.Cut(answer, " ")
				n, err := strconv.Atoi(status)
				assert.NoError(t, err)
				w.WriteHeader(n)
				_, _ = w.Write([]byte(body))
			}))
			t.Cleanup(api.Close)
			b := guestsOf(t, api)
			require.ErrorIs(t, b.fillOutbox(t.Context(), nil), c.bound)
			require.ErrorIs(t, b.placeMany(t.Context(), 20), c.many)
		})
	}
}

// guestsOf gives somebody who breaks nothing but can have orders placed and read.
func guestsOf(t *testing.T, api *httptest.Server) *breaker {
	t.Helper()
	h, err := newHistory(filepath.Join(t.TempDir(), "history.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, h.close()) })
	sys := &system{stack: &stack.Stack{Broker: &stack.Broker{}}, api: api.URL, begin: time.Now()}
	return &breaker{sys: sys, load: &load{sys: sys, history: h, http: api.Client()}}
}

// An order that is slow to leave its first state is waited for, one that never does until the time has come.
func TestMoves_WaitsForWhoIsSlow(t *testing.T) {
	for name, c := range map[string]struct {
		pending int // answers that say so
		within  time.Duration
		moved   bool
	}{
		"at once": {0, 0, true},
		"slow":    {2, time.Minute, true},
		"never":   {1000, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				status := "pending"
				if asked == c.pending {
					status = "reserved"
				}
				asked++
				_, _ = w.Write([]byte(`{"id":"1","status":"` + status + `"}`))
			}))
			t.Cleanup(api.Close)
			b := guestsOf(t, api)
			require.Equal(t, c.moved, b.moves(t.Context(), "1", b.sys.since()+c.within))
		})
	}
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
