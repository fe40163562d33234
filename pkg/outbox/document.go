package outbox

import (
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// Document is what every stored document with events embeds:
//
//	type Order struct {
//		outbox.Document `bson:",inline"`
//		Status string `bson:"status"`
//	}
//
// A guarded write sets the fields that differ from what was read, so none may be tagged omitempty: a field that is left
// out keeps its old value. Topics and sources are keys in the stored document; they come from code, never from a user.
type Document struct {
	ID      string `bson:"_id"`
	Version int64  `bson:"version"` // raised by every write
	// Sequences holds, per topic, the last number given out; Seen, per source, the last one taken.
	Sequences map[string]int64 `bson:"sequences"`
	Seen      map[string]int64 `bson:"seen"`
	// Outbox holds the entries that are not removed yet, as read: not published, or a moment ago. Use Append to add one.
	Outbox []Entry `bson:"outbox"`

	asRead  bson.Raw // nil of a new document, and of one that was written since
	touched bool     // Version is that of the write being made
	fresh   []Entry  // appended since the document was read
	empties bool     // the write being made removes what Outbox holds: all of it is published
}

// Envelope gives what a collection needs of a document that embeds d.
func (d *Document) Envelope() *Document { return d }

// Take tells whether sequence is newer than the last one taken from source, and remembers it then. Newer, not the
// next: readers that leave out some types see holes.
func (d *Document) Take(source string, sequence int64) bool {
	if sequence <= d.Seen[source] {
		return false
	}
	if d.Seen == nil {
		d.Seen = map[string]int64{}
	}
	d.Seen[source] = sequence
	return true
}

// Touch gives the version of the write being made: one more than was read, 1 for a new document.
func (d *Document) Touch() int64 {
	if !d.touched {
		d.touched = true
		d.Version++
	}
	return d.Version
}

// NextSequence hands out the topic's next number.
func (d *Document) NextSequence(topic string) int64 {
	if d.Sequences == nil {
		d.Sequences = map[string]int64{}
	}
	d.Sequences[topic]++
	return d.Sequences[topic]
}

// Append adds an event to the write being made. Its sequence comes from NextSequence of its topic.
func (d *Document) Append(e Entry) {
	e.Body = chaos.Shape(e.Body)
	d.fresh = append(d.fresh, e)
}

// Unsent counts the events that are not removed yet: not published, or a moment ago.
func (d *Document) Unsent() int { return len(d.Outbox) + len(d.fresh) }

// readVersion is the version as read, 0 for a new document.
func (d *Document) readVersion() int64 {
	if d.touched {
		return d.Version - 1
	}
	return d.Version
}

// written makes d what it would be if it were read now.
func (d *Document) written() {
	d.Outbox = append(d.Outbox, d.fresh...)
	d.asRead, d.fresh, d.touched, d.empties = nil, nil, false, false
}

// holds tells whether the stored document d holds the write that w describes: one that was answered by an error or
// missed its guard may still have been made, by the driver's first try. It cannot tell once the entries are removed.
func (d *Document) holds(w *Document) bool {
	if len(w.fresh) == 0 {
		return false
	}
	return slices.ContainsFunc(d.Outbox, func(e Entry) bool { return e.ID == w.fresh[0].ID })
}

// check finds what would break the order of events.
func (d *Document) check() error {
	if d.ID == "" {
		return fmt.Errorf("a document without an id")
	}
	last := map[string]int64{}
	for _, e := range d.Outbox {
		last[e.Topic] = e.Sequence
	}
	for _, e := range d.fresh {
		switch {
		case e.ID == "" || e.Topic == "" || e.Key == "" || e.At.IsZero():
			return fmt.Errorf("document %s: an entry lacks its id, topic, key or time", d.ID)
		case e.Sequence <= last[e.Topic] || e.Sequence > d.Sequences[e.Topic]:
			return fmt.Errorf("document %s: entry %s has sequence %d, which is not the next one of %s", d.ID, e.ID, e.Sequence, e.Topic)
		}
		last[e.Topic] = e.Sequence
	}
	return nil
}
