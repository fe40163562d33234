package events_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	events "github.com/orderwire/orderwire/proto-events"
)

var update = flag.Bool("update", false, "write missing golden files; an existing one is never rewritten")

// golden is one record as it lies in Kafka, and what it says.
type golden struct {
	Topic   string            `json:"topic"`
	Key     string            `json:"key"`
	Headers map[string]string `json:"headers"`
	Value   []byte            `json:"value"`
	Event   json.RawMessage   `json:"event"` // the CloudEvents JSON form
}

// shape is the directory of today's encoded examples. A released shape is kept for ever: a change of the messages
// starts a new directory.
const shape = "v1"

// TestGolden_EveryReleasedShapeIsRead decodes every example of every shape that was ever released.
func TestGolden_EveryReleasedShapeIsRead(t *testing.T) {
	if *update {
		writeMissing(t)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.json"))
	require.NoError(t, err)
	seen := map[events.Type]bool{}
	for _, file := range files {
		g := readGolden(t, file)
		e, err := events.Decode(func(name string) string { return g.Headers[name] }, []byte(g.Key), g.Value)
		require.NoError(t, err, file)
		require.Equal(t, g.Topic, e.Topic(), file)
		require.JSONEq(t, string(g.Event), string(events.AppendCloudEvent(nil, e)), file)
		seen[e.Type] = true
	}
	for _, typ := range events.Types() {
		require.True(t, seen[typ], "no golden example of %s: run go test -run Golden -update", typ)
	}
}

// TestGolden_EncodingIsStable encodes today's examples again and compares bytes and headers.
func TestGolden_EncodingIsStable(t *testing.T) {
	for _, e := range examples() {
		g := readGolden(t, filepath.Join("testdata", shape, string(e.Type)+".json"))
		headers, value, err := events.Encode(e)
		require.NoError(t, err)
		require.Equal(t, g.Value, value, e.Type)
		require.Equal(t, g.Headers, headerMap(headers), e.Type)
	}
}

func headerMap(headers []events.Header) map[string]string {
	m := make(map[string]string, len(headers))
	for _, h := range headers {
		m[h.Key] = h.Value
	}
	return m
}

func readGolden(t *testing.T, file string) golden {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(raw, &g), file)
	return g
}

func writeMissing(t *testing.T) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join("testdata", shape), 0o755))
	for _, e := range examples() {
		file := filepath.Join("testdata", shape, string(e.Type)+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		headers, value, err := events.Encode(e)
		require.NoError(t, err)
		raw, err := json.MarshalIndent(golden{e.Topic(), e.Subject, headerMap(headers), value, events.AppendCloudEvent(nil, e)}, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(raw, '\n'), 0o644))
	}
}

// examples gives one event of every type with every field of its body set, so that no field can be lost unnoticed.
func examples() []*events.Event {
	at := time.Date(2026, 11, 24, 9, 30, 0, 123_000_000, time.UTC)
	var all []*events.Event
	for i, typ := range events.Types() {
		body := events.NewBody(typ)
		fill(body.ProtoReflect(), 1)
		setString(body, "id", "0193d2a0-0000-7000-8000-000000000001")
		setString(body, "customer_id", "alice")
		e := &events.Event{
			ID: "0193d2a0-0000-7000-8000-0000000000a" + string("0123456789abcdefgh"[i%10]), Type: typ,
			Subject: "0193d2a0-0000-7000-8000-000000000001", Time: at, Sequence: int64(i + 1), Customer: "alice",
			TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: body,
		}
		if typ == events.OrderUpdated {
			e.Changed = []string{"shipment", "status"}
		}
		all = append(all, e)
	}
	return all
}

func setString(m proto.Message, field protoreflect.Name, value string) {
	r := m.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByName(field), protoreflect.ValueOfString(value))
}

// fill sets every field of m to a value that is not its default; n varies them.
func fill(m protoreflect.Message, n int64) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.IsList() {
			list := m.Mutable(f).List()
			fill(list.AppendMutable().Message(), n+int64(i))
			fill(list.AppendMutable().Message(), n+int64(i)+1)
			continue
		}
		switch f.Kind() {
		case protoreflect.MessageKind:
			fill(m.Mutable(f).Message(), n+int64(i))
		case protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(protoreflect.EnumNumber(1+n%int64(f.Enum().Values().Len()-1))))
		case protoreflect.BoolKind:
			m.Set(f, protoreflect.ValueOfBool(true))
		case protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(string(f.Name())+" ü \"quoted\""))
		case protoreflect.Int32Kind:
			m.Set(f, protoreflect.ValueOfInt32(int32(n)+int32(i)+1))
		case protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(n<<33+int64(i)))
		default:
			panic("the JSON form knows no " + f.Kind().String() + ": teach appendValue first")
		}
	}
	if m.Descriptor().FullName() == "google.protobuf.Timestamp" {
		m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(1_795_512_600+n))
		m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(123_000_000))
	}
}

// TestCatalog_EachSourceIsReadFromOneTopicOnly pins what sequence numbers rely on: a service reads each source from
// exactly one topic.
func TestCatalog_EachSourceIsReadFromOneTopicOnly(t *testing.T) {
	reads := map[string]map[events.Source]string{
		"order-api": {events.SourceInventory: events.TopicOrders, events.SourceShipping: events.TopicShipping},
		"inventory": {events.SourceOrderAPI: events.TopicOrders, events.SourceShipping: events.TopicShipping},
		"shipping":  {events.SourceInventory: events.TopicShipping},
	}
	for reader, want := range reads {
		got := map[events.Source]string{}
		for _, typ := range events.Types() {
			info, _ := events.Lookup(typ)
			if !slices.Contains(info.Readers, reader) {
				continue
			}
			if topic, ok := got[info.Source]; ok {
				require.Equal(t, topic, info.Topic, "%s reads %s from two topics", reader, info.Source)
			}
			got[info.Source] = info.Topic
		}
		require.Equal(t, want, got, reader)
	}
}
