package dlq

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
)

// Content is what the record of a letter holds: as much as an event may, so a Box keeps none, and it is read when it is
// needed.
type Content struct {
	// Event is what the record says; nil where it cannot be read or was left out, and Unreadable says why.
	Event      *events.Event
	Unreadable error
	// Key, Headers and Value are those that the record had.
	Key     string
	Headers []kafka.Header
	Value   []byte
}

// contentOf leaves out the headers that a dead letter has beside its record's.
func contentOf(r *topics.Record) *Content {
	c := &Content{Event: r.Event, Unreadable: r.Err, Key: string(r.Key), Value: r.Value}
	if l := letterOf(r); l.LeftOut != nil {
		c.Event, c.Unreadable = nil, &LeftOutError{l} // no value can be read as an event too
	}
	for _, h := range r.Headers {
		if !strings.HasPrefix(h.Key, "dlq-") {
			c.Headers = append(c.Headers, kafka.Header{Key: h.Key, Value: string(h.Value)})
		}
	}
	return c
}

// GoneError says that a letter that was listed is not in its topic any more: retention has taken it.
type GoneError struct{ Letter *Letter }

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s is gone: %s/%d no longer keeps offset %d", e.Letter.ID, e.Letter.DeadLetterTopic, e.Letter.In, e.Letter.At)
}

// ContentOf reads what one letter holds.
func ContentOf(ctx context.Context, log *topics.Log, l *Letter) (c *Content, err error) {
	err = eachPage(ctx, log, []*Letter{l}, func(_ []*Letter, found []*Content) error { c = found[0]; return nil })
	return c, err
}

// pageSize is how many contents are held at once.
const pageSize = 32

// eachPage reads what letters hold and hands it to each with them, a page at a time, in their order.
func eachPage(ctx context.Context, log *topics.Log, letters []*Letter, each func([]*Letter, []*Content) error) error {
	for page := range slices.Chunk(letters, pageSize) {
		contents, err := read(ctx, log, page)
		if err != nil {
			return err
		}
		if err := each(page, contents); err != nil {
			return err
		}
	}
	return nil
}

// read passes over each partition once, from the first of its letters on the page to the last. Letters of one partition
// are neighbours in a Box and their records as a rule in the log, so little else is read.
func read(ctx context.Context, log *topics.Log, page []*Letter) ([]*Content, error) {
	type lane struct {
		topic     string
		partition int32
	}
	wanted := map[lane]map[int64]int{} // where on the page the letter at an offset is
	for i, l := range page {
		at := lane{l.DeadLetterTopic, l.In}
		if wanted[at] == nil {
			wanted[at] = map[int64]int{}
		}
		wanted[at][l.At] = i
	}
	contents := make([]*Content, len(page))
	for at, offsets := range wanted {
		span := topics.Range{Start: -1}
		for offset := range offsets {
			if span.Start < 0 || offset < span.Start {
				span.Start = offset
			}
			span.End = max(span.End, offset+1)
		}
		err := log.Read(ctx, at.topic, at.partition, span, func(r *topics.Record) error {
			if i, ok := offsets[r.Offset]; ok && letterOf(r).ID == page[i].ID { // or the topic was made anew
				contents[i] = contentOf(r)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
	}
	for i, c := range contents {
		if c == nil {
			return nil, &GoneError{page[i]}
		}
	}
	return contents, nil
}
