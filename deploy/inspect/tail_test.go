package inspect

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

func TestTail_IsInTheOrderOfTimeAndFiltered(t *testing.T) {
	b := newBroker(t)
	for n := range 10 {
		id := fmt.Sprintf("o-%d", n)
		b.write(record(t, events.OrderCreated, id, 1, noon.Add(time.Duration(n)*time.Second), orderSays(id)))
	}
	b.write(record(t, events.ShipmentScheduled, "o-3", 1, noon.Add(4500*time.Millisecond), scheduled("o-3")))
	garbage := record(t, events.OrderCreated, "o-3", 2, noon.Add(time.Minute), orderSays("o-3"))
	garbage.Value = []byte{0xff}
	b.write(garbage)

	tail := func(f TailFilter) (seen []string) {
		t.Helper()
		require.NoError(t, Tail(t.Context(), b.log, f, func(r *topics.Record) error {
			seen = append(seen, fmt.Sprintf("%s %s", r.Key, r.Type()))
			return nil
		}))
		return seen
	}
	require.Equal(t, []string{"o-3 order-created", "o-3 shipment-scheduled", "o-3 order-created"}, tail(TailFilter{Order: "o-3"}))
	require.Len(t, tail(TailFilter{Customer: "alice"}), 12)
	require.Empty(t, tail(TailFilter{Customer: "bob"}))
	require.Equal(t, []string{"o-3 shipment-scheduled"}, tail(TailFilter{Types: []string{"shipment-scheduled"}}))
	require.ElementsMatch(t, []string{"o-8 order-created", "o-9 order-created"},
		tail(TailFilter{From: noon.Add(8 * time.Second), Until: noon.Add(time.Minute)}))
	stop := errors.New("enough")
	require.ErrorIs(t, Tail(t.Context(), b.log, TailFilter{}, func(*topics.Record) error { return stop }), stop)
}

// Where each partition is in order, so is the whole.
func TestTail_MergesPartitions(t *testing.T) {
	b := newBroker(t)
	for n := range 300 {
		id := fmt.Sprintf("o-%d", n)
		b.write(record(t, events.OrderCreated, id, 1, noon.Add(time.Duration(n)*time.Second), orderSays(id)))
	}
	n := 0
	require.NoError(t, Tail(t.Context(), b.log, TailFilter{}, func(r *topics.Record) error {
		require.Equal(t, fmt.Sprintf("o-%d", n), string(r.Key))
		n++
		return nil
	}))
	require.Equal(t, 300, n)
}

func TestFollow_GoesOnWithWhatIsWritten(t *testing.T) {
	b := newBroker(t)
	event := func(id string) { b.write(record(t, events.OrderCreated, id, 1, noon, orderSays(id))) }
	event("old")
	follow := func(t *testing.T, f TailFilter) <-chan string {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		seen, ended := make(chan string, 1000), make(chan error, 1)
		go func() {
			ended <- Follow(ctx, b.log, f, func(r *topics.Record) error { seen <- string(r.Key); return nil })
		}()
		t.Cleanup(func() { stop(); require.ErrorIs(t, <-ended, context.Canceled) })
		return seen
	}
	t.Run("from a time on", func(t *testing.T) {
		seen := follow(t, TailFilter{From: noon})
		require.Equal(t, "old", <-seen)
		event("new")
		require.Equal(t, "new", <-seen)
	})
	t.Run("only what is new", func(t *testing.T) {
		seen := follow(t, TailFilter{})
		// Nobody can tell when it has begun, so it is written again until it is seen.
		require.Eventually(t, func() bool { event("newer"); return len(seen) > 0 }, 30*time.Second, 50*time.Millisecond)
		require.Equal(t, "newer", <-seen)
	})
}
