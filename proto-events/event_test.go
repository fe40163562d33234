package events_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

func TestDecode_GivesBackWhatEncodeWrote(t *testing.T) {
	for _, want := range examples() {
		headers, value, err := events.Encode(want)
		require.NoError(t, err)
		got, err := decode(headerMap(headers), want.Subject, value)
		require.NoError(t, err)
		require.True(t, proto.Equal(want.Data, got.Data), want.Type)
		want.Data, got.Data = nil, nil
		require.Equal(t, want, got)
	}
}

func TestDecode_NamesTheAttributeThatIsWrong(t *testing.T) {
	e := examples()[0]
	headers, value, err := events.Encode(e)
	require.NoError(t, err)
	other := proto.CloneOf(e.Data.(*eventspb.Order))
	other.Id = "another"
	otherValue, err := proto.Marshal(other)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		header, to string
		key        string
		value      []byte
		attribute  string
	}{
		"version":       {header: "ce_specversion", to: "0.3", attribute: "specversion"},
		"source":        {header: "ce_source", to: "shipping", attribute: "source"},
		"content type":  {header: "content-type", to: "application/json", attribute: "datacontenttype"},
		"time":          {header: "ce_time", to: "yesterday", attribute: "time"},
		"no id":         {header: "ce_id", attribute: "id"},
		"no customer":   {header: "ce_customerid", attribute: "customerid"},
		"other owner":   {header: "ce_customerid", to: "mallory", attribute: "data"},
		"sequence 0":    {header: "ce_sequence", to: "0000000000", attribute: "sequence"},
		"sequence word": {header: "ce_sequence", to: "00000000x1", attribute: "sequence"},
		"sequence +":    {header: "ce_sequence", to: "+000000001", attribute: "sequence"},
		"sequence long": {header: "ce_sequence", to: "00000000001", attribute: "sequence"},
		"key":           {key: "somebody else's", attribute: "subject"},
		"null key":      {key: "-", attribute: "subject"},
		"garbage":       {value: []byte{0xff, 0xff, 0xff}, attribute: "data"},
		"empty":         {value: []byte{}, attribute: "data"},
		"other order":   {value: otherValue, attribute: "data"},
	} {
		t.Run(name, func(t *testing.T) {
			h := maps.Clone(headerMap(headers))
			if c.header != "" {
				h[c.header] = c.to
			}
			key, v := e.Subject, value
			if c.key != "" {
				key = strings.TrimPrefix(c.key, "-")
			}
			if c.value != nil {
				v = c.value
			}
			_, err := decode(h, key, v)
			var malformed *events.MalformedError
			require.ErrorAs(t, err, &malformed)
			require.Equal(t, c.attribute, malformed.Attribute)
		})
	}
}

func TestDecode_ATypeOfOthersIsUnknownNotMalformed(t *testing.T) {
	for _, typ := range []string{"", "invoice-created", "ORDER-CREATED"} {
		_, err := decode(map[string]string{"ce_type": typ}, "", []byte{0xff})
		require.ErrorIs(t, err, events.ErrUnknownType)
	}
}

func TestEncode_RefusesWhatDecodeWouldRefuse(t *testing.T) {
	for name, spoil := range map[string]func(*events.Event){
		"type":     func(e *events.Event) { e.Type = "order-lost" },
		"sequence": func(e *events.Event) { e.Sequence = 0 },
		"body":     func(e *events.Event) { e.Data = &eventspb.Shipment{Id: e.Subject, CustomerId: e.Customer} },
		"no body":  func(e *events.Event) { e.Data = nil },
		"subject":  func(e *events.Event) { e.Subject = "another" },
		"customer": func(e *events.Event) { e.Customer = "another" },
		"comma":    func(e *events.Event) { e.Changed = []string{"a,b"} },
	} {
		t.Run(name, func(t *testing.T) {
			e := examples()[0]
			spoil(e)
			_, _, err := events.Encode(e)
			require.Error(t, err)
		})
	}
}

func TestAppendJSON_IsWhatAFrontEndExpects(t *testing.T) {
	order := &eventspb.Order{
		Id: "1", CustomerId: "alice", Status: eventspb.OrderStatus_ORDER_STATUS_PENDING,
		Items: []*eventspb.OrderItem{{Sku: "mug-blue", Quantity: 2, UnitPrice: &eventspb.Money{Amount: 1 << 40, Currency: "EUR"}}},
	}
	require.JSONEq(t, `{"id":"1","customerId":"alice","status":"pending","version":0,"revision":0,"addressRevision":0,"note":"",
		"items":[{"sku":"mug-blue","name":"","quantity":2,"unitPrice":{"amount":1099511627776,"currency":"EUR"}}]}`,
		string(events.AppendJSON(nil, order)))
	require.JSONEq(t, `{"id":"","customerId":"","status":"written_off","items":[]}`,
		string(events.AppendJSON(nil, &eventspb.Reservation{Status: eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF})))
	require.JSONEq(t, `{"outcome":"77"}`, string(events.AppendJSON(nil, &eventspb.AddressChange{Outcome: 77})), "a value of a newer build")
	require.Equal(t, "cancelling", events.Word(eventspb.OrderStatus_ORDER_STATUS_CANCELLING))
	require.Empty(t, events.Word(eventspb.OrderStatus_ORDER_STATUS_UNSPECIFIED))
}

// A trace context is a label that readers hand on with their own events, into databases that refuse what is no text: one
// that cannot be read must not hold up the event.
func TestDecode_LeavesOutATraceThatIsNone(t *testing.T) {
	e := examples()[0]
	headers, value, err := events.Encode(e)
	require.NoError(t, err)
	h := headerMap(headers)
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for trace, want := range map[string]string{
		good: good, "": "", "trace": "", "\xff": "", good + "\n": "", strings.ToUpper(good[:50]) + good[50:]: "", good + strings.Repeat("0", 1<<20): "",
	} {
		h["ce_traceparent"] = trace
		got, err := decode(h, e.Subject, value)
		require.NoError(t, err)
		require.Equal(t, want, got.TraceParent)
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range examples() {
		headers, value, err := events.Encode(e)
		require.NoError(f, err)
		h := headerMap(headers)
		for _, at := range []string{h["ce_time"], "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"} {
			f.Add(string(e.Type), h["ce_source"], h["ce_sequence"], at, []byte(e.Subject), value)
		}
	}
	f.Fuzz(func(t *testing.T, typ, source, sequence, at string, key, value []byte) {
		e, err := decode(map[string]string{
			"ce_specversion": "1.0", "ce_id": "1", "ce_type": typ, "ce_source": source, "ce_sequence": sequence,
			"ce_time": at, "ce_subject": string(key), "ce_customerid": "alice", "content-type": events.ContentType,
		}, string(key), value)
		if err != nil {
			return
		}
		if !json.Valid(events.AppendCloudEvent(nil, e)) {
			t.Fatalf("no valid JSON: %q", events.AppendCloudEvent(nil, e))
		}
		headers, again, err := events.Encode(e)
		if err != nil {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		if _, err := decode(headerMap(headers), string(key), again); err != nil {
			t.Fatalf("what was encoded does not decode: %v", err)
		}
	})
}

func decode(headers map[string]string, key string, value []byte) (*events.Event, error) {
	return events.Decode(func(name string) string { return headers[name] }, []byte(key), value)
}
