package feed

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// A slot is for one client at a time: others wait a little, and are told that there is none.
func TestHistory_HasSoManySlotsAndNoMore(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, cursor.Topics[:]...))
	require.NoError(t, err)
	defer cluster.Close()
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	h := NewHistory(Config{CatchUpSlots: 1, CatchUpWait: 20 * time.Millisecond}, conf, "test", NewSequencer(NewMetrics(nil)), slog.New(slog.DiscardHandler), NewMetrics(nil))
	first, err := h.Open(t.Context(), "")
	require.NoError(t, err)
	_, err = h.Open(t.Context(), "")
	require.ErrorIs(t, err, ErrBusy)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = h.Open(gone, "")
	require.Error(t, err)
	_, _, err = first.Bridge(t.Context(), cursor.Cursor{})
	require.ErrorIs(t, err, ErrNotStarted)

	reader := first.reader
	first.Close()
	second, err := h.Open(t.Context(), "")
	require.NoError(t, err)
	require.Same(t, reader, second.reader, "its connections are used again")
	second.broken = true
	second.Close()
	third, err := h.Open(t.Context(), "")
	require.NoError(t, err)
	require.NotSame(t, reader, third.reader, "but not those of a reader that failed")
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, h.Close(short), context.DeadlineExceeded, "one still reads")
	third.Close()
	require.NoError(t, h.Close(t.Context()))
}

// However many connections a customer has, there is a slot for others; those that wait have their turn.
func TestHistory_NobodyHasAllSlots(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, cursor.Topics[:]...))
	require.NoError(t, err)
	defer cluster.Close()
	const wait = 20 * time.Millisecond
	h := NewHistory(Config{CatchUpSlots: 4, CatchUpWait: wait}, kafka.Config{Brokers: cluster.ListenAddrs()}, "test",
		NewSequencer(NewMetrics(nil)), slog.New(slog.DiscardHandler), NewMetrics(nil))
	open := func(customer string) *Reading {
		t.Helper()
		r, err := h.Open(t.Context(), customer)
		require.NoError(t, err)
		return r
	}
	greedy := []*Reading{open("greedy"), open("greedy")}
	_, err = h.Open(t.Context(), "greedy")
	require.ErrorIs(t, err, ErrBusy)
	others := []*Reading{open("alice"), open("bob")}
	_, err = h.Open(t.Context(), "carol")
	require.ErrorIs(t, err, ErrBusy, "all are taken")

	greedy[0].Close()
	greedy[0] = open("greedy")
	for _, r := range slices.Concat(greedy, others) {
		r.Close()
	}
	var operators []*Reading
	for range 4 {
		operators = append(operators, open(""))
	}
	for _, r := range operators {
		r.Close()
	}
	require.Empty(t, h.shares, "nobody is remembered")
	require.NoError(t, h.Close(t.Context()))
}

func TestHistory_WithoutABrokerASlotIsNotLost(t *testing.T) {
	h := NewHistory(Config{CatchUpSlots: 1, CatchUpWait: time.Second}, kafka.Config{Brokers: []string{"127.0.0.1:1"}}, "test",
		NewSequencer(NewMetrics(nil)), slog.New(slog.DiscardHandler), NewMetrics(nil))
	for range 2 {
		_, err := h.Open(t.Context(), "")
		require.ErrorContains(t, err, "connect to Kafka")
	}
	require.Empty(t, h.shares)
	require.NoError(t, h.Close(t.Context()))
}

// Who is slow to take what was read keeps it meanwhile: that must not be all that lay in one answer of the broker.
func TestHistory_GivesALittleAtATime(t *testing.T) {
	for name, c := range map[string]struct{ records, size, calls int }{
		"many":  {3*mostSteps + 1, 10, 4},
		"large": {5, mostStepBytes/2 + 1, 3},
		"none":  {0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Reading{h: &History{metrics: NewMetrics(nil)}}
			chunk := kafka.Chunk{Partition: kafka.Partition{Topic: cursor.Topics[1], Number: 2}, Next: 1000}
			for n := range c.records {
				chunk.Records = append(chunk.Records, kafka.Record{Offset: int64(n), Value: make([]byte, c.size)})
			}
			var calls int
			var next []int64
			require.NoError(t, r.give(chunk, 900, func(steps []Step) error {
				calls++
				require.LessOrEqual(t, cap(steps), 2*mostSteps, "no more is kept with it")
				for _, s := range steps {
					require.Equal(t, []int{1, 2}, []int{s.Topic, s.Partition})
					next = append(next, s.Next)
				}
				return nil
			}))
			require.Equal(t, c.calls, calls)
			require.Len(t, next, c.records+1)
			require.IsIncreasing(t, next)
			require.Equal(t, int64(900), next[c.records], "up to the end, not beyond")
		})
	}
}
