package documents

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

const (
	held     = eventspb.ReservationStatus_RESERVATION_STATUS_HELD
	rejected = eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED
)

func order(seen int64, change func(*Order)) Document {
	o := &Order{Envelope: Envelope{Seen: map[string]int64{"inventory": seen, "shipping": seen}}}
	if change != nil {
		change(o)
	}
	return Document{Order: o}
}

func reservation(status, cause string, revision int64, cancel, asked bool) Document {
	r := &Reservation{Envelope: Envelope{Seen: map[string]int64{}}, Status: status, Cause: cause}
	if asked {
		r.Request = &struct {
			AddressRevision int64 `bson:"addressRevision" json:"addressRevision"`
			CancelRequested bool  `bson:"cancelRequested" json:"cancelRequested"`
		}{revision, cancel}
	}
	return Document{Reservation: r}
}

func shipment(change func(*Shipment)) Document {
	s := &Shipment{Envelope: Envelope{Seen: map[string]int64{}}, Status: "scheduled"}
	change(s)
	return Document{Shipment: s}
}

// Every way in which a newer snapshot can and cannot differ from the document of its reader.
func TestEffectOf_ComparesTheSnapshotWithTheDocument(t *testing.T) {
	parcel := func(status eventspb.ShipmentStatus, reason eventspb.FailureReason) *eventspb.Shipment {
		return &eventspb.Shipment{Status: status, FailureReason: reason, TrackingNumber: new(string)}
	}
	dispatched := eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
	failed, lost := eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED, eventspb.FailureReason_FAILURE_REASON_LOST
	ask := func(revision int64, cancel bool) *eventspb.Reservation {
		return &eventspb.Reservation{Request: &eventspb.ShippingRequest{AddressRevision: revision, CancelRequested: cancel}}
	}
	wants := func(revision int64, cancel bool) *eventspb.Order {
		o := &eventspb.Order{AddressRevision: revision}
		if cancel {
			o.Cancellation = &eventspb.Cancellation{}
		}
		return o
	}
	short := &eventspb.Reservation{Status: rejected, Rejection: &eventspb.Rejection{Items: []*eventspb.ShortItem{{Sku: "mug", Wanted: 2}}}}
	heardStock := func(s OrderStock) Document { return order(0, func(o *Order) { o.Stock = &s }) }
	heardParcel := func(p OrderParcel) Document {
		p.EstimatedDelivery = time.Unix(0, 0)
		return order(0, func(o *Order) { o.Shipment = &p })
	}
	for name, c := range map[string]struct {
		service string
		typ     events.Type
		data    events.Snapshot
		doc     Document
		want    Effect
	}{
		"a type of others":           {Shipping, events.OrderCreated, wants(0, false), Document{}, Unread},
		"own":                        {OrderAPI, events.OrderCreated, wants(0, false), Document{}, Unread},
		"first sight":                {Inventory, events.OrderUpdated, wants(0, false), Document{}, Starts},
		"first sight at shipping":    {Shipping, events.ShipmentRequested, ask(0, false), Document{}, Starts},
		"from downstream":            {Inventory, events.ShipmentDispatched, parcel(dispatched, 0), Document{}, Impossible},
		"from downstream, order-api": {OrderAPI, events.StockReserved, &eventspb.Reservation{}, Document{}, Impossible},
		"taken":                      {OrderAPI, events.StockReserved, &eventspb.Reservation{Status: held}, order(1, nil), Known},
		"a newer one was taken":      {OrderAPI, events.StockReserved, &eventspb.Reservation{Status: held}, order(7, nil), Known},
		"stock never heard of":       {OrderAPI, events.StockReserved, &eventspb.Reservation{Status: held}, order(0, nil), Changes},
		"stock as known":             {OrderAPI, events.StockReserved, &eventspb.Reservation{Status: held}, heardStock(OrderStock{Status: held}), Agrees},
		"other stock":                {OrderAPI, events.StockRejected, short, heardStock(OrderStock{Status: held}), Changes},
		"short as known":             {OrderAPI, events.StockRejected, short, heardStock(OrderStock{Status: rejected, Short: []Short{{"mug", 2, 0}}}), Agrees},
		"short of another":           {OrderAPI, events.StockRejected, short, heardStock(OrderStock{Status: rejected, Short: []Short{{"cup", 2, 0}}}), Changes},
		"shipment never heard of":    {OrderAPI, events.ShipmentDispatched, parcel(dispatched, 0), order(0, nil), Changes},
		"shipment as known":          {OrderAPI, events.ShipmentDispatched, parcel(dispatched, 0), heardParcel(OrderParcel{Status: dispatched}), Agrees},
		"other shipment":             {OrderAPI, events.ShipmentFailed, parcel(failed, lost), heardParcel(OrderParcel{Status: dispatched}), Changes},
		"other tracking number":      {OrderAPI, events.ShipmentDispatched, parcel(dispatched, 0), heardParcel(OrderParcel{Status: dispatched, TrackingNumber: "x"}), Changes},
		"other address":              {OrderAPI, events.ShipmentUpdated, parcel(dispatched, 0), heardParcel(OrderParcel{Status: dispatched, AddressRevision: 1}), Changes},
		"other answer":               {OrderAPI, events.ShipmentCancelRefused, parcel(dispatched, 0), heardParcel(OrderParcel{Status: dispatched, CancelRefused: true}), Changes},
		"address asked for":          {Inventory, events.OrderUpdated, wants(1, false), reservation("held", "", 1, false, true), Agrees},
		"address not asked for":      {Inventory, events.OrderUpdated, wants(2, false), reservation("held", "", 1, false, true), Changes},
		"cancellation passed on":     {Inventory, events.OrderCancelRequested, wants(0, true), reservation("held", "", 0, true, true), Agrees},
		"cancellation not passed on": {Inventory, events.OrderCancelRequested, wants(0, true), reservation("held", "", 0, false, true), Changes},
		"cancellation of nothing":    {Inventory, events.OrderCancelRequested, wants(0, true), reservation("rejected", "", 0, false, false), Agrees},
		"cancellation too late":      {Inventory, events.OrderCancelRequested, wants(0, true), reservation("written_off", "failed", 0, false, true), Agrees},
		"goods as known":             {Inventory, events.ShipmentDispatched, parcel(dispatched, 0), reservation("shipped", "", 0, false, true), Agrees},
		"goods elsewhere":            {Inventory, events.ShipmentDispatched, parcel(dispatched, 0), reservation("held", "", 0, false, true), Changes},
		"written off":                {Inventory, events.ShipmentFailed, parcel(failed, lost), reservation("written_off", "failed", 0, false, true), Agrees},
		"released instead":           {Inventory, events.ShipmentFailed, parcel(failed, lost), reservation("released", "failed", 0, false, true), Changes},
		"address answered":           {Shipping, events.ShipmentUpdateRequested, ask(3, false), shipment(func(s *Shipment) { s.AddressRevision = 3 }), Agrees},
		"address not answered":       {Shipping, events.ShipmentUpdateRequested, ask(3, false), shipment(func(s *Shipment) { s.AddressRevision = 2 }), Changes},
		"cancelled":                  {Shipping, events.ShipmentCancelRequested, ask(0, true), shipment(func(s *Shipment) { s.Status = "cancelled" }), Agrees},
		"cancellation refused":       {Shipping, events.ShipmentCancelRequested, ask(0, true), shipment(func(s *Shipment) { s.CancelRefused = true }), Agrees},
		"cancellation not answered":  {Shipping, events.ShipmentCancelRequested, ask(0, true), shipment(func(*Shipment) {}), Changes},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := EffectOf(c.service, &events.Event{Type: c.typ, Sequence: 1, Data: c.data}, c.doc)
			require.Equal(t, c.want, got, why)
			require.NotEmpty(t, why)
		})
	}
}
