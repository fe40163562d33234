package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// level is a stock row, or what one must be.
type level struct {
	SKU        string `bson:"_id"`
	Available  int64  `bson:"available"`
	Reserved   int64  `bson:"reserved"`
	Shipped    int64  `bson:"shipped"`
	WrittenOff int64  `bson:"writtenOff"`
}

// sums are what the reservations hold, by SKU. Memory grows with the SKUs, not with the orders.
type sums map[string]*level

func (s sums) of(sku string) *level {
	l := s[sku]
	if l == nil {
		l = &level{SKU: sku}
		s[sku] = l
	}
	return l
}

func (s sums) add(r *storedReservation) {
	for _, i := range r.Items {
		l := s.of(i.SKU)
		switch reservationStatuses[r.Status] {
		case eventspb.ReservationStatus_RESERVATION_STATUS_HELD:
			l.Reserved += int64(i.Quantity)
		case eventspb.ReservationStatus_RESERVATION_STATUS_SHIPPED:
			l.Shipped += int64(i.Quantity)
		case eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF:
			l.WrittenOff += int64(i.Quantity)
		default:
		}
	}
}

// stock checks I2. While stock moves, rows and reservations are read at different moments, so a live audit only sees
// that no counter is below zero.
func (a *auditor) stock(ctx context.Context, db *mongo.Database, reserved sums) error {
	adjusted := map[string]int64{}
	if a.config.Quiesced {
		type adjustment struct {
			SKU      string `bson:"sku"`
			Quantity int64  `bson:"quantity"`
		}
		err := scan(ctx, db.Collection("adjustments"), everything, bson.D{{Key: "sku", Value: 1}, {Key: "quantity", Value: 1}},
			func(d *adjustment) error { adjusted[d.SKU] += d.Quantity; return nil })
		if err != nil {
			return err
		}
	}
	rows := db.Collection("stock")
	err := scan(ctx, rows, everything, bson.D{}, func(row *level) error {
		wrong := func(format string, args ...any) func() Violation {
			return func() Violation {
				return Violation{Document: nameOf(rows) + "/" + row.SKU, Detail: fmt.Sprintf(format, args...)}
			}
		}
		lowest := min(row.Available, row.Reserved, row.Shipped, row.WrittenOff)
		a.found.check("I2", lowest >= 0, wrong("a counter is below zero: %d", lowest))
		if !a.config.Quiesced {
			return nil
		}
		total := row.Available + row.Reserved + row.Shipped + row.WrittenOff
		a.found.checkAtRest("I2", total == adjusted[row.SKU], wrong("available, reserved, shipped and written off are %d together, all adjustments %d", total, adjusted[row.SKU]))
		must := reserved.of(row.SKU)
		for _, c := range []struct {
			name     string
			is, must int64
		}{{"reserved", row.Reserved, must.Reserved}, {"shipped", row.Shipped, must.Shipped}, {"writtenOff", row.WrittenOff, must.WrittenOff}} {
			a.found.checkAtRest("I2", c.is == c.must, wrong("%s is %d, the reservations hold %d", c.name, c.is, c.must))
		}
		delete(reserved, row.SKU)
		delete(adjusted, row.SKU)
		return nil
	})
	if err != nil || !a.config.Quiesced {
		return err
	}
	for _, sku := range slices.Sorted(maps.Keys(reserved)) {
		l := reserved[sku]
		a.found.checkAtRest("I2", l.Reserved+l.Shipped+l.WrittenOff == 0, func() Violation {
			return Violation{Document: nameOf(rows) + "/" + sku, Detail: "reservations hold goods that have no stock row"}
		})
	}
	for _, sku := range slices.Sorted(maps.Keys(adjusted)) {
		a.found.checkAtRest("I2", false, func() Violation {
			return Violation{Document: nameOf(rows) + "/" + sku, Detail: "adjustments were made and there is no stock row"}
		})
	}
	return nil
}
