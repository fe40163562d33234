package audit

import (
	"slices"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// The four streams of an order: one source on one topic, numbered 1, 2, 3…
const (
	fromOrderAPI = iota
	fromInventory
	fromInventoryToShipping
	fromShipping
	streams
)

// stream of the event's.
func (h *heard) stream() int {
	switch info := h.info(); {
	case info.Source == events.SourceOrderAPI:
		return fromOrderAPI
	case info.Source == events.SourceShipping:
		return fromShipping
	case info.Topic == events.TopicShipping:
		return fromInventoryToShipping
	default:
		return fromInventory
	}
}

// stream is what the log has shown of one. Sequence base+n has the content seen[n], 0 where it was not seen.
type stream struct {
	base int64
	last int64
	seen []hash
}

// maxJump bounds what a forged sequence can make us hold.
const maxJump = 10_000

func (s *stream) has(sequence int64) bool {
	n := sequence - s.base
	return s.base > 0 && n >= 0 && n < int64(len(s.seen)) && s.seen[n] != 0
}

// note takes in a record of the stream. first tells whether its sequence was not seen before; wrong what is not as it
// must be. truncated says that the log does not begin at its first record: then any sequence may come first, or, where
// the one that was last before is known, the next one.
func (s *stream) note(sequence int64, content hash, truncated bool, before int64) (first bool, wrong string) {
	if s.base == 0 {
		s.base, s.last = 1, 0
		switch {
		case truncated && before > 0:
			s.base, s.last = before+1, before
		case truncated:
			s.base, s.last = sequence, sequence-1
		}
	}
	n := sequence - s.base
	switch {
	case n < 0: // a repeat of what is no longer in the log
		return false, ""
	case sequence > s.last+maxJump:
		return false, "its sequence is far from the one before"
	case s.has(sequence) && s.seen[n] == content:
		return false, ""
	case s.has(sequence):
		return false, "another event had this sequence before"
	}
	if grow := int(n) + 1 - len(s.seen); grow > 0 {
		s.seen = slices.Grow(s.seen, grow)[:n+1]
	}
	s.seen[n] = content
	switch {
	case sequence == s.last+1:
	case sequence > s.last:
		wrong = "its sequence comes where an older one is due"
	default:
		wrong = "its sequence comes for the first time after a newer one"
	}
	s.last = max(s.last, sequence)
	return true, wrong
}

// contentOf is all of a record that must be the same in a repeat: headers and value.
func contentOf(r *topics.Record) hash {
	h := emptyHash.bytes(r.Key)
	for _, header := range r.Headers {
		h = h.str(header.Key).bytes(header.Value)
	}
	h = h.bytes(r.Value)
	if h == 0 {
		h = 1
	}
	return h
}

// once are the types that an order has at most one of. The two releases are told apart by their cause.
var once = map[events.Type]uint16{
	events.OrderCreated: 1 << 0, events.OrderCancelRequested: 1 << 1, events.StockReserved: 1 << 2,
	events.StockRejected: 1 << 3, events.ShipmentRequested: 1 << 4, events.ShipmentCancelRequested: 1 << 5,
	events.ShipmentScheduled: 1 << 6, events.ShipmentDispatched: 1 << 7, events.ShipmentDelivered: 1 << 8,
	events.ShipmentCancelled: 1 << 9, events.ShipmentCancelRefused: 1 << 10, events.ShipmentFailed: 1 << 11,
}

const (
	releasedCancelled uint16 = 1 << 12
	releasedFailed    uint16 = 1 << 13
)

// once gives the bit of a type that comes once, 0 for others.
func (h *heard) once() uint16 {
	if h.Type != events.StockReleased {
		return once[h.Type]
	}
	if h.Reservation.Cause == causeFailed {
		return releasedFailed
	}
	return releasedCancelled
}

// exclusive are pairs that one order never has both of.
var exclusive = []struct {
	a, b uint16
	why  string
}{
	{once[events.StockReserved], once[events.StockRejected], "it was both reserved and rejected"},
	{releasedCancelled, once[events.ShipmentDispatched], "it was both shipped and cancelled with its stock given back"},
	{releasedCancelled, releasedFailed, "its stock was given back twice"},
	{once[events.ShipmentCancelled], once[events.ShipmentDispatched], "its shipment was both cancelled and dispatched"},
	{once[events.ShipmentDelivered], once[events.ShipmentFailed], "its shipment was both delivered and failed"},
}
