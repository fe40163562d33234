package feed

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

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

// Who has read for a turn is over when somebody waits who may have the slot, and not before.
func TestHistory_ATurnIsOverWhenOthersWait(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, cursor.Topics[:]...))
	require.NoError(t, err)
	defer cluster.Close()
	const wait = time.Millisecond
	h := NewHistory(Config{CatchUpSlots: 1, CatchUpWait: wait, CatchUpTurn: time.Hour}, kafka.Config{Brokers: cluster.ListenAddrs()}, "test",
		NewSequencer(NewMetrics(nil)), slog.New(slog.DiscardHandler), NewMetrics(nil))
	first, err := h.Open(t.Context(), "alice")
	require.NoError(t, err)
	first.since = first.since.Add(-time.Hour)
	require.False(t, first.IsOver(), "nobody waits")
	second := make(chan *Reading)
	go func() {
		r, err := h.OpenWhenFree(t.Context(), "bob")
		assert.NoError(t, err)
		second <- r
	}()
	require.Eventually(t, first.IsOver, 10*time.Second, wait)
	first.since = time.Now()
	require.False(t, first.IsOver(), "its turn has just begun")
	time.Sleep(2 * wait) // longer than a new client would wait
	first.Close()
	(<-second).Close()
	require.Empty(t, h.shares)
	require.NoError(t, h.Close(t.Context()))
}

// What a client refused is the end of a read: the answers of other brokers that wait for their turn are not given, or
// what was refused, which is kept, would be lost.
func TestHistory_NothingIsGivenAfterARefusal(t *testing.T) {
	const partitions = 4
	cluster, err := kfake.NewCluster(kfake.NumBrokers(4), kfake.SeedTopics(partitions, cursor.Topics[:]...))
	require.NoError(t, err)
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	to := cursor.Position{}
	for topic, name := range cursor.Topics {
		for p := range partitions {
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: name, Partition: int32(p), Value: []byte("x")}).FirstErr())
			to[topic] = append(to[topic], 1)
		}
	}
	reader, err := kafka.NewReader(kafka.Config{Brokers: cluster.ListenAddrs()}, "test", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	r := &Reading{h: &History{metrics: NewMetrics(nil)}, reader: reader}
	refusal := errors.New("too slow")
	calls := 0
	err = r.Read(t.Context(), cursor.Position{}, to, func([]Step) error {
		calls++
		time.Sleep(300 * time.Millisecond) // by then the others have answered, too
		return refusal
	})
	require.ErrorIs(t, err, refusal)
	require.Equal(t, 1, calls)
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
