package dlq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const within = 30 * time.Second

// service is a consumer that takes each sequence of an order once, as the real ones do, and gives up what it was told to.
type service struct {
	name    string
	mu      sync.Mutex
	givesUp map[string]bool // by order
	seen    map[string]int64
	effects []string // order and sequence, of what was taken in
	handled int
}

func (s *service) handle(_ context.Context, batch []*consumer.Record) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	outcomes := make([]error, len(batch))
	for i, r := range batch {
		s.handled++
		e, err := events.Decode(r.Header, r.Key, r.Value)
		switch {
		case err != nil:
			outcomes[i] = consumer.Permanent(err)
		case e.Sequence <= s.seen[e.Subject]:
		case s.givesUp[e.Subject]:
			outcomes[i] = consumer.Permanent(errors.New("Cannot Be"))
		default:
			s.seen[e.Subject] = e.Sequence
			s.effects = append(s.effects, fmt.Sprintf("%s %d", e.Subject, e.Sequence))
		}
	}
	return outcomes
}

func (s *service) mend(order string, mended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.givesUp[order] = !mended
}

func (s *service) look() (effects []string, handled int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.effects), s.handled
}

// world is a broker, a producer and two services on one topic.
type world struct {
	t        *testing.T
	conf     kafka.Config
	producer *kafka.Producer
	log      *topics.Log
	services map[string]*service
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := &world{t: t, services: map[string]*service{}, conf: kafka.Config{
		Brokers: cluster.ListenAddrs(), TopicPartitions: 3, TopicReplication: 1, TopicMinISR: 1, TopicRetention: time.Hour,
	}}
	discard := slog.New(slog.DiscardHandler)
	names := []string{"inventory", "billing"}
	var manual []string
	wanted := w.conf.Topics(events.TopicOrders)
	group := func(name string) consumer.Config {
		return consumer.Config{Group: name, Topics: []string{events.TopicOrders}}
	}
	for _, name := range names {
		wanted = append(wanted, consumer.AllTopics(w.conf, group(name))...)
		manual = append(manual, consumer.ManualTopics(group(name))...)
	}
	require.NoError(t, kafka.EnsureTopics(t.Context(), w.conf, "test", discard, wanted...))
	w.producer, err = kafka.NewProducer(w.conf, "test", manual, discard, nil)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	run := func(part func(context.Context) error) {
		running.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); running.Wait() })
	run(w.producer.Run)
	for _, name := range names {
		s := &service{name: name, givesUp: map[string]bool{}, seen: map[string]int64{}}
		w.services[name] = s
		member, err := consumer.New(w.conf, group(name), s.handle, w.producer, discard, nil)
		require.NoError(t, err)
		run(member.Run)
		require.Eventually(t, func() bool { return member.Joined(ctx) == nil }, within, 10*time.Millisecond)
	}
	w.log, err = topics.Open(w.conf)
	require.NoError(t, err)
	t.Cleanup(w.log.Close)
	return w
}

func (w *world) publish(order string, sequence int64) {
	w.t.Helper()
	headers, body, err := events.Encode(&events.Event{
		ID: "e", Type: events.OrderUpdated, Subject: order, Time: time.Now(), Sequence: sequence, Customer: "alice",
		Data: &eventspb.Order{Id: order, CustomerId: "alice"},
	})
	require.NoError(w.t, err)
	m := &kafka.Message{Topic: events.TopicOrders, Key: order, Value: body}
	for _, h := range headers {
		m.Headers = append(m.Headers, kafka.Header(h))
	}
	require.NoError(w.t, w.producer.Send(w.t.Context(), m))
}

// awaitLetters reads the box until f picks n of them.
func (w *world) awaitLetters(f Filter, n int) (*Box, []*Letter) {
	w.t.Helper()
	var (
		box   *Box
		found []*Letter
	)
	require.Eventually(w.t, func() bool {
		var err error
		box, err = Read(w.t.Context(), w.log)
		require.NoError(w.t, err)
		found = box.List(f, false)
		return len(found) == n
	}, within, 20*time.Millisecond)
	return box, found
}

func (w *world) awaitHandled(s *service, n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { _, handled := s.look(); return handled == n }, within, 10*time.Millisecond)
}

func (w *world) end(topic string) (n int64) {
	bounds, err := w.log.Bounds(w.t.Context(), topic)
	require.NoError(w.t, err)
	for _, r := range bounds[topic] {
		n += r.End
	}
	return n
}

// What was mended takes effect, in sequence, once; whoever else reads the topic sees none of it.
func TestRedrive_TakesEffectOnceAndAtItsConsumerOnly(t *testing.T) {
	w := newWorld(t)
	inventory, billing := w.services["inventory"], w.services["billing"]
	inventory.mend("o-1", false)
	inventory.mend("o-2", false)
	w.publish("o-1", 1)
	w.publish("o-1", 2)
	w.publish("o-2", 1)
	w.publish("o-3", 1)
	box, found := w.awaitLetters(Filter{Order: "o-1"}, 2)
	require.Empty(t, box.List(Filter{Consumer: "billing"}, true))
	w.awaitHandled(billing, 4)
	written := w.end(events.TopicOrders)

	// One of an order's letters is named; all of them go, in sequence.
	inventory.mend("o-1", true)
	var told []int64
	chosen := box.WithTheirOrders(found[1:])
	require.Len(t, chosen, 2)
	redriveAll := func(letters []*Letter) {
		t.Helper()
		require.NoError(t, Redrive(t.Context(), w.conf, w.log, letters, "mended", func(l *Letter) { told = append(told, l.Sequence) }))
	}
	redriveAll(chosen)
	require.Equal(t, []int64{1, 2}, told)
	w.awaitHandled(inventory, 6)
	effects, _ := inventory.look()
	require.ElementsMatch(t, []string{"o-3 1", "o-1 1", "o-1 2"}, effects)
	require.Less(t, slices.Index(effects, "o-1 1"), slices.Index(effects, "o-1 2"))

	// It is remembered.
	box, _ = w.awaitLetters(Filter{}, 1)
	require.Empty(t, box.List(Filter{Order: "o-1"}, false))
	settled := box.List(Filter{Order: "o-1"}, true)
	require.Len(t, settled, 2)
	for _, l := range settled {
		require.Equal(t, Redriven, l.State)
		require.Equal(t, "mended", l.Reason)
		require.NotNil(t, l.Settled)
		require.Equal(t, 1, l.Tries)
	}

	// Handed back once more in spite of that, as after a crash before the mark, it has no effect.
	redriveAll(settled)
	w.awaitHandled(inventory, 8)
	again, _ := inventory.look()
	require.Equal(t, effects, again)

	_, handled := billing.look()
	require.Equal(t, 4, handled, "another consumer")
	require.Equal(t, written, w.end(events.TopicOrders), "what watchers read")
}

// A letter that fails again is open again, and is the same letter.
func TestRedrive_WhatFailsAgainIsOpenAgain(t *testing.T) {
	w := newWorld(t)
	inventory := w.services["inventory"]
	inventory.mend("o-1", false)
	w.publish("o-1", 1)
	_, found := w.awaitLetters(Filter{}, 1)
	require.NoError(t, Redrive(t.Context(), w.conf, w.log, found, "", func(*Letter) {}))
	w.awaitHandled(inventory, 2)
	require.Eventually(t, func() bool {
		box, err := Read(t.Context(), w.log)
		require.NoError(t, err)
		open := box.List(Filter{}, false)
		return len(open) == 1 && open[0].ID == found[0].ID && open[0].Tries == 2
	}, within, 20*time.Millisecond)
}

func TestDiscard_IsRememberedAndHandsNothingBack(t *testing.T) {
	w := newWorld(t)
	inventory := w.services["inventory"]
	inventory.mend("o-1", false)
	w.publish("o-1", 1)
	_, found := w.awaitLetters(Filter{Topic: events.TopicOrders, Consumer: "inventory", Error: "cannot be", NewerThan: time.Hour}, 1)
	for _, none := range []Filter{{Topic: "other"}, {Consumer: "billing"}, {Order: "o-2"}, {Error: "else"}, {OlderThan: time.Hour}, {IDs: []ID{{}}}} {
		box, _ := w.awaitLetters(Filter{}, 1)
		require.Empty(t, box.List(none, true), none)
	}
	require.NoError(t, Discard(t.Context(), w.conf, found, "a test", func(*Letter) {}))
	box, _ := w.awaitLetters(Filter{}, 0)
	require.Equal(t, Discarded, box.List(Filter{}, true)[0].State)
	require.Zero(t, w.end(consumer.RetryTopic("inventory")))
}

// broken loses the answer of the nth record.
type broken struct {
	sent []*kafka.Message
	fail int
}

func (b *broken) Send(_ context.Context, m *kafka.Message) error {
	b.sent = append(b.sent, m)
	if len(b.sent) == b.fail {
		return errors.New("no answer")
	}
	return nil
}

// The mark comes last: whatever happens before it leaves the letter open.
func TestRedrive_MarksOnlyWhatWasHandedBack(t *testing.T) {
	l := &Letter{ID: ID{"inventory", "order-events", 2, 7}, DeadLetterTopic: "order-events.inventory.dlq", In: 2, At: 5, Order: "o-1"}
	p := &broken{fail: 1}
	told := func(*Letter) { t.Error("it was told to be done") }
	require.Error(t, redrive(t.Context(), p, []*Letter{l, l}, []*Content{{}, {}}, "", told))
	require.Len(t, p.sent, 1)
	require.Equal(t, "inventory.retry", p.sent[0].Topic)
	require.EqualValues(t, 2, p.sent[0].Partition)
	p = &broken{fail: 2}
	require.Error(t, redrive(t.Context(), p, []*Letter{l}, []*Content{{}}, "", told))
	require.Equal(t, l.DeadLetterTopic, p.sent[1].Topic)
}

// silent is a broker that is away, or that takes records and never answers.
type silent struct{}

func (silent) Connected() bool { return false }

func (silent) Send(ctx context.Context, _ *kafka.Message) error { <-ctx.Done(); return ctx.Err() }

func TestDecide_DoesNotWaitForEverForABroker(t *testing.T) {
	for name, try := range map[string]struct {
		do   func(context.Context) error
		says string
	}{
		"that is away": {
			func(ctx context.Context) error { return connected(ctx, silent{}) },
			"reach Kafka: no broker takes records within 15s; nothing was written",
		},
		"that does not answer": {
			func(ctx context.Context) error { return patient{silent{}}.Send(ctx, &kafka.Message{}) },
			"reach Kafka: no answer within 15s: whether it is written is unknown; list the letters again, what is open can be decided on again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				err := try.do(t.Context())
				require.Equal(t, patience, time.Since(begin))
				var away *topics.UnreachableError
				require.ErrorAs(t, err, &away)
				require.EqualError(t, err, try.says)

				interrupted, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.ErrorIs(t, try.do(interrupted), context.DeadlineExceeded)
			})
		})
	}
}

// A consumer may give a redriven record up again before the mark of its redrive is written: the mark settles the letter
// that was read, not the one that it knows nothing of.
func TestFolder_AMarkSettlesWhatItNamesOnly(t *testing.T) {
	record := func(offset int64, headers ...string) *topics.Record {
		r := &topics.Record{Topic: "order-events.inventory.dlq", Partition: 1, Offset: offset, Key: []byte("o-1"), Err: errors.New("none")}
		all := append([]string{consumer.HeaderTopic, "order-events", consumer.HeaderPartition, "1", consumer.HeaderOffset, "9"}, headers...)
		for i := 0; i < len(all); i += 2 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: all[i], Value: []byte(all[i+1])})
		}
		return r
	}
	mark := func(offset int64, settles string) *topics.Record {
		return record(offset, headerDecision, string(Redriven), headerSettles, settles)
	}
	for name, c := range map[string]struct {
		records []*topics.Record
		state   State
		tries   int
	}{
		"a letter":              {[]*topics.Record{record(0)}, Open, 1},
		"settled":               {[]*topics.Record{record(0), mark(1, "0")}, Redriven, 1},
		"failed again":          {[]*topics.Record{record(0), mark(1, "0"), record(2)}, Open, 2},
		"failed before it":      {[]*topics.Record{record(0), record(1), mark(2, "0")}, Open, 2},
		"settled again":         {[]*topics.Record{record(0), mark(1, "0"), record(2), mark(3, "2")}, Redriven, 2},
		"a mark of nonsense":    {[]*topics.Record{record(0), mark(1, "x")}, Open, 1},
		"a mark of no letter":   {[]*topics.Record{mark(0, "0"), record(1)}, Open, 1},
		"marked by two at once": {[]*topics.Record{record(0), mark(1, "0"), mark(2, "0")}, Redriven, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder()
			for _, r := range c.records {
				f.take(r)
			}
			all := f.letters()
			require.Len(t, all, 1)
			require.Equal(t, c.state, all[0].State)
			require.Equal(t, c.tries, all[0].Tries)
			require.Equal(t, "inventory:order-events/1@9", all[0].String())
		})
	}
}

func TestParseID_ReadsWhatStringGives(t *testing.T) {
	for _, id := range []ID{{"inventory", "order-events", 11, 1 << 40}, {"a", "b.c/d@e", 0, 0}} {
		got, err := ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, got)
	}
	for _, s := range []string{"", "inventory", "inventory:order-events", ":a/1@2", "a:b/x@2", "a:b/1@-1", "a:b@1/2"} {
		_, err := ParseID(s)
		require.Error(t, err, s)
	}
}

// What picks all letters must say that nothing was asked for.
func TestFilter_IsEmptyWhereItPicksAll(t *testing.T) {
	for _, f := range []Filter{{}, {OlderThan: -time.Hour}, {NewerThan: -time.Hour}} {
		require.True(t, f.picks(&Letter{}, time.Now()), f)
		require.True(t, f.Empty(), f)
	}
	require.False(t, Filter{OlderThan: time.Nanosecond}.Empty())
	require.False(t, Filter{Error: "x"}.Empty())
}
