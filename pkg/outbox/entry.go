package outbox

import (
	"time"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// Header is one record header.
type Header struct {
	Key   string `bson:"key"`
	Value string `bson:"value"`
}

// Entry is an event as it will be published, byte for byte, however often.
type Entry struct {
	ID       string    `bson:"id"` // unique; a UUIDv7
	Topic    string    `bson:"topic"`
	Key      string    `bson:"key"`
	Sequence int64     `bson:"sequence"` // from Document.NextSequence(Topic)
	At       time.Time `bson:"at"`
	Headers  []Header  `bson:"headers"`
	Body     []byte    `bson:"body"`
}

// size is roughly what e holds in memory, in bytes.
func (e *Entry) size() int {
	n := 200 + len(e.ID) + len(e.Topic) + len(e.Key) + len(e.Body)
	for _, h := range e.Headers {
		n += 32 + len(h.Key) + len(h.Value)
	}
	return n
}

func (e *Entry) message() *kafka.Message {
	headers := make([]kafka.Header, len(e.Headers))
	for i, h := range e.Headers {
		headers[i] = kafka.Header(h)
	}
	return &kafka.Message{Topic: e.Topic, Key: e.Key, Headers: headers, Value: e.Body}
}
