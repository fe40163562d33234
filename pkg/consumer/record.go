package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// Record is one Kafka record.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time
	Key       []byte
	Value     []byte
	Headers   []*sarama.RecordHeader

	unread bool // nobody here wants it: it only waits for its turn to be marked
	buried bool // its dead letter is in the log, and is not written again when the record waits for one before it
}

// Header gives the value of a record header, "" where there is none; the first of several.
func (r *Record) Header(name string) string {
	for _, h := range r.Headers {
		if string(h.Key) == name {
			return string(h.Value)
		}
	}
	return ""
}

// size is roughly what r holds in memory, in bytes. Of a small event most of it is headers.
func (r *Record) size() int {
	n := 160 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 64 + len(h.Key) + len(h.Value)
	}
	return n
}

// Handler applies a batch and gives an outcome for each of its records, in the same order. Records of one partition
// are in the order of their offsets; a record may have been handled before.
type Handler func(ctx context.Context, batch []*Record) []error

// permanent marks an error that no retry will mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent says that a record can never be handled: it is dead-lettered. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether Permanent was said of err.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}
