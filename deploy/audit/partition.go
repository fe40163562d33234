package audit

import (
	"context"
	"strconv"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// setAside reads partition p, its dead letters first and then both topics, and keeps in buckets what the records say.
func (a *auditor) setAside(ctx context.Context, p int32, read *progress) error {
	if err := a.deadLetters(ctx, p); err != nil {
		return err
	}
	for _, topic := range []string{events.TopicOrders, events.TopicShipping} {
		bounds := a.bounds[topic][p]
		if bounds.Start > 0 && bounds.Start == bounds.End {
			a.truncate(topic, p)
		}
		first := true
		err := a.log.Read(ctx, topic, p, bounds, func(record *topics.Record) error {
			if first && record.Offset > 0 {
				a.truncate(topic, p)
			}
			first = false
			read.step(1)
			return a.record(record)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// records is how many the two topics have.
func records(b topics.Bounds) (n int64) {
	for _, topic := range []string{events.TopicOrders, events.TopicShipping} {
		for _, r := range b[topic] {
			n += r.End - r.Start
		}
	}
	return n
}

// part is a partition of a topic.
type part struct {
	topic     string
	partition int32
}

// truncate notes that the log begins later than its first record.
func (a *auditor) truncate(topic string, p int32) {
	if !a.truncated[part{topic, p}] && !a.follows() {
		a.found.Truncated++
	}
	a.truncated[part{topic, p}] = true
}

// record counts a record and keeps what it says. A type of others is only counted.
func (a *auditor) record(rec *topics.Record) error {
	if a.follows() && rec.Event != nil && !a.window.only[rec.Event.Subject] {
		return nil // it came after the documents were read: next time
	}
	a.found.Events++
	ignored := a.config.Ignore[Coordinates{rec.Topic, rec.Partition, rec.Offset}]
	if ignored {
		a.found.Ignored++
	}
	if unknown(rec) {
		a.found.Unknown++
		return nil
	}
	h := hear(rec)
	h.Ignored = ignored
	if h.Malformed != "" {
		a.found.Malformed++
	}
	return a.kept.put(&entry{Heard: h})
}

// letter says where a dead letter came from, and what its record was about; or that it was handed back.
type letter struct {
	Source   source
	Key      string
	Ignored  bool  // somebody wrote the record on purpose
	At       int64 // where it lies in its topic; of a redrive: up to where it settles
	Redriven bool
}

// source is a record that a group has dead-lettered.
type source struct {
	Group int // of groups
	Coordinates
}

// deadLetters reads those of a partition: they carry the number of their source's, and its key.
func (a *auditor) deadLetters(ctx context.Context, p int32) error {
	for g, group := range groups {
		for _, topic := range group.topics {
			name := deadLetterTopic(topic, group.name)
			err := a.log.Read(ctx, name, p, a.bounds[name][p], func(l *topics.Record) error {
				at, redriven := l.Offset, false
				switch l.Header("dlq-decision") { // of a mark of orderctl dlq behind a letter
				case "":
					a.found.DeadLetters++
				case "redriven":
					settles, err := strconv.ParseInt(l.Header("dlq-settles"), 10, 64)
					if err != nil {
						return nil //nolint:nilerr // it settles nothing
					}
					at, redriven = settles, true
				default:
					return nil
				}
				offset, err := strconv.ParseInt(l.Header("dlq-offset"), 10, 64)
				if isOurs := err == nil && l.Header("dlq-partition") == strconv.Itoa(int(p)); !isOurs {
					return nil
				}
				from := Coordinates{l.Header("dlq-topic"), p, offset}
				return a.kept.put(&entry{Letter: &letter{source{g, from}, string(l.Key), a.config.Ignore[from], at, redriven}})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
