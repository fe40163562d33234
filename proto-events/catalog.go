package events

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// The two topics. Both are keyed by order id, so all that is said about an order is in one partition of each.
const (
	TopicOrders   = "order-events"
	TopicShipping = "shipping-events"
)

// Source names the service that an event comes from; it is the CloudEvents source attribute.
type Source string

// The three services that publish events.
const (
	SourceOrderAPI  Source = "order-api"
	SourceInventory Source = "inventory"
	SourceShipping  Source = "shipping"
)

// Type is the CloudEvents type attribute. It is a label: what counts is the snapshot in the body.
type Type string

// Every type of event.
const (
	OrderCreated            Type = "order-created"
	OrderUpdated            Type = "order-updated"
	OrderCancelRequested    Type = "order-cancel-requested"
	StockReserved           Type = "stock-reserved"
	StockRejected           Type = "stock-rejected"
	StockReleased           Type = "stock-released"
	ShipmentRequested       Type = "shipment-requested"
	ShipmentUpdateRequested Type = "shipment-update-requested"
	ShipmentCancelRequested Type = "shipment-cancel-requested"
	ShipmentScheduled       Type = "shipment-scheduled"
	ShipmentUpdated         Type = "shipment-updated"
	ShipmentUpdateRefused   Type = "shipment-update-refused"
	ShipmentDispatched      Type = "shipment-dispatched"
	ShipmentDelivered       Type = "shipment-delivered"
	ShipmentCancelled       Type = "shipment-cancelled"
	ShipmentCancelRefused   Type = "shipment-cancel-refused"
	ShipmentFailed          Type = "shipment-failed"
)

// Info is what the catalog knows of a type.
type Info struct {
	Topic  string
	Source Source
	// Internal events are talk between services: operators see them, customers do not.
	Internal bool
	// Readers are the services that act on it. The notifier shows every type.
	Readers []string
}

// Who reads what. A service reads each source from exactly one topic, because sequence numbers count per topic.
var (
	byInventory = []string{"inventory"}
	byShipping  = []string{"shipping"}
	byOrderAPI  = []string{"order-api"}
	byUpstreams = []string{"order-api", "inventory"}
)

var catalog = map[Type]Info{
	OrderCreated:            {Topic: TopicOrders, Source: SourceOrderAPI, Readers: byInventory},
	OrderUpdated:            {Topic: TopicOrders, Source: SourceOrderAPI, Readers: byInventory},
	OrderCancelRequested:    {Topic: TopicOrders, Source: SourceOrderAPI, Readers: byInventory},
	StockReserved:           {Topic: TopicOrders, Source: SourceInventory, Readers: byOrderAPI},
	StockRejected:           {Topic: TopicOrders, Source: SourceInventory, Readers: byOrderAPI},
	StockReleased:           {Topic: TopicOrders, Source: SourceInventory, Readers: byOrderAPI},
	ShipmentRequested:       {Topic: TopicShipping, Source: SourceInventory, Internal: true, Readers: byShipping},
	ShipmentUpdateRequested: {Topic: TopicShipping, Source: SourceInventory, Internal: true, Readers: byShipping},
	ShipmentCancelRequested: {Topic: TopicShipping, Source: SourceInventory, Internal: true, Readers: byShipping},
	ShipmentScheduled:       {Topic: TopicShipping, Source: SourceShipping, Readers: byOrderAPI},
	ShipmentUpdated:         {Topic: TopicShipping, Source: SourceShipping, Readers: byOrderAPI},
	ShipmentUpdateRefused:   {Topic: TopicShipping, Source: SourceShipping, Readers: byOrderAPI},
	ShipmentDispatched:      {Topic: TopicShipping, Source: SourceShipping, Readers: byUpstreams},
	ShipmentDelivered:       {Topic: TopicShipping, Source: SourceShipping, Readers: byOrderAPI},
	ShipmentCancelled:       {Topic: TopicShipping, Source: SourceShipping, Readers: byUpstreams},
	ShipmentCancelRefused:   {Topic: TopicShipping, Source: SourceShipping, Readers: byUpstreams},
	ShipmentFailed:          {Topic: TopicShipping, Source: SourceShipping, Readers: byUpstreams},
}

// Lookup tells what the catalog knows of t; ok is false for a type that is not ours.
func Lookup(t Type) (info Info, ok bool) {
	info, ok = catalog[t]
	return info, ok
}

// Types lists the catalog, sorted.
func Types() []Type { return slices.Sorted(maps.Keys(catalog)) }

// ReadBy tells whether the service acts on events of type t.
func ReadBy(service string, t Type) bool { return slices.Contains(catalog[t].Readers, service) }

// NewBody gives an empty body for events of type t, nil for a type outside the catalog.
func NewBody(t Type) Snapshot { return newBody(catalog[t].Source) }

// newBody gives an empty body for events of s.
func newBody(s Source) Snapshot {
	switch s {
	case SourceOrderAPI:
		return &eventspb.Order{}
	case SourceInventory:
		return &eventspb.Reservation{}
	case SourceShipping:
		return &eventspb.Shipment{}
	}
	return nil
}

// Snapshot is the body of an event: all that its source has to say about one order.
// *eventspb.Order, *eventspb.Reservation and *eventspb.Shipment are the three.
type Snapshot interface {
	proto.Message
	GetId() string
	GetCustomerId() string
}
