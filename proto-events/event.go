package events

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// ContentType of a record's value.
const ContentType = "application/protobuf"

// ErrUnknownType says that a record carries an event that is not in the catalog. Other services share the topics,
// so readers ignore and count it.
var ErrUnknownType = errors.New("unknown event type")

// MalformedError says that a record claims a known type and cannot be read.
type MalformedError struct {
	Attribute string // a CloudEvents attribute, or "data"
	Reason    string
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("malformed event: %s: %s", e.Attribute, e.Reason)
}

// Event is one CloudEvent of the catalog.
type Event struct {
	ID       string // unique per source
	Type     Type
	Subject  string // the order's id, and the record's key
	Time     time.Time
	Sequence int64 // 1, 2, 3… per order, source and topic
	Customer string
	// TraceParent is the W3C trace context of the request that caused the event; may be empty. Readers hand it on, so Decode
	// leaves out what is none.
	TraceParent string
	// Changed names the fields that differ from the snapshot before, as the JSON form spells them; a label for watchers.
	Changed []string
	Data    Snapshot
}

// Source of the event, "" for a type outside the catalog.
func (e *Event) Source() Source { return catalog[e.Type].Source }

// Topic of the event, "" for a type outside the catalog.
func (e *Event) Topic() string { return catalog[e.Type].Topic }

// Header is one Kafka record header.
type Header struct{ Key, Value string }

// Names of the record headers: CloudEvents' Kafka protocol binding in binary content mode
// (attribute names with the prefix ce_), and the extensions sequence, customerid, traceparent and changedfields.
const (
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	headerSpecVersion = "ce_specversion"
	headerID          = "ce_id"
	headerSubject     = "ce_subject"
	headerTime        = "ce_time"
	HeaderSequence    = "ce_sequence"
	HeaderCustomer    = "ce_customerid"
	HeaderTraceParent = "ce_traceparent"
	headerChanged     = "ce_changedfields"
	headerContentType = "content-type"
)

// Encode gives the headers and the value of the Kafka record for e; its key is e.Subject and its topic e.Topic().
func Encode(e *Event) ([]Header, []byte, error) {
	info, ok := catalog[e.Type]
	if !ok {
		return nil, nil, fmt.Errorf("encode %q: %w", e.Type, ErrUnknownType)
	}
	if err := e.check(info); err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", e.Type, err)
	}
	for _, field := range e.Changed {
		if field == "" || strings.Contains(field, ",") {
			return nil, nil, fmt.Errorf("encode %s: %w", e.Type, &MalformedError{"changedfields", fmt.Sprintf("%q is no field name", field)})
		}
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(e.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", e.Type, err)
	}
	headers := make([]Header, 0, 11)
	headers = append(headers,
		Header{headerSpecVersion, "1.0"},
		Header{headerID, e.ID},
		Header{HeaderSource, string(info.Source)},
		Header{HeaderType, string(e.Type)},
		Header{headerSubject, e.Subject},
		Header{headerTime, e.Time.UTC().Format(time.RFC3339Nano)},
		Header{headerContentType, ContentType},
		Header{HeaderSequence, formatSequence(e.Sequence)},
		Header{HeaderCustomer, e.Customer},
	)
	if e.TraceParent != "" {
		headers = append(headers, Header{HeaderTraceParent, e.TraceParent})
	}
	if len(e.Changed) > 0 {
		headers = append(headers, Header{headerChanged, strings.Join(e.Changed, ",")})
	}
	return headers, body, nil
}

// Decode reads a Kafka record. header gives the value of a record header, or "" where there is none.
//
// A type outside the catalog is ErrUnknownType. Anything wrong with a type of the catalog is a *MalformedError:
// a known type that cannot be read is never ignored.
func Decode(header func(name string) string, key, value []byte) (*Event, error) {
	e := &Event{Type: Type(header(HeaderType))}
	info, ok := catalog[e.Type]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownType, e.Type)
	}
	if v := header(headerSpecVersion); v != "1.0" {
		return nil, &MalformedError{"specversion", fmt.Sprintf("%q is not 1.0", v)}
	}
	if v := header(HeaderSource); v != string(info.Source) {
		return nil, &MalformedError{"source", fmt.Sprintf("%q does not publish %s", v, e.Type)}
	}
	if v := header(headerContentType); v != ContentType {
		return nil, &MalformedError{"datacontenttype", fmt.Sprintf("%q is not %s", v, ContentType)}
	}
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, header(headerTime)); err != nil {
		return nil, &MalformedError{"time", err.Error()}
	}
	if e.Sequence, err = parseSequence(header(HeaderSequence)); err != nil {
		return nil, err
	}
	e.ID = header(headerID)
	e.Subject = header(headerSubject)
	e.Customer = header(HeaderCustomer)
	if v := header(HeaderTraceParent); traceParent.MatchString(v) {
		e.TraceParent = v
	}
	if c := header(headerChanged); c != "" {
		e.Changed = strings.Split(c, ",")
	}
	if string(key) != e.Subject {
		return nil, &MalformedError{"subject", fmt.Sprintf("%q is not the record's key %q", e.Subject, key)}
	}
	e.Data = newBody(info.Source)
	if err := proto.Unmarshal(value, e.Data); err != nil {
		return nil, &MalformedError{"data", err.Error()}
	}
	if err := e.check(info); err != nil {
		return nil, err
	}
	return e, nil
}

// traceParent is version 00 of https://www.w3.org/TR/trace-context/#traceparent-header, which has one that cannot be read
// ignored.
var traceParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// check holds for every event, written or read.
func (e *Event) check(info Info) error {
	switch {
	case e.ID == "":
		return &MalformedError{"id", "empty"}
	case e.Subject == "":
		return &MalformedError{"subject", "empty"}
	case e.Customer == "":
		return &MalformedError{"customerid", "empty"}
	case e.Time.UTC().Year() < 0 || e.Time.UTC().Year() > 9999: // RFC 3339 has four digits, and its offsets lead beyond them
		return &MalformedError{"time", "is not within the years 0 and 9999"}
	case e.Sequence < 1 || e.Sequence > maxSequence:
		return &MalformedError{"sequence", fmt.Sprintf("%d is not within 1 and %d", e.Sequence, maxSequence)}
	case e.Data == nil:
		return &MalformedError{"data", "missing"}
	case e.Data.ProtoReflect().Descriptor() != newBody(info.Source).ProtoReflect().Descriptor():
		return &MalformedError{"data", fmt.Sprintf("%s is no body of %s", e.Data.ProtoReflect().Descriptor().Name(), info.Source)}
	case e.Data.GetId() != e.Subject:
		return &MalformedError{"data", fmt.Sprintf("is about order %q, not %q", e.Data.GetId(), e.Subject)}
	case e.Data.GetCustomerId() != e.Customer:
		return &MalformedError{"data", "belongs to another customer than customerid says"}
	}
	return nil
}

// The CloudEvents sequence extension wants a string that sorts as its numbers do.
const (
	sequenceDigits = 10
	maxSequence    = 9_999_999_999
)

func formatSequence(n int64) string { return fmt.Sprintf("%0*d", sequenceDigits, n) }

func parseSequence(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || len(s) != sequenceDigits {
		return 0, &MalformedError{"sequence", fmt.Sprintf("%q is not a number of %d digits", s, sequenceDigits)}
	}
	return int64(n), nil
}
