package topics

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	events "github.com/orderwire/orderwire/proto-events"
)

// Record is one record, as it stands in its topic and as an event.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // when it was written
	Key       []byte
	Value     []byte
	Headers   []kgo.RecordHeader

	// Event is the record's, nil where Err says why it is none: events.ErrUnknownType or an *events.MalformedError.
	Event *events.Event
	Err   error
}

// Header gives the value of a record header, "" where there is none; the first of several.
func (r *Record) Header(name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// Type is what the record says it is, decoded or not.
func (r *Record) Type() events.Type { return events.Type(r.Header(events.HeaderType)) }

func decoded(k *kgo.Record) *Record {
	r := &Record{
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, Time: k.Timestamp,
		Key: k.Key, Value: k.Value, Headers: k.Headers,
	}
	r.Event, r.Err = events.Decode(r.Header, k.Key, k.Value)
	return r
}
