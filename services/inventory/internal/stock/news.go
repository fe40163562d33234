package stock

import (
	"cmp"
	"slices"
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// News is one event about an order, from order-api or from shipping.
type News struct {
	Sequence    int64 // counts per source
	TraceParent string
	// One of the two is set, and tells the source.
	Order    *eventspb.Order
	Shipment *eventspb.Shipment
}

// Source of the news.
func (n News) Source() events.Source {
	if n.Order != nil {
		return events.SourceOrderAPI
	}
	return events.SourceShipping
}

// Dossier is all the news of one order in a batch.
type Dossier struct {
	OrderID string
	News    []News
}

// Outcome says what the news of one order came to.
type Outcome struct {
	// Reservation is as it is now; nil where there still is none.
	Reservation *Reservation
	// Changed tells whether there is anything to write, Says which events tell of it.
	Changed bool
	Says    []events.Type
	// Taken holds, per source whose snapshot made a difference, its sequence.
	Taken       map[events.Source]int64
	TraceParent string
	// Errors has one outcome for each piece of news: nil, or ErrImpossible or ErrUnknownOrder.
	Errors []error
}

// Fold takes in all the news of one order at once. r is its reservation, nil at first sight; seen tells the last
// sequence taken from a source.
//
// The newest snapshot of a source says it all, so an older one is superseded; only where the newest is impossible is
// the next older one asked. Duplicates and superseded news are recognised before anything is judged.
func Fold(d Dossier, r *Reservation, seen func(events.Source) int64, shelf *Shelf, now time.Time) Outcome {
	out := Outcome{Reservation: r, Taken: map[events.Source]int64{}, Errors: make([]error, len(d.News))}
	if r != nil {
		r = r.clone()
		out.Reservation = r
	}
	for _, source := range []events.Source{events.SourceOrderAPI, events.SourceShipping} {
		for _, i := range newestFirst(d.News, source) {
			n := d.News[i]
			if n.Sequence <= seen(source) {
				break
			}
			changed, err := out.take(n, shelf)
			if err != nil {
				out.Errors[i] = err
				continue
			}
			if changed {
				out.Changed = true
				out.Taken[source], out.TraceParent = n.Sequence, n.TraceParent
			}
			break
		}
	}
	if out.Changed {
		out.Reservation.touch(now)
	}
	return out
}

// take applies one piece of news.
func (out *Outcome) take(n News, shelf *Shelf) (changed bool, err error) {
	var says []events.Type
	switch {
	case n.Order != nil && out.Reservation == nil:
		out.Reservation, says, err = Start(n.Order, shelf)
		changed = err == nil
	case n.Order != nil:
		says, err = out.Reservation.OrderSays(n.Order)
		changed = len(says) > 0
	case out.Reservation == nil:
		err = ErrUnknownOrder
	default:
		says, changed, err = out.Reservation.ShippingSays(n.Shipment, shelf)
	}
	out.Says = append(out.Says, says...)
	return changed, err
}

// newestFirst gives the indexes of a source's news.
func newestFirst(news []News, source events.Source) []int {
	var of []int
	for i, n := range news {
		if n.Source() == source {
			of = append(of, i)
		}
	}
	slices.SortStableFunc(of, func(a, b int) int { return cmp.Compare(news[b].Sequence, news[a].Sequence) })
	return of
}

// clone lets a reservation be changed without touching the one that was read.
func (r *Reservation) clone() *Reservation {
	c := *r
	if r.Request != nil {
		request := *r.Request
		c.Request = &request
	}
	return &c
}

// touch dates a change, in the milliseconds that the store keeps. Clocks differ between instances: time never goes
// backwards here.
func (r *Reservation) touch(now time.Time) {
	now = now.UTC().Truncate(time.Millisecond)
	if r.CreatedAt.IsZero() {
		r.CreatedAt = now
	}
	if now.After(r.UpdatedAt) {
		r.UpdatedAt = now
	}
}
