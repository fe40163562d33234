package consumer

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/consumer"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// depot is a store in memory that follows the rules.
type depot struct {
	t         *testing.T
	shipments map[string]*shipment.Shipment
	seen      map[string]int64
	writes    int
}

func (d *depot) Fold(_ context.Context, news map[string][]shipment.News) map[string][]error {
	outcomes := map[string][]error{}
	for id, of := range news {
		out := shipment.Fold(d.shipments[id], of, d.seen[id], time.Now())
		outcomes[id] = out.Errors
		if len(out.Says) == 0 {
			continue
		}
		d.writes++
		d.shipments[id], d.seen[id] = out.Shipment, out.Taken
		for _, typ := range out.Says { // what is taken in can be told: else it would be tried again for ever
			headers, _, err := events.Encode(&events.Event{
				ID: "e", Type: typ, Subject: id, Time: time.Now(), Sequence: 1, Customer: out.Shipment.CustomerID,
				TraceParent: out.Trace, Data: out.Shipment.Snapshot(),
			})
			require.NoError(d.t, err)
			for _, h := range headers {
				require.True(d.t, utf8.ValidString(h.Value) && len(h.Value) < 1<<20, "no database stores %s: %.99q", h.Key, h.Value)
			}
		}
	}
	return outcomes
}

// FuzzHandle: whatever bytes and headers come, the record is done or dead, the same again when it comes again, and that
// changes nothing; one beside it is not touched by it.
func FuzzHandle(f *testing.F) {
	asked := func(id string, quantity int32, request *eventspb.ShippingRequest) *eventspb.Reservation {
		return &eventspb.Reservation{Id: id, CustomerId: "alice", Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: quantity}}, Request: request}
	}
	encoded := func(t testing.TB, typ events.Type, sequence int64, data events.Snapshot) ([]events.Header, []byte) {
		t.Helper()
		headers, body, err := events.Encode(&events.Event{
			ID: "e", Type: typ, Subject: data.GetId(), Time: time.Now(), Sequence: sequence, Customer: data.GetCustomerId(), Data: data,
		})
		require.NoError(t, err)
		return headers, body
	}
	address := &eventspb.Address{Country: "IE"}
	for _, typ := range []events.Type{events.ShipmentRequested, events.ShipmentUpdateRequested, events.ShipmentCancelRequested, events.StockReserved} {
		for i, data := range []events.Snapshot{
			asked("a", 3, &eventspb.ShippingRequest{Address: address}),
			asked("a", 3, &eventspb.ShippingRequest{Address: address, CancelRequested: true}),
			asked("known", 1, &eventspb.ShippingRequest{Address: address, AddressRevision: 2}),
			asked("known", 1, &eventspb.ShippingRequest{Address: address, CancelRequested: true}),
			asked("known", 2, &eventspb.ShippingRequest{Address: address}),
			asked("b", -1, &eventspb.ShippingRequest{Address: address}),
			asked("b", 1, &eventspb.ShippingRequest{}),
			asked("b", 1, nil),
		} {
			headers, body := encoded(f, typ, int64(i+1), data)
			var lines []string
			for _, h := range headers {
				lines = append(lines, h.Key+": "+h.Value)
			}
			f.Add(strings.Join(lines, "\n"), []byte(data.GetId()), body)
			f.Add(strings.Join(append(lines, "ce_traceparent: \xff"), "\n"), []byte(data.GetId()), body)
		}
	}
	f.Add("", []byte(nil), []byte(nil))
	f.Add("ce_type: shipment-requested", []byte("a"), []byte{0xff})
	f.Fuzz(func(t *testing.T, headers string, key, value []byte) {
		if string(key) == "beside" {
			return
		}
		d := &depot{t: t, shipments: map[string]*shipment.Shipment{}, seen: map[string]int64{}}
		request := func(id string) *consumer.Record {
			headers, body := encoded(t, events.ShipmentRequested, 1, asked(id, 1, &eventspb.ShippingRequest{Address: address}))
			r := &consumer.Record{Key: []byte(id), Value: body}
			for _, h := range headers {
				r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
			}
			return r
		}
		require.Equal(t, []error{nil}, New(d).Handle(t.Context(), []*consumer.Record{request("known")}))

		r := &consumer.Record{Key: key, Value: value}
		for line := range strings.SplitSeq(headers, "\n") {
			name, v, _ := strings.Cut(line, ": ")
			r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte(v)})
		}
		batch := []*consumer.Record{r, request("beside")}
		first := New(d).Handle(t.Context(), batch)
		require.Len(t, first, 2)
		require.Equal(t, first[0] != nil, consumer.IsPermanent(first[0]), "nothing is away: %v", first[0])
		require.NoError(t, first[1])
		require.NotNil(t, d.shipments["beside"])
		writes := d.writes
		again := New(d).Handle(t.Context(), batch)
		require.Equal(t, first[0] == nil, again[0] == nil, "%v, then %v", first[0], again[0])
		require.NoError(t, again[1])
		require.Equal(t, writes, d.writes, "the same again changes nothing")
	})
}
