package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// Story is all that there is to know about one order.
type Story struct {
	Order     string                        `json:"order"`
	Documents map[string]documents.Document `json:"documents"` // by service; one that knows nothing is missing
	Events    []Event                       `json:"events"`    // in the order in which they were written
	Letters   []*dlq.Letter                 `json:"deadLetters"`
	Traces    []string                      `json:"traceIds"`
	Waits     Wait                          `json:"waits"`

	effects map[dlq.ID]documents.Effect // what each letter would do now; those that can be read
}

// Event is one record about the order.
type Event struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Source    string    `json:"source"`
	Type      string    `json:"type"`
	Sequence  int64     `json:"sequence"`
	Time      time.Time `json:"time"`         // when its source decided it
	Written   time.Time `json:"written"`      // when it was put into the topic
	Delay     float64   `json:"delaySeconds"` // between the two
	Changed   []string  `json:"changedFields,omitempty"`
	Repeat    bool      `json:"repeat"` // of an earlier record with this sequence
	// Unreadable says why it is no event; the other fields are then those of its headers.
	Unreadable string `json:"unreadable,omitempty"`
	// Readers say what became of it at each service that acts on it: taken, waiting, dead letter or passed over.
	Readers map[string]string `json:"readers,omitempty"`

	event *events.Event
}

// What became of an event at a reader.
const (
	taken      = "taken"
	waiting    = "waiting"
	deadLetter = "dead letter"
	passedOver = "passed over"
)

// NotFoundError says that nothing is known about an order.
type NotFoundError struct{ Order string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no service, no topic and no dead letter knows an order %q", e.Order)
}

// slack is how much earlier than an order's id its first event may be dated: clocks differ.
const slack = time.Minute

// Explain tells the story of an order. Offsets are looked up first and documents last, so that nothing looks more behind
// than it is.
func Explain(ctx context.Context, log *topics.Log, d *documents.Databases, order string) (*Story, error) {
	s := &Story{Order: order, Documents: map[string]documents.Document{}, Events: []Event{}, Letters: []*dlq.Letter{}, Traces: []string{}}
	committed := map[string]map[string]map[int32]int64{}
	for _, service := range documents.Services() {
		var err error
		if committed[service], err = log.Committed(ctx, service); err != nil {
			return nil, err
		}
	}
	filter := TailFilter{Order: order, From: placedAt(order)}
	if err := Tail(ctx, log, filter, func(r *topics.Record) error { s.add(r); return nil }); err != nil {
		return nil, err
	}
	box, err := dlq.Read(ctx, log)
	if err != nil {
		return nil, err
	}
	s.Letters = append(s.Letters, box.List(dlq.Filter{Order: order}, true)...)
	for _, service := range documents.Services() {
		found, err := d.Find(ctx, service, order)
		if err != nil {
			return nil, err
		}
		if doc, ok := found[order]; ok {
			s.Documents[service] = doc
		}
	}
	if err := s.judge(ctx, log); err != nil {
		return nil, err
	}
	if len(s.Documents) == 0 && len(s.Events) == 0 && len(s.Letters) == 0 {
		return nil, &NotFoundError{order}
	}
	s.follow(committed)
	s.Waits = s.waits(committed)
	return s, nil
}

// judge compares what the letters hold with the documents.
func (s *Story) judge(ctx context.Context, log *topics.Log) error {
	s.effects = map[dlq.ID]documents.Effect{}
	for _, l := range s.Letters {
		c, err := dlq.ContentOf(ctx, log, l)
		var gone *dlq.GoneError
		switch {
		case errors.As(err, &gone): // by retention, a moment ago
		case err != nil:
			return err
		case c.Event != nil:
			s.effects[l.ID], _ = documents.EffectOf(l.Consumer, c.Event, s.Documents[l.Consumer])
		}
	}
	return nil
}

// placedAt reads the time in an order's id, with some slack; the zero time where there is none.
func placedAt(order string) time.Time {
	id, err := uuid.Parse(order)
	if err != nil || id.Version() != 7 {
		return time.Time{}
	}
	seconds, nanos := id.Time().UnixTime()
	return time.Unix(seconds, nanos).Add(-slack)
}

// add takes in a record.
func (s *Story) add(r *topics.Record) {
	e := Event{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Written: r.Time, Time: r.Time,
		Source: r.Header(events.HeaderSource), Type: r.Header(events.HeaderType), event: r.Event,
	}
	if r.Event == nil {
		e.Unreadable = r.Err.Error()
	} else {
		e.Sequence, e.Time, e.Changed = r.Event.Sequence, r.Event.Time, r.Event.Changed
		e.Delay = r.Time.Sub(r.Event.Time).Seconds()
		e.Repeat = slices.ContainsFunc(s.Events, func(o Event) bool {
			return o.event != nil && o.Topic == e.Topic && o.Source == e.Source && o.Sequence == e.Sequence
		})
		if trace := traceID(r.Event.TraceParent); trace != "" && !slices.Contains(s.Traces, trace) {
			s.Traces = append(s.Traces, trace)
		}
	}
	s.Events = append(s.Events, e)
}

// traceID reads W3C's traceparent: version-trace-span-flags.
func traceID(parent string) string {
	if parts := strings.Split(parent, "-"); len(parts) == 4 {
		return parts[1]
	}
	return ""
}

// follow tells what became of each event at its readers.
func (s *Story) follow(committed map[string]map[string]map[int32]int64) {
	for i := range s.Events {
		e := &s.Events[i]
		for _, service := range documents.Services() {
			if !events.ReadBy(service, events.Type(e.Type)) {
				continue
			}
			if e.Readers == nil {
				e.Readers = map[string]string{}
			}
			e.Readers[service] = s.became(e, service, committed[service][e.Topic][e.Partition])
		}
	}
}

func (s *Story) became(e *Event, service string, next int64) string {
	if e.event != nil {
		if effect, _ := documents.EffectOf(service, e.event, s.Documents[service]); effect == documents.Known || effect == documents.Agrees {
			return taken
		}
	}
	id := dlq.ID{Consumer: service, Topic: e.Topic, Partition: e.Partition, Offset: e.Offset}
	switch {
	case slices.ContainsFunc(s.Letters, func(l *dlq.Letter) bool { return l.ID == id }):
		return deadLetter
	case e.Offset >= next:
		return waiting
	default:
		return passedOver
	}
}
