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
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// warehouse is a store in memory that follows the rules.
type warehouse struct {
	t            *testing.T
	reservations map[string]*stock.Reservation
	seen         map[string]map[events.Source]int64
	writes       int
}

func (w *warehouse) Apply(_ context.Context, batch []stock.Dossier) [][]error {
	shelf := stock.NewShelf([]stock.Level{{SKU: "mug", Available: 10}})
	var outcomes [][]error
	for _, d := range batch {
		seen := func(s events.Source) int64 { return w.seen[d.OrderID][s] }
		out := stock.Fold(d, w.reservations[d.OrderID], seen, shelf, time.Now())
		outcomes = append(outcomes, out.Errors)
		if !out.Changed {
			continue
		}
		w.writes++
		w.reservations[d.OrderID] = out.Reservation
		if w.seen[d.OrderID] == nil {
			w.seen[d.OrderID] = map[events.Source]int64{}
		}
		for source, n := range out.Taken {
			w.seen[d.OrderID][source] = n
		}
		for _, typ := range out.Says { // what is taken in can be told: else it would be tried again for ever
			headers, _, err := events.Encode(&events.Event{
				ID: "e", Type: typ, Subject: d.OrderID, Time: time.Now(), Sequence: 1, Customer: out.Reservation.CustomerID,
				TraceParent: out.TraceParent, Data: out.Reservation.Snapshot(),
			})
			require.NoError(w.t, err)
			for _, h := range headers {
				require.True(w.t, utf8.ValidString(h.Value) && len(h.Value) < 1<<20, "no database stores %s: %.99q", h.Key, h.Value)
			}
		}
	}
	for _, change := range shelf.Changes() {
		require.Zero(w.t, change.Total(), "goods of %s came from nowhere", change.SKU)
	}
	return outcomes
}

// FuzzHandle: whatever bytes and headers come, the record is done or dead, the same again when it comes again, and that
// changes nothing; one beside it is not touched by it.
func FuzzHandle(f *testing.F) {
	order := &eventspb.Order{
		Id: "a", CustomerId: "alice", Items: []*eventspb.OrderItem{{Sku: "mug", Quantity: 3}}, ShippingAddress: &eventspb.Address{Country: "IE"},
	}
	cancelled := &eventspb.Order{Id: "a", CustomerId: "alice", Items: order.Items, Cancellation: &eventspb.Cancellation{}}
	for _, typ := range events.Types() {
		for i, data := range []events.Snapshot{
			order, cancelled,
			&eventspb.Order{Id: "b", CustomerId: "alice", Items: []*eventspb.OrderItem{{Sku: "mug", Quantity: 30}}, AddressRevision: 2, ShippingAddress: &eventspb.Address{}},
			&eventspb.Order{Id: "b", CustomerId: "alice"},
			&eventspb.Shipment{Id: "known", CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED},
			&eventspb.Shipment{Id: "known", CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED, FailureReason: eventspb.FailureReason_FAILURE_REASON_LOST},
			&eventspb.Shipment{Id: "known", CustomerId: "bob", Status: 99},
			&eventspb.Shipment{Id: "c", CustomerId: "alice"},
		} {
			headers, body, err := events.Encode(&events.Event{ID: "e", Type: typ, Subject: data.GetId(), Time: time.Now(), Sequence: int64(i + 1), Customer: data.GetCustomerId(), Data: data})
			if err != nil {
				continue // a body of another source
			}
			var lines []string
			for _, h := range headers {
				lines = append(lines, h.Key+": "+h.Value)
			}
			f.Add(strings.Join(lines, "\n"), []byte(data.GetId()), body)
			f.Add(strings.Join(append(lines, "ce_traceparent: \xff"), "\n"), []byte(data.GetId()), body)
		}
	}
	f.Add("", []byte(nil), []byte(nil))
	f.Add("ce_type: order-created", []byte("a"), []byte{0xff})
	f.Fuzz(func(t *testing.T, headers string, key, value []byte) {
		if string(key) == "beside" {
			return
		}
		w := &warehouse{t: t, reservations: map[string]*stock.Reservation{}, seen: map[string]map[events.Source]int64{}}
		known := encoded(t, &events.Event{
			ID: "e", Type: events.OrderCreated, Subject: "known", Time: time.Now(), Sequence: 1, Customer: "alice",
			Data: &eventspb.Order{Id: "known", CustomerId: "alice", Items: order.Items, ShippingAddress: &eventspb.Address{}},
		})
		require.Equal(t, []error{nil}, New(w).Handle(t.Context(), []*consumer.Record{known}))

		r := &consumer.Record{Key: key, Value: value}
		for line := range strings.SplitSeq(headers, "\n") {
			name, v, _ := strings.Cut(line, ": ")
			r.Headers = append(r.Headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte(v)})
		}
		beside := encoded(t, &events.Event{
			ID: "e", Type: events.OrderCreated, Subject: "beside", Time: time.Now(), Sequence: 1, Customer: "alice",
			Data: &eventspb.Order{Id: "beside", CustomerId: "alice", Items: order.Items, ShippingAddress: &eventspb.Address{}},
		})
		batch := []*consumer.Record{r, beside}
		first := New(w).Handle(t.Context(), batch)
		require.Len(t, first, 2)
		require.Equal(t, first[0] != nil, consumer.IsPermanent(first[0]), "nothing is away: %v", first[0])
		require.NoError(t, first[1])
		require.NotNil(t, w.reservations["beside"])
		writes := w.writes
		again := New(w).Handle(t.Context(), batch)
		require.Equal(t, first[0] == nil, again[0] == nil, "%v, then %v", first[0], again[0])
		require.NoError(t, again[1])
		require.Equal(t, writes, w.writes, "the same again changes nothing")
	})
}
