package dlq

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
)

// State of a letter.
type State string

// The states.
const (
	Open      State = "open"
	Redriven  State = "redriven"
	Discarded State = "discarded"
)

// Headers of a mark, beside those that name its letter.
const (
	headerDecision = "dlq-decision" // redriven or discarded
	headerSettles  = "dlq-settles"  // offset of the letter in the dead-letter topic
	headerReason   = "dlq-reason"
)

// ID says where the record of a letter was, and which consumer could not handle it.
type ID struct {
	Consumer  string `json:"consumer"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// String gives inventory:order-events/3@17.
func (id ID) String() string {
	return fmt.Sprintf("%s:%s/%d@%d", id.Consumer, id.Topic, id.Partition, id.Offset)
}

// ParseID reads what String gives.
func ParseID(s string) (ID, error) {
	consumer, rest, ok := strings.Cut(s, ":")
	slash, at := strings.LastIndexByte(rest, '/'), strings.LastIndexByte(rest, '@')
	if ok && consumer != "" && slash > 0 && at > slash {
		partition, err1 := strconv.ParseInt(rest[slash+1:at], 10, 32)
		offset, err2 := strconv.ParseInt(rest[at+1:], 10, 64)
		if err1 == nil && err2 == nil && partition >= 0 && offset >= 0 {
			return ID{consumer, rest[:slash], int32(partition), offset}, nil
		}
	}
	return ID{}, fmt.Errorf("%q is no dead letter: want consumer:topic/partition@offset", s)
}

// Letter is one dead letter, without what it holds: that is its Content.
type Letter struct {
	ID
	State   State      `json:"state"`
	Settled *time.Time `json:"settledAt,omitempty"`
	Reason  string     `json:"reason,omitempty"` // of the decision
	// Tries counts how often the consumer gave it up: more than once after a redrive, or a crash.
	Tries int `json:"tries"`
	// DeadLetterTopic, its partition and At are where the letter lies; the newest one.
	DeadLetterTopic string    `json:"deadLetterTopic"`
	In              int32     `json:"deadLetterPartition"`
	At              int64     `json:"deadLetterOffset"`
	Time            time.Time `json:"time"`
	Error           string    `json:"error"`
	Order           string    `json:"order"` // the record's key
	Type            string    `json:"type"`
	Source          string    `json:"source"`
	Sequence        int64     `json:"sequence"` // 0: none that can be read
	Customer        string    `json:"customer"`
	TraceParent     string    `json:"traceparent,omitempty"`
	// LeftOut is how many bytes the value had that was too large for a letter, nil where the letter is whole.
	LeftOut *int64 `json:"leftOutBytes,omitempty"`
}

// maxText is how much of a text of a record is kept in a letter, in bytes. What Orderwire's own consumers write is
// shorter, but others may write to these topics, and many letters are held at once.
const maxText = 1 << 10

func cut(s string) string {
	if len(s) > maxText {
		return strings.Clone(s[:maxText])
	}
	return s
}

// consumerOf gives the consumer that a dead-letter topic belongs to: <topic>.<consumer>.dlq.
func consumerOf(topic string) (consumer string, ok bool) {
	rest, ok := strings.CutSuffix(topic, ".dlq")
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 1 || dot == len(rest)-1 {
		return "", false
	}
	return rest[dot+1:], true
}

// topicName is what Kafka takes for one.
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// letterOf reads a record of a dead-letter topic. Who may write there may write anything: without coordinates that can be
// of a record, the record itself is the letter. So a letter's name can always be said, and read by ParseID.
func letterOf(r *topics.Record) *Letter {
	group, _ := consumerOf(r.Topic)
	l := &Letter{
		ID:    ID{Consumer: group, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
		State: Open, Tries: 1, DeadLetterTopic: r.Topic, In: r.Partition, At: r.Offset, Time: r.Time,
		Error: cut(r.Header(consumer.HeaderError)), Order: cut(string(r.Key)), Type: cut(r.Header(events.HeaderType)),
		Source: cut(r.Header(events.HeaderSource)), Customer: cut(r.Header(events.HeaderCustomer)),
		TraceParent: cut(r.Header(events.HeaderTraceParent)),
	}
	partition, err1 := strconv.ParseInt(r.Header(consumer.HeaderPartition), 10, 32)
	offset, err2 := strconv.ParseInt(r.Header(consumer.HeaderOffset), 10, 64)
	if topic := r.Header(consumer.HeaderTopic); topicName.MatchString(topic) && err1 == nil && err2 == nil && partition >= 0 && offset >= 0 {
		l.ID = ID{group, topic, int32(partition), offset}
	}
	if at, err := time.Parse(time.RFC3339Nano, r.Header(consumer.HeaderTime)); err == nil {
		l.Time = at
	}
	if n, err := strconv.ParseInt(r.Header(events.HeaderSequence), 10, 64); err == nil {
		l.Sequence = n
	}
	if s := r.Header(consumer.HeaderLeftOut); s != "" {
		n, _ := strconv.ParseInt(s, 10, 64) // whatever it says, the value is not here
		l.LeftOut = &n
	}
	return l
}

// LeftOutError says that a letter cannot be handed back, and where what it is of may still be: its value was left out.
type LeftOutError struct{ Letter *Letter }

func (e *LeftOutError) Error() string {
	l := e.Letter
	return fmt.Sprintf("%s cannot be redriven: its value of %d bytes was too large for a dead letter and was left out; the record is in %s, partition %d, offset %d, as long as that topic keeps it",
		l.ID, *l.LeftOut, l.Topic, l.Partition, l.Offset)
}

// Whole gives the letters that can be handed back, and a LeftOutError for each of the others.
func Whole(letters []*Letter) (whole []*Letter, refused error) {
	var all []error
	for _, l := range letters {
		if l.LeftOut != nil {
			all = append(all, &LeftOutError{l})
			continue
		}
		whole = append(whole, l)
	}
	return whole, errors.Join(all...)
}

// retry gives the record that hands the letter back to its consumer.
func (l *Letter) retry(c *Content) *kafka.Message {
	headers := append(l.coordinates(), c.Headers...)
	return &kafka.Message{
		Topic: consumer.RetryTopic(l.Consumer), Partition: l.In, Key: c.Key, Headers: headers, Value: c.Value,
	}
}

// mark gives the record that remembers a decision.
func (l *Letter) mark(decision State, reason string, now time.Time) *kafka.Message {
	headers := append(l.coordinates(),
		kafka.Header{Key: headerDecision, Value: string(decision)},
		kafka.Header{Key: headerSettles, Value: strconv.FormatInt(l.At, 10)},
		kafka.Header{Key: consumer.HeaderTime, Value: now.UTC().Format(time.RFC3339Nano)})
	if reason != "" {
		headers = append(headers, kafka.Header{Key: headerReason, Value: reason})
	}
	return &kafka.Message{Topic: l.DeadLetterTopic, Partition: l.In, Key: l.Order, Headers: headers}
}

func (l *Letter) coordinates() []kafka.Header {
	return []kafka.Header{
		{Key: consumer.HeaderTopic, Value: l.Topic},
		{Key: consumer.HeaderPartition, Value: strconv.Itoa(int(l.Partition))},
		{Key: consumer.HeaderOffset, Value: strconv.FormatInt(l.Offset, 10)},
	}
}
