package consumer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// TestDeadLetter_AlwaysFits: one that does not would be tried again for ever, and hold its partition. A broker limits a
// batch as it comes, compressed; what is in it may be of any size.
func TestDeadLetter_AlwaysFits(t *testing.T) {
	const large = 4 << 20
	bomb := make([]*sarama.RecordHeader, 10_000)
	for i := range bomb {
		bomb[i] = &sarama.RecordHeader{Key: []byte("h"), Value: []byte("v")}
	}
	whole := make([]byte, kafka.MaxMessageBytes)
	for name, r := range map[string]*Record{
		"the largest event":   {Value: whole},
		"a large value":       {Key: []byte("order"), Value: make([]byte, large)},
		"a large key":         {Key: make([]byte, large)},
		"a key and a value":   {Key: []byte("order"), Value: whole},
		"a large header":      {Value: whole, Headers: []*sarama.RecordHeader{{Key: make([]byte, large), Value: make([]byte, large)}}},
		"a bomb of headers":   {Value: whole, Headers: bomb},
		"all of it at a time": {Key: make([]byte, large), Value: make([]byte, large), Headers: bomb},
	} {
		r.Topic, r.Partition, r.Offset = "orders", 3, 1<<62
		m := deadLetter(r, "group", []string{"orders"}, errors.New(strings.Repeat("x", large)), time.Now())
		record := &sarama.ProducerMessage{Key: sarama.StringEncoder(m.Key), Value: sarama.ByteEncoder(m.Value)}
		headers := map[string]string{}
		for _, h := range m.Headers {
			record.Headers = append(record.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
			headers[h.Key] = h.Value
		}
		require.LessOrEqual(t, record.ByteSize(2), kafka.MaxMessageBytes+kafka.EnvelopeBytes, name)
		require.Equal(t, "4611686018427387904", headers[HeaderOffset], name)
		if len(r.Key)+len(r.Value) <= kafka.MaxMessageBytes {
			require.Equal(t, r.Value, m.Value, name)
			require.NotContains(t, headers, HeaderLeftOut, name)
			continue
		}
		require.Empty(t, m.Value, name)
		require.Contains(t, headers, HeaderLeftOut, name)
	}
}
