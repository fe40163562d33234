// Package order holds the rules of an order: what a customer may place, change and cancel, what the other services'
// news make of it, and which status follows from all that.
//
// It knows neither HTTP nor MongoDB nor Kafka (the bson tags are names, no more). An order stores facts, one per source:
// what inventory last said, what shipping last said, and whether its customer wants out. Nothing else decides its
// status, so news may arrive in any order between the two topics and the end is the same. Saving an order, and saying
// to the world that it changed, is the store's part.
package order

import (
	"errors"
	"fmt"
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// MaxEdits is how often a customer may change one order. It bounds the document's history and its events.
const MaxEdits = 200

var (
	// ErrNotFound says that there is no such order, or that the one who asks may not know of it.
	ErrNotFound = errors.New("order not found")
	// ErrTooManyEdits says that the order was changed MaxEdits times.
	ErrTooManyEdits = fmt.Errorf("an order can be changed %d times", MaxEdits)
)

// StateError says that the order's status does not allow the command.
type StateError struct {
	Command string
	Status  Status
}

func (e *StateError) Error() string {
	return fmt.Sprintf("an order that is %s cannot be %s", events.Word(e.Status), e.Command)
}

// Status is what an order's facts amount to.
type Status = eventspb.OrderStatus

// Money is an amount in minor units of an ISO 4217 currency.
type Money struct {
	Amount   int64  `bson:"amount"`
	Currency string `bson:"currency"`
}

// Address is where the parcel goes.
type Address struct {
	Name       string `bson:"name"`
	Street     string `bson:"street"`
	City       string `bson:"city"`
	PostalCode string `bson:"postalCode"`
	Country    string `bson:"country"`
}

// Item is one line of an order, at the price of the day it was placed.
type Item struct {
	SKU       string `bson:"sku"`
	Name      string `bson:"name"`
	Quantity  int32  `bson:"quantity"`
	UnitPrice Money  `bson:"unitPrice"`
}

// LineTotal is the price of the line.
func (i Item) LineTotal() Money {
	return Money{Amount: i.UnitPrice.Amount * int64(i.Quantity), Currency: i.UnitPrice.Currency}
}

// Order is one order with all the facts about it.
type Order struct {
	// ID and Version are the document's, kept beside the order by the store.
	ID      string `bson:"-"`
	Version int64  `bson:"-"`

	CustomerID      string  `bson:"customerId"`
	Items           []Item  `bson:"items"`
	Total           Money   `bson:"total"`
	ShippingAddress Address `bson:"shippingAddress"`
	Note            string  `bson:"note"`

	// Revision counts what clients change, AddressRevision their changes of the address, Edits their patches.
	Revision        int64 `bson:"revision"`
	AddressRevision int64 `bson:"addressRevision"`
	Edits           int   `bson:"edits"`

	// The facts. CancelRequestedAt, Stock and Shipment are nil until the customer, inventory, shipping has spoken.
	CancelRequestedAt *time.Time `bson:"cancelRequestedAt"`
	Stock             *Stock     `bson:"stock"`
	Shipment          *Shipment  `bson:"shipment"`

	History   []Line    `bson:"history"`
	CreatedAt time.Time `bson:"createdAt"`
	UpdatedAt time.Time `bson:"updatedAt"`
}

// Line is one entry of an order's history: an event that changed it, and the version that it became by that.
type Line struct {
	Time     time.Time     `bson:"time"`
	Source   events.Source `bson:"source"`
	Type     events.Type   `bson:"type"`
	Sequence int64         `bson:"sequence"`
	Version  int64         `bson:"version"`
}

// Edit changes the order as its customer asks. It is false when nothing differs, a *StateError when the order has
// left, has ended or is being cancelled, and ErrTooManyEdits at the bound.
func (o *Order) Edit(p Patch) (changed bool, err error) {
	next, note, err := p.apply(o.ShippingAddress, o.Note)
	if err != nil {
		return false, err
	}
	if !o.open() {
		return false, &StateError{Command: "changed", Status: o.Status()}
	}
	if next == o.ShippingAddress && note == o.Note {
		return false, nil
	}
	if o.Edits >= MaxEdits {
		return false, ErrTooManyEdits
	}
	if next != o.ShippingAddress {
		o.AddressRevision++
	}
	o.ShippingAddress, o.Note = next, note
	o.Edits++
	o.Revision++
	return true, nil
}

// Cancel notes that the customer wants out. It is false when that is known already, and a *StateError when the order
// has left or has ended.
func (o *Order) Cancel(at time.Time) (changed bool, err error) {
	switch o.Status() {
	case eventspb.OrderStatus_ORDER_STATUS_CANCELLING, eventspb.OrderStatus_ORDER_STATUS_CANCELLED:
		return false, nil
	default:
	}
	if !o.open() {
		return false, &StateError{Command: "cancelled", Status: o.Status()}
	}
	o.CancelRequestedAt = &at
	o.Revision++
	return true, nil
}

// open tells whether the customer may still change or cancel the order.
func (o *Order) open() bool {
	s := o.Status()
	return s == eventspb.OrderStatus_ORDER_STATUS_PENDING || s == eventspb.OrderStatus_ORDER_STATUS_CONFIRMED
}

// Record adds a line to the history.
func (o *Order) Record(l Line) { o.History = append(o.History, l) }

// Now gives t as an order stores it: in UTC, to the millisecond.
func Now(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
