package audit

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// hash is FNV-1a over 64 bits: documents and events are compared by the hashes of their parts, so that a million of
// them fit. 0 is no hash: what is absent.
type hash uint64

const (
	emptyHash hash = 14695981039346656037
	prime     hash = 1099511628211
)

func (h hash) str(s string) hash {
	for i := range len(s) {
		h = (h ^ hash(s[i])) * prime
	}
	return (h ^ 0x1ff) * prime // an end that no byte can be
}

func (h hash) bytes(b []byte) hash {
	for _, c := range b {
		h = (h ^ hash(c)) * prime
	}
	return (h ^ 0x1ff) * prime
}

func (h hash) num(n int64) hash {
	for range 8 {
		h = (h ^ hash(n&0xff)) * prime
		n >>= 8
	}
	return h
}

func hashOf(s string) hash { return emptyHash.str(s) }

func addressHash(name, street, city, postalCode, country string) hash {
	return emptyHash.str(name).str(street).str(city).str(postalCode).str(country)
}

func protoAddress(a *eventspb.Address) hash {
	return addressHash(a.GetName(), a.GetStreet(), a.GetCity(), a.GetPostalCode(), a.GetCountry())
}

// millis are what the databases keep of a time.
func millis(t *timestamppb.Timestamp) int64 { return t.AsTime().UnixMilli() }

func milliOf(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixMilli()
}

// orderFacts is what order-api says of an order, as its document has it and as its events tell it.
type orderFacts struct {
	Customer, Goods, Prices, Address, Note, Shipment, Short hash
	Status                                                  eventspb.OrderStatus
	Version, Revision, AddressRevision                      int64
	CancelledAt, CreatedAt, UpdatedAt                       int64 // milliseconds; 0: not cancelled
}

func orderOf(o *eventspb.Order) orderFacts {
	f := orderFacts{
		Customer: hashOf(o.GetCustomerId()), Address: protoAddress(o.GetShippingAddress()), Note: hashOf(o.GetNote()),
		Goods: emptyHash, Status: o.GetStatus(), Version: o.GetVersion(), Revision: o.GetRevision(),
		AddressRevision: o.GetAddressRevision(), CreatedAt: millis(o.GetCreatedAt()), UpdatedAt: millis(o.GetUpdatedAt()),
	}
	f.Prices = emptyHash.num(o.GetTotal().GetAmount()).str(o.GetTotal().GetCurrency())
	for _, i := range o.GetItems() {
		f.Goods = f.Goods.str(i.GetSku()).num(int64(i.GetQuantity()))
		f.Prices = f.Prices.str(i.GetName()).num(i.GetUnitPrice().GetAmount()).str(i.GetUnitPrice().GetCurrency())
	}
	if c := o.GetCancellation(); c != nil {
		f.CancelledAt = millis(c.GetRequestedAt())
	}
	if s := o.GetShipment(); s != nil {
		f.Shipment = shownHash(s.GetId(), s.GetStatus(), s.GetCarrier(), s.GetService(), s.GetCost().GetAmount(),
			s.GetCost().GetCurrency(), millis(s.GetEstimatedDelivery()), s.GetTrackingNumber(), protoAddress(s.GetAddress()))
	}
	if r := o.GetRejection(); r != nil {
		f.Short = shortHash(r)
	}
	return f
}

// shownHash is of what an order shows of its shipment.
func shownHash(id string, status eventspb.ShipmentStatus, carrier, service string, cost int64, currency string,
	estimated int64, tracking string, address hash,
) hash {
	return emptyHash.str(id).num(int64(status)).str(carrier).str(service).num(cost).str(currency).num(estimated).
		str(tracking).num(int64(address))
}

func shortHash(r *eventspb.Rejection) hash {
	h := emptyHash
	for _, i := range r.GetItems() {
		h = h.str(i.GetSku()).num(int64(i.GetWanted())).num(i.GetAvailable())
	}
	return h
}

// reservationFacts is what inventory says of an order.
type reservationFacts struct {
	Customer, Items, Short, Address hash // Address: that of the request
	Status                          eventspb.ReservationStatus
	Cause                           eventspb.ReleaseCause
	Pieces                          int64
	Asked, Cancel                   bool // whether shipping was asked to ship, and to stop
	Revision                        int64
}

func reservationOf(r *eventspb.Reservation) reservationFacts {
	f := reservationFacts{
		Customer: hashOf(r.GetCustomerId()), Items: emptyHash, Status: r.GetStatus(), Cause: r.GetReleaseCause(),
	}
	for _, i := range r.GetItems() {
		f.Items = f.Items.str(i.GetSku()).num(int64(i.GetQuantity()))
		f.Pieces += int64(i.GetQuantity())
	}
	if rejection := r.GetRejection(); rejection != nil {
		f.Short = shortHash(rejection)
	}
	if q := r.GetRequest(); q != nil {
		f.Asked, f.Cancel, f.Revision = true, q.GetCancelRequested(), q.GetAddressRevision()
		f.Address = protoAddress(q.GetAddress())
	}
	return f
}

// shipmentFacts is what shipping says of an order.
type shipmentFacts struct {
	Customer, Plan, Tracking, Address hash // Plan: carrier, service, cost and date
	Status                            eventspb.ShipmentStatus
	Failure                           eventspb.FailureReason
	Revision                          int64
	Refused, CancelRefused            bool
}

func shipmentOf(s *eventspb.Shipment) shipmentFacts {
	return shipmentFacts{
		Customer: hashOf(s.GetCustomerId()), Tracking: hashOf(s.GetTrackingNumber()), Address: protoAddress(s.GetAddress()),
		Plan: planHash(s.GetCarrier(), s.GetService(), s.GetCost().GetAmount(), s.GetCost().GetCurrency(),
			millis(s.GetEstimatedDelivery())),
		Status: s.GetStatus(), Failure: s.GetFailureReason(), Revision: s.GetAddressRevision(),
		Refused: s.GetAddressRefused(), CancelRefused: s.GetCancelRefused(),
	}
}

func planHash(carrier, service string, cost int64, currency string, estimated int64) hash {
	return emptyHash.str(carrier).str(service).num(cost).str(currency).num(estimated)
}

// stockFacts is what an order has heard of inventory.
type stockFacts struct {
	Status eventspb.ReservationStatus
	Cause  eventspb.ReleaseCause
	Short  hash
}

// differences names the parts in which two sides differ.
type differences []string

func (d *differences) note(name string, same bool) {
	if !same {
		*d = append(*d, name)
	}
}

func (f orderFacts) differ(g orderFacts) (d differences) {
	d.note("customerId", f.Customer == g.Customer)
	d.note("items", f.Goods == g.Goods)
	d.note("prices", f.Prices == g.Prices)
	d.note("shippingAddress", f.Address == g.Address)
	d.note("note", f.Note == g.Note)
	d.note("shipment", f.Shipment == g.Shipment)
	d.note("rejection", f.Short == g.Short)
	d.note("status ("+events.Word(f.Status)+", "+events.Word(g.Status)+")", f.Status == g.Status)
	d.note("version", f.Version == g.Version)
	d.note("revision", f.Revision == g.Revision)
	d.note("addressRevision", f.AddressRevision == g.AddressRevision)
	d.note("cancellation", f.CancelledAt == g.CancelledAt)
	d.note("createdAt", f.CreatedAt == g.CreatedAt)
	d.note("updatedAt", f.UpdatedAt == g.UpdatedAt)
	return d
}

func (f shipmentFacts) differ(g shipmentFacts) (d differences) {
	d.note("customerId", f.Customer == g.Customer)
	d.note("carrier, service, cost or date", f.Plan == g.Plan)
	d.note("trackingNumber", f.Tracking == g.Tracking)
	d.note("address", f.Address == g.Address)
	d.note("status ("+events.Word(f.Status)+", "+events.Word(g.Status)+")", f.Status == g.Status)
	d.note("failureReason", f.Failure == g.Failure)
	d.note("addressRevision", f.Revision == g.Revision)
	d.note("addressRefused", f.Refused == g.Refused)
	d.note("cancelRefused", f.CancelRefused == g.CancelRefused)
	return d
}
