package dlq

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// letterTopics are those of two consumers' dead letters.
var letterTopics = []string{"order-events.inventory.dlq", "shipping-events.inventory.dlq", "order-events.billing.dlq"}

// written are dead letters with a value of each size, spread over the topics and two partitions.
func written(t *testing.T, n int, value func(i int) []byte) (*topics.Log, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, letterTopics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for i := range n {
		client.Produce(t.Context(), &kgo.Record{
			Topic: letterTopics[i%len(letterTopics)], Partition: int32(i / len(letterTopics) % 2), Key: []byte(fmt.Sprintf("o-%d", i%7)), Value: value(i),
			Headers: []kgo.RecordHeader{{Key: consumer.HeaderError, Value: []byte("none")}, {Key: "its-own", Value: []byte(fmt.Sprint(i))}},
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, client.Flush(t.Context()))
	log, err := topics.Open(kafka.Config{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log, client
}

// heap is what lives on it, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools keep what is in them for one more round
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestRead_KeepsNothingOfWhatLettersHold(t *testing.T) {
	const n, size = 160, 256 << 10
	log, _ := written(t, n, func(i int) []byte { return append(make([]byte, size), byte(i)) })
	before := heap()
	box, err := Read(t.Context(), log)
	require.NoError(t, err)
	require.Less(t, heap()-before, int64(n*size/2), "bytes for %d letters of %d bytes", n, size)
	require.Len(t, box.List(Filter{}, false), n)
}

func TestContents_AreReadInTheOrderOfTheLettersAPageAtATime(t *testing.T) {
	const n = 3*pageSize + 1
	log, client := written(t, n, func(i int) []byte { return fmt.Append(nil, i) })
	box, err := Read(t.Context(), log)
	require.NoError(t, err)
	letters := box.List(Filter{}, false)
	require.Len(t, letters, n)
	sizes, seen := []int{}, map[string]bool{}
	require.NoError(t, eachPage(t.Context(), log, letters, func(page []*Letter, contents []*Content) error {
		sizes = append(sizes, len(page))
		for i, l := range page {
			c := contents[i]
			var number int
			_, err := fmt.Sscan(string(c.Value), &number)
			require.NoError(t, err)
			require.Equal(t, letterTopics[number%len(letterTopics)], l.DeadLetterTopic)
			require.Equal(t, fmt.Sprintf("o-%d", number%7), c.Key)
			require.Equal(t, c.Key, l.Order)
			require.Equal(t, []kafka.Header{{Key: "its-own", Value: fmt.Sprint(number)}}, c.Headers)
			require.Error(t, c.Unreadable)
			seen[string(c.Value)] = true
		}
		return nil
	}))
	require.Equal(t, []int{pageSize, pageSize, pageSize, 1}, sizes)
	require.Len(t, seen, n)

	// Retention goes on meanwhile.
	l := letters[0]
	cut := kadm.Offsets{}
	cut.AddOffset(l.DeadLetterTopic, l.In, l.At+1, -1)
	deleted, err := kadm.NewClient(client).DeleteRecords(t.Context(), cut)
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
	_, err = ContentOf(t.Context(), log, l)
	var gone *GoneError
	require.ErrorAs(t, err, &gone)
	require.ErrorContains(t, err, l.String()+" is gone")
}

func TestLetterOf_KeepsNoMoreThanTheBeginningOfATextThatIsTooLong(t *testing.T) {
	long := make([]byte, 1<<20)
	l := letterOf(&topics.Record{
		Topic: letterTopics[0], Time: time.Now(), Key: long, Headers: []kgo.RecordHeader{{Key: consumer.HeaderError, Value: long}},
	})
	require.Len(t, l.Error, maxText)
	require.Len(t, l.Order, maxText)
}
