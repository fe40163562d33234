// Package documents reads what each service has stored about an order, from the outside.
//
// It knows the fields by their names in the database and shares no code with the services, so that a mistake of theirs
// cannot hide here too. A database that is not there is an *UnreachableError.
package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/mongodb"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// The services that store something about an order, in the order of the chain; also the names of their groups.
const (
	OrderAPI  = string(events.SourceOrderAPI)
	Inventory = string(events.SourceInventory)
	Shipping  = string(events.SourceShipping)
)

// Services lists them.
func Services() []string { return []string{OrderAPI, Inventory, Shipping} }

// collections by service.
var collections = map[string]string{OrderAPI: "orders", Inventory: "reservations", Shipping: "shipments"}

// UnreachableError says that the database does not answer.
type UnreachableError struct{ err error }

func (e *UnreachableError) Error() string { return e.err.Error() }
func (e *UnreachableError) Unwrap() error { return e.err }

// Away gives an error of a database as an *UnreachableError where it is one: the database did not answer or had no
// primary, and it was not the caller who ended it. A refusal, and what cannot be decoded, stays as it is.
func Away(ctx context.Context, err error) error {
	if mongodb.IsAway(err) && !errors.Is(ctx.Err(), context.Canceled) {
		return &UnreachableError{err}
	}
	return err
}

// patience is how long a database may take to answer for the first time.
const patience = 10 * time.Second

// Databases are those of the services.
type Databases struct {
	client *mongo.Database // whose client is everybody's
	names  map[string]string
}

// Open connects; names tells the database of each service. Close it.
func Open(ctx context.Context, uri string, names map[string]string) (*Databases, error) {
	for _, service := range Services() {
		if names[service] == "" {
			return nil, fmt.Errorf("which database is that of %s", service)
		}
	}
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	db, err := mongodb.Connect(wait, mongodb.Config{URI: uri, Database: names[OrderAPI], Timeout: time.Minute}, "orderctl", nil)
	if err != nil {
		if wait.Err() != nil && ctx.Err() == nil {
			return nil, &UnreachableError{err}
		}
		return nil, err
	}
	return &Databases{client: db, names: names}, nil
}

// Close ends the connections.
func (d *Databases) Close(ctx context.Context) error { return mongodb.Disconnect(ctx, d.client) }

// Collection gives the collection in which a service keeps one document per order.
func (d *Databases) Collection(service string) *mongo.Collection {
	return d.client.Client().Database(d.names[service]).Collection(collections[service])
}

// Envelope is what every document has.
type Envelope struct {
	ID      string `bson:"_id" json:"id"`
	Version int64  `bson:"version" json:"version"`
	// Sequences holds, per topic, the last number given out; Seen, per source, the last one taken.
	Sequences map[string]int64 `bson:"sequences" json:"sequences"`
	Seen      map[string]int64 `bson:"seen" json:"seen"`
	Outbox    []Entry          `bson:"outbox" json:"outbox"`
	CreatedAt time.Time        `bson:"createdAt" json:"createdAt"`
	UpdatedAt time.Time        `bson:"updatedAt" json:"updatedAt"`
}

// Entry is an event that is not known to be published yet.
type Entry struct {
	ID       string    `bson:"id" json:"id"`
	Topic    string    `bson:"topic" json:"topic"`
	Sequence int64     `bson:"sequence" json:"sequence"`
	At       time.Time `bson:"at" json:"at"`
	Headers  []struct {
		Key   string `bson:"key"`
		Value string `bson:"value"`
	} `bson:"headers" json:"-"`
}

// Type of the event.
func (e Entry) Type() string {
	for _, h := range e.Headers {
		if h.Key == events.HeaderType {
			return h.Value
		}
	}
	return ""
}

// Address as all services store it.
type Address struct {
	Name       string `bson:"name" json:"name"`
	Street     string `bson:"street" json:"street"`
	City       string `bson:"city" json:"city"`
	PostalCode string `bson:"postalCode" json:"postalCode"`
	Country    string `bson:"country" json:"country"`
}

// Short is an item that was not there.
type Short struct {
	SKU       string `bson:"sku" json:"sku"`
	Wanted    int32  `bson:"wanted" json:"wanted"`
	Available int64  `bson:"available" json:"available"`
}

// Order is order-api's document.
type Order struct {
	Envelope        `bson:",inline"`
	CustomerID      string `bson:"customerId" json:"customerId"`
	Status          string `bson:"status" json:"status"`
	Revision        int64  `bson:"revision" json:"revision"`
	AddressRevision int64  `bson:"addressRevision" json:"addressRevision"`
	Waiting         *struct {
		Since time.Time `bson:"since" json:"since"`
	} `bson:"waiting" json:"waiting,omitempty"`
	CancelRequestedAt *time.Time   `bson:"cancelRequestedAt" json:"cancelRequestedAt,omitempty"`
	Stock             *OrderStock  `bson:"stock" json:"stock,omitempty"`
	Shipment          *OrderParcel `bson:"shipment" json:"shipment,omitempty"`
}

// Since tells when the order got into its state.
func (o *Order) Since() time.Time {
	switch {
	case o.Waiting != nil:
		return o.Waiting.Since
	case o.Status == "pending":
		return o.CreatedAt
	default:
		return o.UpdatedAt
	}
}

// OrderStock is what an order has heard of inventory.
type OrderStock struct {
	Status eventspb.ReservationStatus `bson:"status" json:"status"`
	Cause  eventspb.ReleaseCause      `bson:"cause" json:"cause"`
	Short  []Short                    `bson:"short" json:"short"`
}

// MarshalJSON spells the enums as events do.
func (k OrderStock) MarshalJSON() ([]byte, error) {
	type plain OrderStock
	return json.Marshal(struct {
		plain
		Status string `json:"status"`
		Cause  string `json:"cause,omitempty"`
	}{plain(k), events.Word(k.Status), events.Word(k.Cause)})
}

// OrderParcel is what an order has heard of shipping.
type OrderParcel struct {
	Status  eventspb.ShipmentStatus `bson:"status" json:"status"`
	Carrier string                  `bson:"carrier" json:"carrier"`
	Service string                  `bson:"service" json:"service"`
	Cost    struct {
		Amount   int64  `bson:"amount" json:"amount"`
		Currency string `bson:"currency" json:"currency"`
	} `bson:"cost" json:"cost"`
	EstimatedDelivery time.Time              `bson:"estimatedDelivery" json:"estimatedDelivery"`
	TrackingNumber    string                 `bson:"trackingNumber" json:"trackingNumber"`
	Address           Address                `bson:"address" json:"address"`
	AddressRevision   int64                  `bson:"addressRevision" json:"addressRevision"`
	AddressRefused    bool                   `bson:"addressRefused" json:"addressRefused"`
	CancelRefused     bool                   `bson:"cancelRefused" json:"cancelRefused"`
	Failure           eventspb.FailureReason `bson:"failure" json:"failure"`
}

// MarshalJSON spells the enums as events do.
func (p OrderParcel) MarshalJSON() ([]byte, error) {
	type plain OrderParcel
	return json.Marshal(struct {
		plain
		Status  string `json:"status"`
		Failure string `json:"failure,omitempty"`
	}{plain(p), events.Word(p.Status), events.Word(p.Failure)})
}

// Reservation is inventory's document.
type Reservation struct {
	Envelope   `bson:",inline"`
	CustomerID string  `bson:"customerId" json:"customerId"`
	Status     string  `bson:"status" json:"status"`
	Cause      string  `bson:"cause" json:"cause"`
	Short      []Short `bson:"short" json:"short"`
	Request    *struct {
		AddressRevision int64 `bson:"addressRevision" json:"addressRevision"`
		CancelRequested bool  `bson:"cancelRequested" json:"cancelRequested"`
	} `bson:"request" json:"request,omitempty"`
}

// Shipment is shipping's document.
type Shipment struct {
	Envelope        `bson:",inline"`
	CustomerID      string    `bson:"customerId" json:"customerId"`
	Status          string    `bson:"status" json:"status"`
	TrackingNumber  string    `bson:"trackingNumber" json:"trackingNumber"`
	AddressRevision int64     `bson:"addressRevision" json:"addressRevision"`
	AddressRefused  bool      `bson:"addressRefused" json:"addressRefused"`
	CancelRefused   bool      `bson:"cancelRefused" json:"cancelRefused"`
	FailureReason   string    `bson:"failureReason" json:"failureReason"`
	Due             time.Time `bson:"due" json:"due"` // when the simulated carrier acts; zero: never by itself
}

// Document is any of the three; exactly one is set, none where the service knows nothing of the order.
type Document struct {
	Order       *Order       `json:"order,omitempty"`
	Reservation *Reservation `json:"reservation,omitempty"`
	Shipment    *Shipment    `json:"shipment,omitempty"`
}

// Envelope of the one that is set; nil where there is none.
func (d Document) Envelope() *Envelope {
	switch {
	case d.Order != nil:
		return &d.Order.Envelope
	case d.Reservation != nil:
		return &d.Reservation.Envelope
	case d.Shipment != nil:
		return &d.Shipment.Envelope
	default:
		return nil
	}
}

// Find reads what a service has stored about these orders; the ones that it does not know are missing.
func (d *Databases) Find(ctx context.Context, service string, ids ...string) (map[string]Document, error) {
	cursor, err := d.Collection(service).Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	if err != nil {
		return nil, Away(ctx, fmt.Errorf("read documents of %s: %w", service, err))
	}
	found := make(map[string]Document, len(ids))
	for cursor.Next(ctx) {
		var doc Document
		switch service {
		case OrderAPI:
			err = cursor.Decode(&doc.Order)
		case Inventory:
			err = cursor.Decode(&doc.Reservation)
		default:
			err = cursor.Decode(&doc.Shipment)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("read a document of %s: %w", service, err), cursor.Close(ctx))
		}
		found[doc.Envelope().ID] = doc
	}
	if err := errors.Join(cursor.Err(), cursor.Close(ctx)); err != nil {
		return nil, Away(ctx, fmt.Errorf("read documents of %s: %w", service, err))
	}
	return found, nil
}
