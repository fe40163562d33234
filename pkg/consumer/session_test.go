package consumer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// assignment is a session of sarama's that only notes what is marked.
type assignment struct {
	sarama.ConsumerGroupSession
	ctx   context.Context //nolint:containedctx // sarama keeps one, too
	marks map[topicPartition]int64
}

func (a *assignment) Context() context.Context { return a.ctx }

func (a *assignment) MarkOffset(topic string, partition int32, offset int64, _ string) {
	a.marks[topicPartition{topic, partition}] = offset
}

// deaf is a broker that answers only when the client has given up.
type deaf struct{}

func (deaf) SendAll(ctx context.Context, ms []*kafka.Message) []error {
	<-ctx.Done()
	return slices.Repeat([]error{ctx.Err()}, len(ms))
}

// TestSession_UnwrittenDeadLettersHoldUpNobodyElse: a broker that takes no dead letters costs the others one handler
// time-out, however many partitions have one, and the records are tried again.
func TestSession_UnwrittenDeadLettersHoldUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("garbage")
		g := &Group{
			config: Config{Group: "g", Topics: []string{"orders"}}.withDefaults(), producer: deaf{},
			log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil),
			handler: func(_ context.Context, batch []*Record) []error {
				outcomes := make([]error, len(batch))
				for i, r := range batch {
					if string(r.Value) == "bad" {
						outcomes[i] = Permanent(bad)
					}
				}
				return outcomes
			},
		}
		a := &assignment{ctx: t.Context(), marks: map[topicPartition]int64{}}
		s := newSession(g, a)
		for p, value := range []string{"bad", "bad", "good"} {
			claim := s.add(topicPartition{"orders", int32(p)})
			require.True(t, s.push(claim, &sarama.ConsumerMessage{Topic: "orders", Partition: int32(p), Value: []byte(value)}))
		}
		batch, _ := s.collect(time.Now())
		require.Len(t, batch, 3)
		begun := time.Now()
		s.runOnce(a.ctx, batch)
		require.Equal(t, g.config.HandlerTimeout, time.Since(begun))
		require.Equal(t, map[topicPartition]int64{{"orders", 2}: 1}, a.marks)
		for p := range int32(2) {
			require.Len(t, s.partitions[topicPartition{"orders", p}].queue, 1, "it is tried again")
		}
	})
}

// growing is a log that nobody can read on.
type growing struct{ end int64 }

func (g *growing) GetOffset(string, int32, int64) (int64, error) {
	g.end += 1000
	return g.end, nil
}

// TestSession_TheLagOfAFullPartitionGrowsWithItsLog: as when the database is away for an hour.
func TestSession_TheLagOfAFullPartitionGrowsWithItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		g := &Group{config: Config{Group: "g"}.withDefaults(), log: slog.New(slog.DiscardHandler), metrics: newMetrics(reg)}
		ctx, stop := context.WithCancel(t.Context())
		s := newSession(g, &assignment{ctx: ctx})
		g.session.Store(s)
		fill := func(partition int32, records int) {
			p := s.add(topicPartition{"orders", partition})
			for offset := range int64(records) {
				s.behind(p, offset, offset+1)
				require.True(t, s.push(p, &sarama.ConsumerMessage{Topic: "orders", Partition: partition, Offset: offset}))
			}
		}
		fill(0, maxQueued)
		fill(1, 3)
		log := &growing{end: maxQueued}
		go g.watchEnds(ctx, log)
		lags := func() map[string]float64 {
			families, err := reg.Gather()
			require.NoError(t, err)
			found := map[string]float64{}
			for _, f := range families {
				if f.GetName() != "consumer_lag_records" {
					continue
				}
				for _, m := range f.GetMetric() {
					found[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
			return found
		}
		for round := range 3 {
			time.Sleep(endsEvery + time.Second)
			require.Equal(t, map[string]float64{"0": float64(maxQueued + 1000*(round+1)), "1": 3}, lags(), "1 is read on, and knows")
		}

		stop()
		s.forget()
		s.moveEnd(s.partitions[topicPartition{"orders", 0}], 9999)
		require.Empty(t, lags(), "they are another's")
	})
}

// morgue is a broker that takes a round trip for whatever comes together, and may refuse a letter.
type morgue struct {
	letters []string // coordinates, in the order of the log
	refuses string
}

const roundTrip = 5 * time.Millisecond

func (m *morgue) SendAll(_ context.Context, ms []*kafka.Message) []error {
	time.Sleep(roundTrip)
	outcomes := make([]error, len(ms))
	for i, letter := range ms {
		at := coordinatesOf(letter)
		if at == m.refuses {
			outcomes[i] = errors.New("refused")
			continue
		}
		m.letters = append(m.letters, at)
	}
	return outcomes
}

// TestSession_ABurstOfDeadLettersTakesOneRoundTrip: they are written together, each partition's in order. Where one is
// not written its partition waits there, and what is written already is not written again.
func TestSession_ABurstOfDeadLettersTakesOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &morgue{refuses: "1@2"}
		g := &Group{
			config: Config{Group: "g", Topics: []string{"orders"}}.withDefaults(), producer: broker,
			log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil),
			handler: func(_ context.Context, batch []*Record) []error {
				outcomes := make([]error, len(batch))
				for i, r := range batch {
					switch string(r.Value) {
					case "bad":
						outcomes[i] = Permanent(errors.New("garbage"))
					case "later":
						outcomes[i] = errAway
					}
				}
				return outcomes
			},
		}
		a := &assignment{ctx: t.Context(), marks: map[topicPartition]int64{}}
		s := newSession(g, a)
		push := func(p int32, values ...string) {
			claim := s.add(topicPartition{"orders", p})
			for offset, value := range values {
				require.True(t, s.push(claim, &sarama.ConsumerMessage{Topic: "orders", Partition: p, Offset: int64(offset), Value: []byte(value)}))
			}
		}
		push(0, slices.Repeat([]string{"bad"}, 200)...)
		push(1, "bad", "good", "bad", "bad", "good")
		push(2, "bad", "later", "bad")
		push(3, "good")

		batch, _ := s.collect(time.Now())
		begun := time.Now()
		s.runOnce(a.ctx, batch)
		require.Equal(t, roundTrip, time.Since(begun))
		require.Equal(t, map[topicPartition]int64{{"orders", 0}: 200, {"orders", 1}: 2, {"orders", 2}: 1, {"orders", 3}: 1}, a.marks)
		var want []string
		for offset := range 200 {
			want = append(want, coordinates(0, int64(offset)))
		}
		want = append(want, "1@0", "1@3", "2@0")
		require.ElementsMatch(t, want, broker.letters, "none of partition 2 behind what is tried again")
		require.Equal(t, want[:200], slices.DeleteFunc(slices.Clone(broker.letters), func(at string) bool { return at[0] != '0' }))

		broker.refuses, broker.letters = "", nil
		s.settle(a.ctx, []share{{topicPartition{"orders", 1}, 3}}, s.handle(a.ctx, []share{{topicPartition{"orders", 1}, 3}}))
		require.EqualValues(t, 5, a.marks[topicPartition{"orders", 1}])
		require.Equal(t, []string{"1@2"}, broker.letters)
	})
}

// TestSession_ABatchHasItsTimeAndNoMore: a handler gets its time-out, and no more than the grace once its session has
// ended, however long it would go on; what it finished by then is marked, what it did not is tried again.
func TestSession_ABatchHasItsTimeAndNoMore(t *testing.T) {
	for name, tc := range map[string]struct {
		ends   time.Duration // of the session, after the batch's begin
		within time.Duration // has the process to end
		want   time.Duration
	}{
		"the session goes on":       {ends: time.Hour, want: 8 * time.Second},
		"it ends meanwhile":         {ends: time.Second, want: 3 * time.Second},
		"it ends at the last":       {ends: 7 * time.Second, want: 8 * time.Second},
		"it has little grace":       {ends: time.Second, within: 2400 * time.Millisecond, want: 1600 * time.Millisecond},
		"there is more than enough": {ends: time.Second, within: 20 * time.Second, want: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &Group{
					config: Config{Group: "g", Topics: []string{"orders"}, Within: tc.within}.withDefaults(), producer: deaf{},
					log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil),
					handler: func(ctx context.Context, batch []*Record) []error {
						<-ctx.Done()
						return []error{nil, ctx.Err()}
					},
				}
				ctx, end := context.WithTimeout(t.Context(), tc.ends)
				defer end()
				a := &assignment{ctx: ctx, marks: map[topicPartition]int64{}}
				s := newSession(g, a)
				claim := s.add(topicPartition{"orders", 0})
				for offset := range int64(2) {
					require.True(t, s.push(claim, &sarama.ConsumerMessage{Topic: "orders", Offset: offset}))
				}
				batch, _ := s.collect(time.Now())
				begun := time.Now()
				s.runOnce(ctx, batch)
				require.Equal(t, tc.want, time.Since(begun))
				require.Equal(t, map[topicPartition]int64{{"orders", 0}: 1}, a.marks)
				require.Len(t, claim.queue, 1)
			})
		})
	}
}

// TestSession_APartitionHoldsBoundedMemory: what is read ahead of a handler that hangs is bounded in records and bytes,
// headers included, and one record of any size fits.
func TestSession_APartitionHoldsBoundedMemory(t *testing.T) {
	header := &sarama.RecordHeader{Key: []byte("traceparent"), Value: make([]byte, 1000)}
	for name, m := range map[string]sarama.ConsumerMessage{
		"small":        {Value: []byte("x")},
		"large":        {Value: make([]byte, 100<<10)},
		"larger":       {Value: make([]byte, 3*maxQueuedBytes)},
		"only headers": {Headers: []*sarama.RecordHeader{header, header, header, header}},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		g := &Group{config: Config{Group: "g"}.withDefaults(), metrics: newMetrics(nil)}
		s := newSession(g, &assignment{ctx: ctx})
		p := s.add(topicPartition{"orders", 0})
		for !p.full() {
			require.True(t, s.push(p, &m), name)
		}
		one := p.queue[0].size()
		require.LessOrEqual(t, len(p.queue), maxQueued, name)
		require.Less(t, p.bytes, maxQueuedBytes+one, name)
		require.Greater(t, one, len(m.Value)+1000*len(m.Headers), name)
		cancel()
		require.False(t, s.push(p, &m), "%s: the claim waits, and ends with its session", name)
	}
}
