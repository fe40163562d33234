package dlq

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
)

// FuzzLetter: whatever somebody writes into a dead-letter topic is a letter that can be named, decided on and handed back
// under the same name, or a mark; and it says nothing that drives a terminal where its name is printed.
func FuzzLetter(f *testing.F) {
	for _, seed := range []string{
		"",
		"dlq-topic: order-events\ndlq-partition: 3\ndlq-offset: 17\ndlq-group: inventory\ndlq-error: no\ndlq-time: 2026-11-25T14:00:00Z\nce_type: order-created\nce_sequence: 0000000002",
		"dlq-topic: order-events\ndlq-partition: -1\ndlq-offset: -17",
		"dlq-topic: order-events\ndlq-partition: 2147483648\ndlq-offset: 9223372036854775808",
		"dlq-topic: a/b:c@d\ndlq-partition: 3\ndlq-offset: 17",
		"dlq-topic: \x1b[2J\ndlq-partition: 3\ndlq-offset: 17",
		"dlq-topic: order-events\ndlq-partition: 3\ndlq-offset: 17\ndlq-decision: redriven\ndlq-settles: 40",
		"dlq-topic: order-events\ndlq-partition: 3\ndlq-offset: 17\ndlq-decision: whatever\ndlq-settles: 40",
		"dlq-decision: discarded",
	} {
		f.Add(seed, []byte("o-1"), []byte{1})
	}
	f.Fuzz(func(t *testing.T, headers string, key, value []byte) {
		record := func(offset int64, headers []kafka.Header) *topics.Record {
			r := &topics.Record{Topic: "order-events.inventory.dlq", Partition: 3, Offset: offset, Time: time.Now(), Key: key, Value: value}
			for _, h := range headers {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
			}
			r.Event, r.Err = events.Decode(r.Header, r.Key, r.Value)
			return r
		}
		var given []kafka.Header
		for line := range strings.SplitSeq(headers, "\n") {
			name, v, _ := strings.Cut(line, ": ")
			given = append(given, kafka.Header{Key: name, Value: v})
		}
		r := record(40, given)
		l := letterOf(r)
		require.Regexp(t, `^inventory:[a-zA-Z0-9._-]+/\d+@\d+$`, l.String())
		id, err := ParseID(l.String())
		require.NoError(t, err)
		require.Equal(t, l.ID, id)

		box := newFolder()
		box.take(r)
		if r.Header(headerDecision) != "" {
			require.Empty(t, box.letters(), "a mark of nothing")
			// A letter that it names, and what becomes of that.
			box.take(record(39, l.coordinates()))
			box.take(r)
			require.Len(t, box.letters(), 1)
			require.Contains(t, []State{Open, Redriven, Discarded}, box.letters()[0].State)
			return
		}
		require.Len(t, box.letters(), 1)
		box.take(record(41, l.mark(Redriven, "mended", time.Now()).Headers))
		require.Equal(t, Redriven, box.letters()[0].State)

		back := l.retry(contentOf(r))
		require.Equal(t, "inventory.retry", back.Topic)
		require.Equal(t, string(key), back.Key)
		again := record(42, back.Headers) // it fails once more
		box.take(again)
		require.Len(t, box.letters(), 1, "the same letter")
		require.Equal(t, Open, box.letters()[0].State)
		require.Equal(t, 2, box.letters()[0].Tries)
		require.Equal(t, l.Type, letterOf(again).Type)
		require.Equal(t, l.Sequence, letterOf(again).Sequence)
	})
}
