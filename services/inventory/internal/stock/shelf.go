package stock

import (
	"maps"
	"slices"
)

// Item is a number of pieces of one SKU.
type Item struct {
	SKU      string `bson:"sku"`
	Quantity int32  `bson:"quantity"`
}

// Short is an item of which there was not enough.
type Short struct {
	SKU       string `bson:"sku"`
	Wanted    int32  `bson:"wanted"`
	Available int64  `bson:"available"`
}

// Shelf is the stock that a batch of orders touches: as it was read, with what the batch has done to it so far.
// First come, first served: goods that one order gives back are there for the next.
type Shelf struct {
	levels  map[string]*Level
	changes map[string]*Level
}

// NewShelf gives a shelf with these levels on it. A SKU without one is there zero times.
func NewShelf(levels []Level) *Shelf {
	s := &Shelf{levels: make(map[string]*Level, len(levels)), changes: map[string]*Level{}}
	for _, l := range levels {
		s.levels[l.SKU] = &l
	}
	return s
}

// short names the items of which there is not enough.
func (s *Shelf) short(items []Item) []Short {
	var short []Short
	for _, i := range items {
		var available int64
		if l := s.levels[i.SKU]; l != nil {
			available = l.Available
		}
		if available < int64(i.Quantity) {
			short = append(short, Short{SKU: i.SKU, Wanted: i.Quantity, Available: available})
		}
	}
	return short
}

// move takes items from one bucket to another.
func (s *Shelf) move(items []Item, from, to Bucket) {
	if from == to {
		return
	}
	for _, i := range items {
		change := s.changes[i.SKU]
		if change == nil {
			change = &Level{SKU: i.SKU}
			s.changes[i.SKU] = change
		}
		if s.levels[i.SKU] == nil {
			s.levels[i.SKU] = &Level{SKU: i.SKU}
		}
		for _, l := range []*Level{change, s.levels[i.SKU]} {
			*l.In(from) -= int64(i.Quantity)
			*l.In(to) += int64(i.Quantity)
		}
	}
}

// Changes gives what the batch adds to each counter, sorted by SKU; what it takes back again is left out.
func (s *Shelf) Changes() []Level {
	var changes []Level
	for _, sku := range slices.Sorted(maps.Keys(s.changes)) {
		if change := *s.changes[sku]; change != (Level{SKU: sku}) {
			changes = append(changes, change)
		}
	}
	return changes
}
