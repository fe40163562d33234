package feed

import (
	"fmt"
	"strconv"

	"github.com/orderwire/orderwire/pkg/kafka"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// Event is one domain event, as it lies in Kafka.
type Event struct {
	Type     events.Type
	Order    string
	Customer string
	Internal bool // operators only

	place place
	event *events.Event
	json  []byte // with everything but the cursor, and without the closing brace; made when it is wanted
}

// place is one offset: topic is an index of cursor.Topics.
type place struct {
	topic, partition int
	offset           int64
}

// Message is what a client is sent: a CloudEvent in JSON, on one line.
type Message struct {
	Type   string
	Cursor string // "" where the message has none
	JSON   []byte
}

func (m *Message) size() int { return len(m.JSON) }

// decode reads a record. What is no event of the catalog, or is in the wrong topic, is an error.
func decode(topic, partition int, r *kafka.Record) (*Event, error) {
	e, err := events.Decode(r.Header, r.Key, r.Value)
	if err != nil {
		return nil, err
	}
	info, _ := events.Lookup(e.Type)
	if info.Topic != cursor.Topics[topic] {
		return nil, fmt.Errorf("%s does not belong into %s", e.Type, cursor.Topics[topic])
	}
	return &Event{
		Type: e.Type, Order: e.Subject, Customer: e.Customer, Internal: info.Internal,
		place: place{topic, partition, r.Offset}, event: e,
	}, nil
}

// Message gives the event with a cursor behind it. It is for one goroutine at a time.
func (e *Event) Message(cursorText string) *Message {
	if e.json == nil {
		whole := events.AppendCloudEvent(make([]byte, 0, 1024), e.event,
			events.Extension{Name: "topic", Value: cursor.Topics[e.place.topic]})
		e.json = whole[:len(whole)-1]
	}
	return &Message{Type: string(e.Type), Cursor: cursorText, JSON: appendCursor(e.json, cursorText)}
}

// appendCursor closes an object with its cursor, in memory of its own. A cursor needs no escapes.
func appendCursor(open []byte, cursorText string) []byte {
	const name = `,"cursor":`
	whole := make([]byte, 0, len(open)+len(name)+len(cursorText)+3)
	whole = append(whole, open...)
	whole = append(whole, name...)
	whole = strconv.AppendQuote(whole, cursorText)
	return append(whole, '}')
}
