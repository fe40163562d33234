package events

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// AppendJSON appends the JSON form of m to dst. It differs from protojson in what a front end expects:
// 64-bit integers are numbers, enum values are lower-case words ("written_off"), an unset enum is absent,
// empty strings, zeroes and empty lists are present, and absent messages and optional fields are absent.
// Field names are camelCase, times RFC 3339 in UTC.
func AppendJSON(dst []byte, m proto.Message) []byte {
	return appendMessage(dst, m.ProtoReflect())
}

func appendMessage(dst []byte, m protoreflect.Message) []byte {
	if ts, ok := m.Interface().(*timestamppb.Timestamp); ok {
		return appendString(dst, ts.AsTime().UTC().Format(time.RFC3339Nano))
	}
	dst = append(dst, '{')
	first := true
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) && (f.HasPresence() || f.Enum() != nil && !f.IsList()) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, f.JSONName())
		dst = append(dst, ':')
		v := m.Get(f)
		if !f.IsList() {
			dst = appendValue(dst, f, v)
			continue
		}
		dst = append(dst, '[')
		for j := range v.List().Len() {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, f, v.List().Get(j))
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendValue(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return appendMessage(dst, v.Message())
	case protoreflect.EnumKind:
		return appendString(dst, enumWord(f.Enum(), v.Enum()))
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool())
	case protoreflect.BytesKind:
		return appendString(dst, base64.StdEncoding.EncodeToString(v.Bytes()))
	case protoreflect.StringKind:
		return appendString(dst, v.String())
	default: // the catalog has integers only; a test walks every field of every message
		return strconv.AppendInt(dst, v.Int(), 10)
	}
}

// Word gives the lower-case word of an enum value, "pending" for ORDER_STATUS_PENDING, as the JSON form has it.
// An unset value is "".
func Word(e protoreflect.Enum) string {
	if e.Number() == 0 {
		return ""
	}
	return enumWord(e.Descriptor(), e.Number())
}

// enumWord strips the prefix that Protobuf's style guide asks for: the enum's name in upper snake case.
// A value that this build does not know is its number.
func enumWord(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := e.Values().ByNumber(n)
	if v == nil {
		return strconv.Itoa(int(n))
	}
	unspecified := string(e.Values().ByNumber(0).Name())
	prefix := strings.TrimSuffix(unspecified, "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(v.Name()), prefix))
}

func appendString(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // a string always marshals
		panic(err)
	}
	return append(dst, b...)
}

// Extension is one more CloudEvents attribute of the JSON form.
type Extension struct{ Name, Value string }

// AppendCloudEvent appends the JSON form of e (CloudEvents JSON event format, structured mode) to dst, with data as
// JSON and the given extension attributes behind the event's own.
func AppendCloudEvent(dst []byte, e *Event, extensions ...Extension) []byte {
	dst = append(dst, `{"specversion":"1.0"`...)
	attribute := func(name, value string) {
		if value == "" {
			return
		}
		dst = append(dst, ',')
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, value)
	}
	attribute("id", e.ID)
	attribute("source", string(e.Source()))
	attribute("type", string(e.Type))
	attribute("subject", e.Subject)
	attribute("time", e.Time.UTC().Format(time.RFC3339Nano))
	attribute("datacontenttype", "application/json")
	attribute("sequence", formatSequence(e.Sequence))
	attribute("customerid", e.Customer)
	attribute("traceparent", e.TraceParent)
	attribute("changedfields", strings.Join(e.Changed, ","))
	for _, x := range extensions {
		attribute(x.Name, x.Value)
	}
	dst = append(dst, `,"data":`...)
	dst = AppendJSON(dst, e.Data)
	return append(dst, '}')
}
