package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// life is one possible life of an order as its two neighbours tell it, each in its own order.
type life struct {
	cancelled bool
	addresses int64
	inventory []*events.Event
	shipping  []*events.Event
}

// anyLife plays inventory and shipping by their own rules: what they may say of an order that its customer changed and
// cancelled somewhere on the way.
func anyLife(t *rapid.T) life {
	l := life{cancelled: rapid.Bool().Draw(t, "cancelled"), addresses: rapid.Int64Range(0, 2).Draw(t, "addresses")}
	stock := func(typ events.Type, s eventspb.ReservationStatus, cause eventspb.ReleaseCause) {
		l.inventory = append(l.inventory, news(typ, len(l.inventory), &eventspb.Reservation{
			Id: "o-1", CustomerId: "alice", Status: s, ReleaseCause: cause,
		}))
	}
	if rapid.IntRange(0, 5).Draw(t, "short") == 0 {
		stock(events.StockRejected, eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED, 0)
		return l
	}
	stock(events.StockReserved, eventspb.ReservationStatus_RESERVATION_STATUS_HELD, 0)

	parcel := &eventspb.Shipment{
		Id: "o-1", OrderId: "o-1", CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED,
		Carrier: "DHL", EstimatedDelivery: timestamppb.New(time.Unix(1_800_000_000, 0)),
		Address: &eventspb.Address{City: "Köln"},
	}
	say := func(typ events.Type) {
		l.shipping = append(l.shipping, news(typ, len(l.shipping), proto.CloneOf(parcel)))
	}
	say(events.ShipmentScheduled)
	sent := false
	asked := l.cancelled
	for answered := int64(0); ; {
		var next []string
		if answered < l.addresses {
			next = append(next, "address")
		}
		if asked {
			next = append(next, "cancel")
		}
		if !sent {
			next = append(next, "dispatch")
		} else {
			next = append(next, "deliver", "fail", "nothing more")
		}
		switch rapid.SampledFrom(next).Draw(t, "step") {
		case "address":
			answered++
			parcel.AddressRevision, parcel.AddressRefused = answered, sent
			if sent {
				say(events.ShipmentUpdateRefused)
				continue
			}
			parcel.Address = &eventspb.Address{City: fmt.Sprintf("city %d", answered)}
			say(events.ShipmentUpdated)
		case "cancel":
			asked = false
			if sent {
				parcel.CancelRefused = true
				say(events.ShipmentCancelRefused)
				continue
			}
			parcel.Status = eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED
			say(events.ShipmentCancelled)
			stock(events.StockReleased, eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED, eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED)
			return l
		case "dispatch":
			sent = true
			parcel.Status = eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
			parcel.TrackingNumber = proto.String("T1")
			say(events.ShipmentDispatched)
		case "deliver":
			parcel.Status = eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED
			say(events.ShipmentDelivered)
			return l
		case "fail":
			parcel.Status, parcel.FailureReason = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED, eventspb.FailureReason_FAILURE_REASON_LOST
			bucket := eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF
			if rapid.Bool().Draw(t, "comes back") {
				parcel.FailureReason = eventspb.FailureReason_FAILURE_REASON_REFUSED
				bucket = eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED
			}
			say(events.ShipmentFailed)
			stock(events.StockReleased, bucket, eventspb.ReleaseCause_RELEASE_CAUSE_FAILED)
			return l
		default:
			return l
		}
	}
}

func news(typ events.Type, before int, data events.Snapshot) *events.Event {
	return &events.Event{
		ID: fmt.Sprintf("%s-%d", typ, before), Type: typ, Subject: "o-1", Customer: "alice", Time: time.Unix(1_700_000_000, 0),
		// Holes: other types of the source may lie between.
		Sequence: int64(before)*2 + 1, Data: data,
	}
}

func taken(all []*events.Event) []order.News {
	out := make([]order.News, len(all))
	for i, e := range all {
		out[i] = order.News{Event: e, Apply: func(o *order.Order) (bool, error) {
			switch data := e.Data.(type) {
			case *eventspb.Reservation:
				return o.InventorySays(data)
			case *eventspb.Shipment:
				return o.ShippingSays(data)
			default:
				return false, errors.New("no body of a neighbour")
			}
		}}
	}
	return out
}

// interleave gives any order that keeps each source's own, with any earlier event repeated anywhere, cut into batches.
func interleave(t *rapid.T, l life) [][]*events.Event {
	var all []*events.Event
	for a, b := l.inventory, l.shipping; len(a)+len(b) > 0; {
		if len(a) > 0 && (len(b) == 0 || rapid.Bool().Draw(t, "inventory next")) {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
		for rapid.IntRange(0, 2).Draw(t, "repeat") == 0 {
			all = append(all, rapid.SampledFrom(all).Draw(t, "what"))
		}
	}
	var batches [][]*events.Event
	for len(all) > 0 {
		n := rapid.IntRange(1, len(all)).Draw(t, "batch")
		batches, all = append(batches, all[:n]), all[n:]
	}
	return batches
}

// lived is the document after the batches; between puts a crash or nothing between two of them.
func lived(l life, batches [][]*events.Event, between func(*document)) (*document, error) {
	d := newDocument(l)
	s := &Store{now: func() time.Time { return time.Unix(1_700_000_100, 0) }}
	for _, batch := range batches {
		_, outcomes, err := s.fold(d, taken(batch))
		if err := errors.Join(append(outcomes, err)...); err != nil {
			return nil, err
		}
		d = stored(d)
		between(d)
	}
	return d, nil
}

func newDocument(l life) *document {
	d := &document{Order: order.Order{CustomerID: "alice", AddressRevision: l.addresses, Revision: 1}}
	d.ID = "o-1"
	if l.cancelled {
		at := time.Unix(1_700_000_000, 0)
		d.Order.CancelRequestedAt = &at
	}
	d.publishFirst()
	return stored(d)
}

func (d *document) publishFirst() {
	if err := d.publish(&eventspb.Order{}, time.Unix(1_700_000_000, 0), "", nil, events.OrderCreated); err != nil {
		panic(err)
	}
}

// stored is the document as the next read gives it: the same fields in a new envelope.
func stored(d *document) *document {
	out := *d
	out.Document = outbox.Document{ID: d.ID, Version: d.Version, Sequences: d.Sequences, Seen: d.Seen}
	return &out
}

// end is what must not depend on the way there.
func end(d *document) *eventspb.Order {
	s := d.order().Snapshot()
	s.Version, s.UpdatedAt = 0, nil
	return s
}

func sameEnd(t *rapid.T, between func(*document)) error {
	l := anyLife(t)
	straight, err := lived(l, [][]*events.Event{l.inventory, l.shipping}, func(*document) {})
	if err != nil {
		return err
	}
	shuffled, err := lived(l, interleave(t, l), between)
	if err != nil {
		return err
	}
	if a, b := end(straight), end(shuffled); !proto.Equal(a, b) {
		return fmt.Errorf("one end is %v, the other %v", a, b)
	}
	// Every write says exactly one event with the next version and the next sequence, and no write says none.
	if d := shuffled; d.Version != d.Sequences[events.TopicOrders] {
		return fmt.Errorf("version %d after %d events", d.Version, d.Sequences[events.TopicOrders])
	}
	return nil
}

func TestFold_AnyInterleavingOfBothTopicsEndsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := sameEnd(t, func(*document) {}); err != nil {
			t.Fatal(err)
		}
	})
}

// Negative control: an order that forgets what it has heard must be found out, or the test above proves nothing.
func TestFold_WithoutMemoryIsFoundOut(t *testing.T) {
	forget := func(d *document) { d.Seen = nil }
	runs := rapid.Custom(func(t *rapid.T) error { return sameEnd(t, forget) })
	for seed := range 200 {
		if runs.Example(seed) != nil {
			return
		}
	}
	t.Fatal("deduplication was off and nobody noticed")
}

func TestFold_SaysOnlyWhatIsNew(t *testing.T) {
	s := &Store{now: time.Now}
	reserved := news(events.StockReserved, 0, &eventspb.Reservation{
		Id: "o-1", CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
	})
	again := *reserved
	again.Sequence++ // another event that says the same
	d := newDocument(life{})
	write, _, err := s.fold(d, taken([]*events.Event{reserved, &again, reserved}))
	require.NoError(t, err)
	require.True(t, write)
	require.EqualValues(t, 2, d.Version)
	require.Equal(t, []order.Line{
		{Time: time.Unix(1_700_000_000, 0).UTC(), Source: events.SourceOrderAPI, Type: events.OrderCreated, Sequence: 1, Version: 1},
		{Time: time.Unix(1_700_000_000, 0).UTC(), Source: events.SourceInventory, Type: events.StockReserved, Sequence: 1, Version: 2},
	}, d.Order.History)

	write, _, err = s.fold(stored(d), taken([]*events.Event{reserved, &again}))
	require.NoError(t, err)
	require.False(t, write, "nothing new, no write")
}

func TestFold_OneImpossibleEventDoesNotSpoilItsBatch(t *testing.T) {
	s := &Store{now: time.Now}
	nobodys := news(events.StockReserved, 0, &eventspb.Reservation{
		Id: "o-1", CustomerId: "mallory", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
	})
	reserved := news(events.StockReserved, 1, &eventspb.Reservation{
		Id: "o-1", CustomerId: "alice", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
	})
	d := newDocument(life{})
	write, outcomes, err := s.fold(d, taken([]*events.Event{nobodys, reserved}))
	require.NoError(t, err)
	require.True(t, write)
	require.ErrorIs(t, outcomes[0], order.ErrImpossible)
	require.NoError(t, outcomes[1])
}
