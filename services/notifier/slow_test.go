package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/reflect/protoreflect"

	events "github.com/orderwire/orderwire/proto-events"
)

// bulky publishes events of an order with these sequences, and a long note each.
func (w *world) bulky(order, customer string, from, to int) {
	w.t.Helper()
	e, err := decodeRecord(record(w.t, events.OrderUpdated, order, customer, 1))
	require.NoError(w.t, err)
	var records []*kgo.Record
	for i := from; i <= to; i++ {
		e.ID, e.Sequence = uuid.NewString(), int64(i)
		m := e.Data.ProtoReflect()
		m.Set(m.Descriptor().Fields().ByName("note"), protoreflect.ValueOfString(strings.Repeat("x", 64<<10)))
		records = append(records, encodeRecord(w.t, e))
	}
	w.produce(records...)
}

// A client that reads slowly overflows its queue: the queue is dropped, not the client, and it has everything in the
// end. The others notice nothing.
func TestSlow_AClientCatchesUpFromTheLog(t *testing.T) {
	w := fake(t)
	n := w.start()
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	slow := n.open(token, nil)
	defer slow.CloseNow() //nolint:errcheck // it may have ended
	other := n.dial(token, nil)
	other.untilType("notifier.subscribed")

	const events = 300 // some 20 MB: far more than a queue and the buffers of a connection
	const first = 20   // these are sent, though not read
	w.bulky(order, alice, 1, first)
	other.untilEvents(first)
	w.bulky(order, alice, first+1, events)
	require.Len(t, other.untilEvents(events), events)
	require.NotContains(t, n.metrics(), "notifier_queue_overflows_total 0", "the test must meet an overflow")

	next := 1
	for next <= events {
		_, raw, err := slow.Read(t.Context())
		require.NoError(t, err)
		var m message
		require.NoError(t, json.Unmarshal(raw, &m))
		if m.own() {
			continue
		}
		require.Equal(t, fmt.Sprintf("%010d", next), m.Sequence, "in order, exactly once")
		next++
	}
}

// Who reads the whole log makes way for others again and again, and misses nothing by it.
func TestCatchUp_ManyTakeTurnsInOneSlot(t *testing.T) {
	w := fake(t)
	n := w.start("CATCHUP_SLOTS=1", "CATCHUP_TURN=1ms", "CATCHUP_WAIT=1m")
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	const events = 150 // of 64 kB, in pieces of 256 kB
	witness := n.dial(token, nil)
	witness.untilType("notifier.subscribed")
	w.bulky(order, alice, 1, events)
	witness.untilEvents(events)

	clients := make([]*client, 4)
	for i := range clients {
		clients[i] = n.dial(token, url.Values{"after": {"earliest"}})
	}
	for _, c := range clients {
		c.untilType("notifier.caught-up")
		require.Equal(t, told(witness.seen()), told(c.seen()), "in order, exactly once")
	}
}

// One that reads nothing at all is given up, and can resume.
func TestSlow_AClientThatReadsNothingIsGivenUp(t *testing.T) {
	w := fake(t)
	n := w.start("SLOW_CLIENT_TIMEOUT=1s")
	alice, order := someone(), uuid.NewString()
	token := w.token(alice)
	stuck := n.open(token, nil)
	defer stuck.CloseNow() //nolint:errcheck // it may have ended
	w.bulky(order, alice, 1, 300)
	require.Eventually(t, func() bool {
		return contains(n.metrics(), `notifier_connections_closed_total{code="4508",transport="websocket"} 1`)
	}, patience, 20*time.Millisecond)

	var last message
	for {
		kind, raw, err := stuck.Read(t.Context())
		if err != nil {
			break
		}
		require.Equal(t, websocket.MessageText, kind)
		require.NoError(t, json.Unmarshal(raw, &last))
	}
	rest := n.dial(token, url.Values{"after": {last.Cursor}})
	rest.until("the last event", func(all []message) bool {
		return len(all) > 0 && len(told(all)) > 0 && all[len(all)-1].Type == "notifier.caught-up"
	})
	require.Len(t, told(rest.seen()), 300-len0(last.Sequence))
}
