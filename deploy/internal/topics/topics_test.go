package topics_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func broker(t *testing.T) (*topics.Log, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, events.TopicOrders))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	log, err := topics.Open(kafka.Config{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	return log, producer
}

func created(t *testing.T, id string) *kgo.Record {
	t.Helper()
	headers, body, err := events.Encode(&events.Event{
		ID: "e", Type: events.OrderCreated, Subject: id, Time: time.Now(), Sequence: 1, Customer: "alice",
		Data: &eventspb.Order{Id: id, CustomerId: "alice"},
	})
	require.NoError(t, err)
	r := &kgo.Record{Topic: events.TopicOrders, Partition: 1, Key: []byte(id), Value: body}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
	}
	return r
}

func TestRead_HandsOutARangeOfOnePartitionDecoded(t *testing.T) {
	log, producer := broker(t)
	for n := range 5 {
		require.NoError(t, producer.ProduceSync(t.Context(), created(t, fmt.Sprintf("o-%d", n))).FirstErr())
	}
	require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: events.TopicOrders, Partition: 1}).FirstErr())

	bounds, err := log.Bounds(t.Context(), events.TopicOrders, "missing")
	require.NoError(t, err)
	require.Equal(t, topics.Bounds{events.TopicOrders: {0: {}, 1: {Start: 0, End: 6}, 2: {}}}, bounds)

	var got []*topics.Record
	collect := func(r *topics.Record) error { got = append(got, r); return nil }
	require.NoError(t, log.Read(t.Context(), events.TopicOrders, 1, topics.Range{Start: 2, End: 6}, collect))
	require.Len(t, got, 4)
	require.EqualValues(t, 2, got[0].Offset)
	require.Equal(t, "o-2", got[0].Event.Subject)
	require.Equal(t, events.OrderCreated, got[0].Type())
	require.ErrorIs(t, got[3].Err, events.ErrUnknownType)

	broken := errors.New("broken")
	require.ErrorIs(t, log.Read(t.Context(), events.TopicOrders, 1, bounds[events.TopicOrders][1],
		func(*topics.Record) error { return broken }), broken)
	require.NoError(t, log.Read(t.Context(), events.TopicOrders, 1, bounds[events.TopicOrders][1],
		func(*topics.Record) error { return topics.ErrStop }))
}

func TestAfter_ATimeThatNoRecordHasAsksForAll(t *testing.T) {
	log, producer := broker(t)
	for n := range 3 {
		require.NoError(t, producer.ProduceSync(t.Context(), created(t, fmt.Sprintf("o-%d", n))).FirstErr())
	}
	for name, c := range map[string]struct {
		from  time.Time
		start int64
	}{
		"none":            {time.Time{}, 0},
		"just before it":  {time.UnixMilli(-1), 0}, // the end, to Kafka
		"a minute before": {time.Unix(-60, 0), 0},
		"the first one":   {time.UnixMilli(0), 0},
		"the future":      {time.Now().Add(time.Hour), 3},
	} {
		bounds, err := log.After(t.Context(), c.from, events.TopicOrders)
		require.NoError(t, err, name)
		require.Equal(t, topics.Range{Start: c.start, End: 3}, bounds[events.TopicOrders][1], name)
	}
}

// Nobody's transaction keeps a reader waiting: neither its marker at the end nor what it has not decided on yet.
func TestRead_EndsAtTheMarkerOfATransaction(t *testing.T) {
	for name, c := range map[string]struct {
		first, second kgo.TransactionEndTry
		open          bool
		end           int64
		reads         []int64
	}{
		"committed":             {first: kgo.TryCommit, second: kgo.TryCommit, end: 4, reads: []int64{0, 2}},
		"taken back at the end": {first: kgo.TryCommit, second: kgo.TryAbort, end: 4, reads: []int64{0}},
		"taken back first":      {first: kgo.TryAbort, second: kgo.TryCommit, end: 4, reads: []int64{2}},
		"still open":            {first: kgo.TryCommit, open: true, end: 2, reads: []int64{0}},
	} {
		t.Run(name, func(t *testing.T) {
			log, plain := broker(t)
			producer, err := kgo.NewClient(append(plain.Opts(), kgo.TransactionalID("another program"))...)
			require.NoError(t, err)
			t.Cleanup(producer.Close)
			write := func(end kgo.TransactionEndTry, open bool) {
				require.NoError(t, producer.BeginTransaction())
				require.NoError(t, producer.ProduceSync(t.Context(), created(t, "o-1")).FirstErr())
				if !open {
					require.NoError(t, producer.EndTransaction(t.Context(), end))
				}
			}
			write(c.first, false)
			write(c.second, c.open)

			bounds, err := log.Bounds(t.Context(), events.TopicOrders)
			require.NoError(t, err)
			require.Equal(t, topics.Range{End: c.end}, bounds[events.TopicOrders][1])
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			var offsets []int64
			require.NoError(t, log.Read(ctx, events.TopicOrders, 1, bounds[events.TopicOrders][1], func(r *topics.Record) error {
				offsets = append(offsets, r.Offset)
				return nil
			}))
			require.Equal(t, c.reads, offsets)
		})
	}
}

func TestFollow_SeesWhatIsWrittenLater(t *testing.T) {
	log, producer := broker(t)
	seen := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- log.Follow(t.Context(), map[string]map[int32]int64{events.TopicOrders: {1: 0}}, func(r *topics.Record) error {
			seen <- r.Event.Subject
			if r.Offset == 1 {
				return topics.ErrStop
			}
			return nil
		})
	}()
	for _, id := range []string{"o-1", "o-2"} {
		require.NoError(t, producer.ProduceSync(t.Context(), created(t, id)).FirstErr())
		require.Equal(t, id, <-seen)
	}
	require.NoError(t, <-done)
}

func TestCommitted_OfAGroupThatNeverWasIsNothing(t *testing.T) {
	log, _ := broker(t)
	committed, err := log.Committed(t.Context(), "nobody")
	require.NoError(t, err)
	require.Empty(t, committed)
}

func TestOpen_SaysThatABrokerIsAway(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	log, err := topics.Open(kafka.Config{Brokers: []string{address}})
	require.NoError(t, err)
	defer log.Close()
	_, err = log.Bounds(t.Context(), events.TopicOrders)
	var away *topics.UnreachableError
	require.ErrorAs(t, err, &away)
}

func TestPartitionOf_IsThatOfEveryKafkaClient(t *testing.T) {
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for n := range 300 {
		key := []byte(fmt.Sprintf("%0*d", n%37, n))
		require.Equal(t, partitioner.Partition(&kgo.Record{Key: key}, 12), int(topics.PartitionOf(key, 12)), "%s", key)
	}
}
