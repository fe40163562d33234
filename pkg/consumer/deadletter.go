package consumer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// DeadLetterTopic is where records of topic go that group can never handle.
func DeadLetterTopic(topic, group string) string { return topic + "." + group + ".dlq" }

// RetryTopic is where dead letters are written to be handled again by group, and by no other.
func RetryTopic(group string) string { return group + ".retry" }

// AllTopics gives the dead-letter topics and the retry topic of a group, to be created beside its topics.
func AllTopics(k kafka.Config, c Config) []kafka.Topic {
	names := []string{RetryTopic(c.Group)}
	for _, topic := range c.Topics {
		names = append(names, DeadLetterTopic(topic, c.Group))
	}
	topics := k.Topics(names...)
	for i := range topics {
		topics[i].MaxMessageBytes += kafka.EnvelopeBytes
	}
	return topics
}

// ManualTopics names the topics whose records keep the partition number of their source.
func ManualTopics(c Config) []string {
	names := []string{RetryTopic(c.Group)}
	for _, topic := range c.Topics {
		names = append(names, DeadLetterTopic(topic, c.Group))
	}
	return names
}

// The headers of a dead letter, beside those that the record had. Topic, partition and offset identify it: a record
// that was redriven keeps them, so that it is the same dead letter if it fails again.
const (
	headerPrefix    = "dlq-"
	HeaderTopic     = headerPrefix + "topic"
	HeaderPartition = headerPrefix + "partition"
	HeaderOffset    = headerPrefix + "offset"
	HeaderGroup     = headerPrefix + "group"
	HeaderError     = headerPrefix + "error"
	HeaderTime      = headerPrefix + "time"
	// HeaderLeftOut is how many bytes the value had that was left out.
	HeaderLeftOut = headerPrefix + "left-out"
)

// A dead letter must always fit: an error and oversized headers are cut. What was larger than an event may be, which a
// broker takes where it comes compressed, is left out: its record is where the coordinates say. A part of it could pass
// for the whole.
const (
	maxTextBytes    = 1 << 10 // of an error, and of a key or header that is too large
	maxHeadersBytes = 32 << 10
	headerCost      = 16 // what the client reckons for a header beyond its bytes, and more: a bomb of tiny ones is cut too
)

// redriven tells whether a record of the retry topic carries the coordinates of a source. Somebody may write anything
// there: what does not is a record of the retry topic itself, and is kept with the dead letters of the first topic.
func redriven(r *Record, topics []string) bool {
	_, partition := strconv.ParseInt(r.Header(HeaderPartition), 10, 32)
	_, offset := strconv.ParseInt(r.Header(HeaderOffset), 10, 64)
	return partition == nil && offset == nil && slices.Contains(topics, r.Header(HeaderTopic))
}

// deadLetter gives the message that keeps r and why group, which reads topics, could not handle it.
func deadLetter(r *Record, group string, topics []string, cause error, now time.Time) *kafka.Message {
	topic, partition, offset := r.Topic, strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.Offset, 10)
	home := topic
	if r.Topic == RetryTopic(group) {
		if home = topics[0]; redriven(r, topics) {
			home = r.Header(HeaderTopic)
			topic, partition, offset = home, r.Header(HeaderPartition), r.Header(HeaderOffset)
		}
	}
	m := &kafka.Message{
		Topic: DeadLetterTopic(home, group), Partition: r.Partition, Key: string(r.Key), Value: r.Value,
		Headers: []kafka.Header{
			{Key: HeaderTopic, Value: topic},
			{Key: HeaderPartition, Value: partition},
			{Key: HeaderOffset, Value: offset},
			{Key: HeaderGroup, Value: group},
			{Key: HeaderError, Value: cut(cause.Error())},
			{Key: HeaderTime, Value: now.UTC().Format(time.RFC3339Nano)},
		},
	}
	if len(r.Key)+len(r.Value) > kafka.MaxMessageBytes {
		m.Key, m.Value = cut(m.Key), nil
		m.Headers = append(m.Headers, kafka.Header{Key: HeaderLeftOut, Value: strconv.Itoa(len(r.Value))})
	}
	room := maxHeadersBytes
	for _, h := range r.Headers {
		key, value := string(h.Key), string(h.Value)
		if strings.HasPrefix(key, headerPrefix) {
			continue // of an earlier dead letter, or a lie
		}
		if len(key)+len(value) > room {
			key, value = cut(key), cut(value)
		}
		if room -= len(key) + len(value) + headerCost; room < 0 {
			break
		}
		m.Headers = append(m.Headers, kafka.Header{Key: key, Value: value})
	}
	return m
}

func cut(s string) string {
	if len(s) <= maxTextBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxTextBytes-3], "") + "..."
}

// bury writes the dead letters of records, in their order and all at once, and waits until they are in the log. Where one
// is not, its outcome becomes the reason: it is tried again.
func (g *Group) bury(ctx context.Context, records []*Record, outcomes map[*Record]error) {
	if chaos.On(chaos.SwallowDeadLetters) {
		return
	}
	letters := make([]*kafka.Message, len(records))
	for i, r := range records {
		letters[i] = deadLetter(r, g.config.Group, g.config.Topics, outcomes[r], time.Now())
	}
	for i, err := range g.producer.SendAll(ctx, letters) {
		r := records[i]
		if err != nil {
			outcomes[r] = fmt.Errorf("dead-letter %s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
			continue
		}
		r.buried = true
		chaos.Pass(chaos.AfterDeadLetter)
		g.log.Error("a record was dead-lettered", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset,
			"dead_letter_topic", letters[i].Topic, "error", outcomes[r])
	}
}
