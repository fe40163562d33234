package age

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

const (
	pending = eventspb.OrderStatus_ORDER_STATUS_PENDING
	shipped = eventspb.OrderStatus_ORDER_STATUS_SHIPPED
)

// shelf answers as the database would, and counts.
type shelf struct {
	mu    sync.Mutex
	since map[order.Status]time.Time
	err   error
	asked int
}

func (s *shelf) WaitingSince(_ context.Context, status order.Status) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.since[status], s.err
}

func (s *shelf) answer(since map[order.Status]time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.err = since, err
}

func (s *shelf) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func TestMeter_AsksEvery15SecondsAndAgesOnWithoutTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{since: map[order.Status]time.Time{pending: time.Now().Add(-time.Minute)}}
		m := New(s, []order.Status{pending, shipped}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		age := func(status string) time.Duration {
			return time.Duration(testutil.ToFloat64(m.oldest.WithLabelValues(status)) * float64(time.Second)).Round(time.Second)
		}
		synctest.Wait()
		require.Equal(t, time.Minute, age("pending"))
		require.Zero(t, age("shipped"), "none is")
		require.Equal(t, 2, s.times())

		time.Sleep(every - time.Second)
		synctest.Wait()
		require.Equal(t, 2, s.times(), "not before its time")

		s.answer(nil, errors.New("the database is away"))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 4, s.times())
		require.Equal(t, time.Minute+every, age("pending"))

		s.answer(nil, nil)
		time.Sleep(every)
		synctest.Wait()
		require.Zero(t, age("pending"), "it went on")
		cancel()
		require.NoError(t, <-done)
	})
}
