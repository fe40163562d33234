package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// absent is a broker that is away, until it is back.
type absent struct {
	mu       sync.Mutex
	isBack   bool
	tries    map[string]int
	received []string
}

func (b *absent) Publish(m *kafka.Message, done func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries[m.Key]++
	if !b.isBack {
		go done(errors.New("no answer"))
		return
	}
	b.received = append(b.received, string(m.Value))
	go done(nil)
}

func (b *absent) comesBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isBack = true
}

// TestRelay_WaitsForABrokerForAsLongAsItTakes: with the broker away for an hour an entry is tried again and again, ever
// more rarely up to every five seconds, and others do not take its turn; once the broker is back all go out, in order,
// within the longest pause.
func TestRelay_WaitsForABrokerForAsLongAsItTakes(t *testing.T) {
	coll := unasked(t)
	synctest.Test(t, func(t *testing.T) {
		const lanes, entries = 20, 3
		broker := &absent{tries: map[string]int{}}
		r := NewRelay(coll, broker, quiet, nil)
		stop := startSending(t, r)
		for i := range lanes {
			id := fmt.Sprint("doc-", i)
			var view []Entry
			for n := range int64(entries) {
				view = append(view, Entry{ID: fmt.Sprint(id, n), Topic: "x", Key: id, Sequence: n + 1, Body: fmt.Appendf(nil, "%s/%d", id, n+1)})
			}
			r.Offer(id, nil, view)
		}
		const away = time.Hour
		time.Sleep(away)
		synctest.Wait()
		longest := 5 * time.Second
		for key, n := range broker.tries {
			require.GreaterOrEqual(t, n, int(away/longest), key)
			require.LessOrEqual(t, n, int(away/(longest/2))+10, key)
		}
		broker.comesBack()
		time.Sleep(longest + time.Second)
		synctest.Wait()
		require.Len(t, broker.received, lanes*entries)
		at := map[string]int{}
		for _, body := range broker.received {
			var doc, n int
			_, err := fmt.Sscanf(body, "doc-%d/%d", &doc, &n)
			require.NoError(t, err)
			key := fmt.Sprint(doc)
			require.Equal(t, at[key]+1, n, "in order")
			at[key] = n
		}
		stop()
	})
}

// TestPause_PartsThoseInConflict: no two that met wait for the same time, and none for longer than a tenth of a second.
func TestPause_PartsThoseInConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := map[time.Duration]bool{}
		for range 50 {
			begun := time.Now()
			require.NoError(t, pause(t.Context(), 30))
			waits[time.Since(begun)] = true
			require.LessOrEqual(t, time.Since(begun), 100*time.Millisecond)
		}
		require.Greater(t, len(waits), 40)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, pause(ctx, 30), context.Canceled)
	})
}
