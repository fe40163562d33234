package feed

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// logs are two topics of three partitions, with records in partition 0 of the first one, and a reader of them.
func logs(t *testing.T, records int) (conf kafka.Config, reader *kafka.Reader) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, cursor.Topics[:]...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	for range records {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: cursor.Topics[0], Value: []byte("x")}).FirstErr())
	}
	conf = kafka.Config{Brokers: cluster.ListenAddrs()}
	reader, err = kafka.NewReader(conf, "test", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reader.Close()) })
	return conf, reader
}

// atEnds gives the position at the ends of the logs.
func atEnds(t *testing.T, reader *kafka.Reader) (shape, cursor.Cursor) {
	t.Helper()
	s, err := look(t.Context(), reader)
	require.NoError(t, err)
	newest, err := reader.Offsets(t.Context(), s.partitions(), kafka.Newest)
	require.NoError(t, err)
	return s, cursor.Cursor{Lineage: s.lineage, Next: s.position(newest)}
}

// A cursor may know partitions that this instance has not seen yet, but none that the topic does not have.
func TestWiden_BelievesInPartitionsThatAreThere(t *testing.T) {
	_, reader := logs(t, 1)
	s, at := atEnds(t, reader)
	behind := s // an instance that looked when there was one partition
	behind.counts[0] = 1

	wide, err := widen(t.Context(), reader, behind, at)
	require.NoError(t, err)
	require.Equal(t, s, wide)
	to, gaps, err := bridge(t.Context(), reader, wide, at, cursor.Position{})
	require.NoError(t, err)
	require.Empty(t, gaps)
	require.Equal(t, at, to)

	for _, beyond := range []int{1, 4096 - 3} {
		hostile := cursor.Cursor{Lineage: at.Lineage, Next: at.Next.Clone()}
		hostile.Next[0] = append(hostile.Next[0], make([]int64, beyond)...)
		for _, now := range []shape{s, behind} {
			_, err = widen(t.Context(), reader, now, hostile)
			require.ErrorIs(t, err, ErrNoPartition)
		}
		hostile.Lineage[0]++ // of a log that is gone: its partitions are left out, as ever
		_, err = widen(t.Context(), reader, s, hostile)
		require.NoError(t, err)
	}
}

// live gives a Live whose sequencer is at a position, and what it has logged.
func live(t *testing.T, conf kafka.Config, at cursor.Cursor) (*Live, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	m := NewMetrics(nil)
	seq := NewSequencer(m)
	seq.Start(at, nil)
	return NewLive(Config{RefreshInterval: 10 * time.Millisecond}, conf, "test", seq, slog.New(slog.NewTextHandler(&log, nil)), m), &log
}

// A leader that was just elected may name an end before what was read of the log; only a fetch tells that it was cut.
func TestLive_AnEndThatIsTooLowIsNoGap(t *testing.T) {
	conf, reader := logs(t, 2)
	_, at := atEnds(t, reader)
	at.Next[0][0] += 5
	l, log := live(t, conf, at)
	from, err := l.begin(t.Context(), reader, nil)
	require.NoError(t, err)
	require.Equal(t, at, from)
	require.Empty(t, log.String())

	var cut *kafka.OutOfRangeError
	require.ErrorAs(t, l.read(t.Context(), reader, from), &cut)
	from, err = l.begin(t.Context(), reader, cut)
	require.NoError(t, err)
	require.EqualValues(t, 2, from.Next[0][0])
	require.Contains(t, log.String(), "reason=truncated from=7 to=2")
}

// That the topics have changed is told as such, and not as the end of a context.
func TestLive_SaysThatTheTopicsHaveChanged(t *testing.T) {
	conf, reader := logs(t, 0)
	_, at := atEnds(t, reader)
	l, _ := live(t, conf, at)
	was := cursor.Cursor{Lineage: at.Lineage, Next: at.Next.Clone()}
	was.Next[1] = was.Next[1][:2] // what it knows: two partitions
	require.ErrorIs(t, l.read(t.Context(), reader, was), errChanged)

	ending, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.read(ending, reader, at), context.Canceled)
}

// What is to be read up to an end that the log has lost would be waited for in vain.
func TestHistory_DoesNotWaitForWhatTheLogHasLost(t *testing.T) {
	conf, reader := logs(t, 2)
	_, at := atEnds(t, reader)
	h := NewHistory(Config{CatchUpSlots: 1, CatchUpWait: time.Second}, conf, "test", NewSequencer(NewMetrics(nil)), slog.New(slog.DiscardHandler), NewMetrics(nil))
	r, err := h.Open(t.Context(), "")
	require.NoError(t, err)
	defer func() { r.Close(); require.NoError(t, h.Close(context.Background())) }()
	from := cursor.Position{{0, 0, 0}, {0, 0, 0}}
	lost := at.Next.Clone()
	lost[0][0] += 3
	read := 0
	count := func(steps []Step) error { read = int(steps[len(steps)-1].Next); return nil }
	var cut *kafka.OutOfRangeError
	require.ErrorAs(t, r.read(t.Context(), from, lost, time.Millisecond, count), &cut)
	require.Equal(t, 2, read, "what there is was read")
	require.EqualValues(t, 2, cut.Offset)
	require.NoError(t, r.read(t.Context(), from, at.Next, time.Millisecond, count))
}
