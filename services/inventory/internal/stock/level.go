package stock

import (
	"errors"
	"fmt"
	"regexp"
)

var (
	// ErrNotFound says that there is no stock row of that SKU.
	ErrNotFound = errors.New("no stock is kept under this SKU")
	// ErrBelowZero says that an adjustment would take away more than is available.
	ErrBelowZero = errors.New("there is not that much available")
	// ErrKeyReused says that an idempotency key was used for another adjustment of the SKU.
	ErrKeyReused = errors.New("the Idempotency-Key was used for another adjustment")
)

// Bucket is where goods are.
type Bucket int

// The buckets. Goods are available before they are reserved and after they were given back.
const (
	Available Bucket = iota
	Reserved
	Shipped
	WrittenOff
)

// Level says what there is of one SKU, in pieces per bucket. The sum is that of all adjustments.
type Level struct {
	SKU        string `bson:"_id"`
	Available  int64  `bson:"available"`
	Reserved   int64  `bson:"reserved"`
	Shipped    int64  `bson:"shipped"`
	WrittenOff int64  `bson:"writtenOff"`
}

// In gives the counter of a bucket.
func (l *Level) In(b Bucket) *int64 {
	switch b {
	case Available:
		return &l.Available
	case Reserved:
		return &l.Reserved
	case Shipped:
		return &l.Shipped
	case WrittenOff:
		return &l.WrittenOff
	}
	panic(fmt.Sprintf("bucket %d", b))
}

// Total is all that was ever brought in, less what was taken out by adjustments.
func (l *Level) Total() int64 { return l.Available + l.Reserved + l.Shipped + l.WrittenOff }

// Adjust brings goods in or, below zero, takes available ones out.
func (l *Level) Adjust(quantity int64) error {
	if l.Available+quantity < 0 {
		return fmt.Errorf("take %d of %d: %w", -quantity, l.Available, ErrBelowZero)
	}
	l.Available += quantity
	return nil
}

var sku = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// ValidSKU tells whether s may name a stock row.
func ValidSKU(s string) bool { return sku.MatchString(s) }
