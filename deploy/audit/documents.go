package audit

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/reflect/protoreflect"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// The documents as the services store them, field by field. What is not named here is not audited.
type (
	// StoredEnvelope is exported because the driver leaves out what is not.
	StoredEnvelope struct {
		ID        string           `bson:"_id"`
		Version   int64            `bson:"version"`
		Sequences map[string]int64 `bson:"sequences"`
		Seen      map[string]int64 `bson:"seen"`
		Outbox    []struct {
			Topic    string `bson:"topic"`
			Sequence int64  `bson:"sequence"`
		} `bson:"outbox"`
	}
	storedMoney struct {
		Amount   int64  `bson:"amount"`
		Currency string `bson:"currency"`
	}
	storedAddress struct {
		Name       string `bson:"name"`
		Street     string `bson:"street"`
		City       string `bson:"city"`
		PostalCode string `bson:"postalCode"`
		Country    string `bson:"country"`
	}
	storedShort struct {
		SKU       string `bson:"sku"`
		Wanted    int32  `bson:"wanted"`
		Available int64  `bson:"available"`
	}
	storedOrder struct {
		StoredEnvelope `bson:",inline"`
		CustomerID     string `bson:"customerId"`
		Items          []struct {
			SKU       string      `bson:"sku"`
			Name      string      `bson:"name"`
			Quantity  int32       `bson:"quantity"`
			UnitPrice storedMoney `bson:"unitPrice"`
		} `bson:"items"`
		Total             storedMoney   `bson:"total"`
		ShippingAddress   storedAddress `bson:"shippingAddress"`
		Note              string        `bson:"note"`
		Revision          int64         `bson:"revision"`
		AddressRevision   int64         `bson:"addressRevision"`
		CancelRequestedAt *time.Time    `bson:"cancelRequestedAt"`
		Stock             *struct {
			Status eventspb.ReservationStatus `bson:"status"`
			Cause  eventspb.ReleaseCause      `bson:"cause"`
			Short  []storedShort              `bson:"short"`
		} `bson:"stock"`
		Shipment *struct {
			ID                string                  `bson:"id"`
			Status            eventspb.ShipmentStatus `bson:"status"`
			Carrier           string                  `bson:"carrier"`
			Service           string                  `bson:"service"`
			Cost              storedMoney             `bson:"cost"`
			EstimatedDelivery time.Time               `bson:"estimatedDelivery"`
			TrackingNumber    string                  `bson:"trackingNumber"`
			Address           storedAddress           `bson:"address"`
			AddressRevision   int64                   `bson:"addressRevision"`
			AddressRefused    bool                    `bson:"addressRefused"`
			CancelRefused     bool                    `bson:"cancelRefused"`
			Failure           eventspb.FailureReason  `bson:"failure"`
		} `bson:"shipment"`
		Status    string    `bson:"status"`
		CreatedAt time.Time `bson:"createdAt"`
		UpdatedAt time.Time `bson:"updatedAt"`
	}
	storedReservation struct {
		StoredEnvelope `bson:",inline"`
		CustomerID     string `bson:"customerId"`
		Status         string `bson:"status"`
		Cause          string `bson:"cause"`
		Items          []struct {
			SKU      string `bson:"sku"`
			Quantity int32  `bson:"quantity"`
		} `bson:"items"`
		Short   []storedShort `bson:"short"`
		Request *struct {
			Address         storedAddress `bson:"address"`
			AddressRevision int64         `bson:"addressRevision"`
			CancelRequested bool          `bson:"cancelRequested"`
		} `bson:"request"`
	}
	storedShipment struct {
		StoredEnvelope `bson:",inline"`
		CustomerID     string `bson:"customerId"`
		Status         string `bson:"status"`
		Pieces         int64  `bson:"pieces"`
		Rate           struct {
			Carrier  string `bson:"carrier"`
			Service  string `bson:"service"`
			Cost     int64  `bson:"cost"`
			Currency string `bson:"currency"`
		} `bson:"rate"`
		EstimatedDelivery time.Time     `bson:"estimatedDelivery"`
		TrackingNumber    string        `bson:"trackingNumber"`
		Address           storedAddress `bson:"address"`
		AddressRevision   int64         `bson:"addressRevision"`
		AddressRefused    bool          `bson:"addressRefused"`
		CancelRefused     bool          `bson:"cancelRefused"`
		FailureReason     string        `bson:"failureReason"`
		Due               time.Time     `bson:"due"`
	}
)

// What remains of them while an audit runs.
type (
	// Envelope is exported because gob leaves out what is not.
	Envelope struct {
		ID string
		// The last sequence given out per topic, the last one taken per source.
		OwnOrders, OwnShipping                    int64
		SeenOrderAPI, SeenInventory, SeenShipping int64
		Pending                                   []pending // the outbox
	}
	pending struct {
		Shipping bool // of shipping-events; else of order-events
		Sequence int64
	}
	orderDocument struct {
		Envelope
		Facts orderFacts
		// Amounts is the status that its facts amount to.
		Amounts  eventspb.OrderStatus
		HasStock bool
		Stock    stockFacts
		// HasShipment tells whether shipping has been heard, Shipment what it said.
		HasShipment bool
		Shipment    shipmentFacts
	}
	reservationDocument struct {
		Envelope
		Facts reservationFacts
	}
	shipmentDocument struct {
		Envelope
		Facts  shipmentFacts
		Pieces int64
	}
)

func (e *Envelope) waits(shipping bool, sequence int64) bool {
	for _, p := range e.Pending {
		if p.Shipping == shipping && p.Sequence == sequence {
			return true
		}
	}
	return false
}

func (s *StoredEnvelope) envelope() Envelope {
	e := Envelope{
		ID: s.ID, OwnOrders: s.Sequences[events.TopicOrders], OwnShipping: s.Sequences[events.TopicShipping],
		SeenOrderAPI: s.Seen[string(events.SourceOrderAPI)], SeenInventory: s.Seen[string(events.SourceInventory)],
		SeenShipping: s.Seen[string(events.SourceShipping)],
	}
	for _, o := range s.Outbox {
		e.Pending = append(e.Pending, pending{o.Topic == events.TopicShipping, o.Sequence})
	}
	return e
}

func (a storedAddress) hash() hash {
	return addressHash(a.Name, a.Street, a.City, a.PostalCode, a.Country)
}

func storedShortHash(items []storedShort) hash {
	h := emptyHash
	for _, i := range items {
		h = h.str(i.SKU).num(int64(i.Wanted)).num(i.Available)
	}
	return h
}

// words reads an enum value by its lower-case word, as the events spell it.
func words[E interface {
	~int32
	protoreflect.Enum
}](names map[int32]string) map[string]E {
	out := map[string]E{}
	for n := range names {
		out[events.Word(E(n))] = E(n)
	}
	return out
}

var (
	orderStatuses       = words[eventspb.OrderStatus](eventspb.OrderStatus_name)
	reservationStatuses = words[eventspb.ReservationStatus](eventspb.ReservationStatus_name)
	releaseCauses       = words[eventspb.ReleaseCause](eventspb.ReleaseCause_name)
	shipmentStatuses    = words[eventspb.ShipmentStatus](eventspb.ShipmentStatus_name)
	failureReasons      = words[eventspb.FailureReason](eventspb.FailureReason_name)
)

func (s *storedOrder) document() orderDocument {
	d := orderDocument{Envelope: s.envelope(), Facts: orderFacts{
		Customer: hashOf(s.CustomerID), Goods: emptyHash, Address: s.ShippingAddress.hash(), Note: hashOf(s.Note),
		Status: orderStatuses[s.Status], Version: s.Version, Revision: s.Revision, AddressRevision: s.AddressRevision,
		CancelledAt: milliOf(s.CancelRequestedAt), CreatedAt: s.CreatedAt.UnixMilli(), UpdatedAt: s.UpdatedAt.UnixMilli(),
	}}
	d.Facts.Prices = emptyHash.num(s.Total.Amount).str(s.Total.Currency)
	for _, i := range s.Items {
		d.Facts.Goods = d.Facts.Goods.str(i.SKU).num(int64(i.Quantity))
		d.Facts.Prices = d.Facts.Prices.str(i.Name).num(i.UnitPrice.Amount).str(i.UnitPrice.Currency)
	}
	if s.Stock != nil {
		d.HasStock, d.Stock = true, stockFacts{Status: s.Stock.Status, Cause: s.Stock.Cause}
		if s.Stock.Status == eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED {
			d.Stock.Short = storedShortHash(s.Stock.Short)
		}
		if d.Facts.Status == eventspb.OrderStatus_ORDER_STATUS_REJECTED {
			d.Facts.Short = storedShortHash(s.Stock.Short)
		}
	}
	if p := s.Shipment; p != nil {
		d.HasShipment = true
		d.Shipment = shipmentFacts{
			Customer: d.Facts.Customer, Tracking: hashOf(p.TrackingNumber), Address: p.Address.hash(),
			Plan:   planHash(p.Carrier, p.Service, p.Cost.Amount, p.Cost.Currency, p.EstimatedDelivery.UnixMilli()),
			Status: p.Status, Failure: p.Failure, Revision: p.AddressRevision, Refused: p.AddressRefused,
			CancelRefused: p.CancelRefused,
		}
		d.Facts.Shipment = shownHash(p.ID, p.Status, p.Carrier, p.Service, p.Cost.Amount, p.Cost.Currency,
			p.EstimatedDelivery.UnixMilli(), p.TrackingNumber, p.Address.hash())
	}
	d.Amounts = amountsTo(&d)
	return d
}

func (s *storedReservation) document() reservationDocument {
	d := reservationDocument{Envelope: s.envelope(), Facts: reservationFacts{
		Customer: hashOf(s.CustomerID), Items: emptyHash, Status: reservationStatuses[s.Status], Cause: releaseCauses[s.Cause],
	}}
	for _, i := range s.Items {
		d.Facts.Items = d.Facts.Items.str(i.SKU).num(int64(i.Quantity))
		d.Facts.Pieces += int64(i.Quantity)
	}
	if d.Facts.Status == eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED {
		d.Facts.Short = storedShortHash(s.Short)
	}
	if q := s.Request; q != nil {
		d.Facts.Asked, d.Facts.Cancel, d.Facts.Revision = true, q.CancelRequested, q.AddressRevision
		d.Facts.Address = q.Address.hash()
	}
	return d
}

func (s *storedShipment) document() shipmentDocument {
	return shipmentDocument{Envelope: s.envelope(), Pieces: s.Pieces, Facts: shipmentFacts{
		Customer: hashOf(s.CustomerID), Tracking: hashOf(s.TrackingNumber), Address: s.Address.hash(),
		Plan:   planHash(s.Rate.Carrier, s.Rate.Service, s.Rate.Cost, s.Rate.Currency, s.EstimatedDelivery.UnixMilli()),
		Status: shipmentStatuses[s.Status], Failure: failureReasons[s.FailureReason], Revision: s.AddressRevision,
		Refused: s.AddressRefused, CancelRefused: s.CancelRefused,
	}}
}

// onItsWay tells whether the simulated carrier will act on it: it is told when (a zero or the epoch is never), and the
// parcel has not ended.
func (s *storedShipment) onItsWay() bool {
	status := shipmentStatuses[s.Status]
	return s.Due.Unix() > 0 && (status == scheduled || status == dispatched)
}

// lean leaves out of a document what is large and not audited.
var lean = bson.D{
	{Key: "history", Value: 0},
	{Key: "outbox.headers", Value: 0},
	{Key: "outbox.body", Value: 0},
	{Key: "idempotency", Value: 0},
}

// everything is one page of all documents.
var everything = [][]string{nil}

// scan hands each document of a collection to each: those of the ids, page by page; a page of nil is all of them.
func scan[T any](ctx context.Context, c *mongo.Collection, pages [][]string, projection bson.D, each func(*T) error) error {
	for _, ids := range pages {
		filter := bson.D{}
		if ids != nil {
			filter = bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}
		}
		if err := scanPage(ctx, c, filter, projection, each); err != nil {
			return err
		}
	}
	return nil
}

func scanPage[T any](ctx context.Context, c *mongo.Collection, filter, projection bson.D, each func(*T) error) error {
	cursor, err := c.Find(ctx, filter, options.Find().SetProjection(projection).SetBatchSize(1000))
	if err != nil {
		return unreachable(ctx, fmt.Errorf("read %s: %w", nameOf(c), err))
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	for cursor.Next(ctx) {
		var doc T
		if err := cursor.Decode(&doc); err != nil {
			return fmt.Errorf("read %s: %w", nameOf(c), err)
		}
		if err := each(&doc); err != nil {
			return err
		}
	}
	if err := cursor.Err(); err != nil {
		return unreachable(ctx, fmt.Errorf("read %s: %w", nameOf(c), err))
	}
	return nil
}

func nameOf(c *mongo.Collection) string { return c.Database().Name() + "." + c.Name() }

// present tells which of these ids a collection has.
func present(ctx context.Context, c *mongo.Collection, ids []string) (map[string]bool, error) {
	there := map[string]bool{}
	for len(ids) > 0 {
		page := ids[:min(len(ids), 1000)]
		ids = ids[len(page):]
		cursor, err := c.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: page}}}},
			options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil {
			return nil, unreachable(ctx, fmt.Errorf("read %s: %w", nameOf(c), err))
		}
		var docs []struct {
			ID string `bson:"_id"`
		}
		if err := cursor.All(ctx, &docs); err != nil {
			return nil, unreachable(ctx, fmt.Errorf("read %s: %w", nameOf(c), err))
		}
		for _, d := range docs {
			there[d.ID] = true
		}
	}
	return there, nil
}
