package stock_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/inventory/internal/stock"
)

// TestFold_AnyOrderOfNewsBalances lets orders live their lives in order-api and shipping, and delivers the news of it
// in batches of any cut: shuffled, doubled, late. After every batch each reservation is what a much simpler model says,
// the counters are what the reservations add up to, and nothing was said twice.
func TestFold_AnyOrderOfNewsBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{books: map[string]*stock.Level{}, total: map[string]int64{}, orders: map[string]*life{}, clock: time.Unix(1_800_000_000, 0)}
		for _, sku := range skus {
			n := rapid.Int64Range(0, 12).Draw(t, "opening of "+sku)
			w.books[sku] = &stock.Level{SKU: sku, Available: n}
			w.total[sku] = n
		}
		t.Repeat(map[string]func(*rapid.T){
			"place":   w.place,
			"move":    w.changeAddress,
			"cancel":  w.cancel,
			"ship":    w.ship,
			"deliver": w.deliver,
			"crash":   w.crash,
			"":        w.check,
		})
	})
}

var skus = []string{"mug-blue", "mug-red", "spoon"}

// world is inventory, with all that happens around it.
type world struct {
	books  map[string]*stock.Level
	total  map[string]int64
	orders map[string]*life
	ids    []string
	clock  time.Time
}

// life of one order.
type life struct {
	order    *eventspb.Order
	orderSeq int64
	shipment *eventspb.Shipment
	shipSeq  int64
	news     []stock.News // all of it, delivered or not

	reservation *stock.Reservation
	seen        map[events.Source]int64
	said        map[events.Type]int

	// What the model knows: the newest that was delivered, and how it was decided at first sight.
	newestOrder, newestShip int
	decision                stock.Status
}

func (l *life) say() {
	l.orderSeq++
	l.news = append(l.news, stock.News{Sequence: l.orderSeq, Order: proto.CloneOf(l.order)})
}

func (w *world) any(t *rapid.T, of func(*life) bool) *life {
	var some []string
	for _, id := range w.ids {
		if of(w.orders[id]) {
			some = append(some, id)
		}
	}
	if len(some) == 0 {
		t.Skip("there is none")
	}
	return w.orders[rapid.SampledFrom(some).Draw(t, "order")]
}

func (w *world) place(t *rapid.T) {
	id := fmt.Sprintf("order-%d", len(w.ids))
	o := &eventspb.Order{Id: id, CustomerId: "alice", ShippingAddress: &eventspb.Address{Street: "Ring 0"}}
	for _, sku := range rapid.Permutation(skus).Draw(t, "skus")[:rapid.IntRange(1, len(skus)).Draw(t, "items")] {
		o.Items = append(o.Items, &eventspb.OrderItem{Sku: sku, Quantity: rapid.Int32Range(1, 4).Draw(t, "quantity")})
	}
	l := &life{order: o, seen: map[events.Source]int64{}, said: map[events.Type]int{}, newestOrder: -1, newestShip: -1}
	w.orders[id], w.ids = l, append(w.ids, id)
	l.say()
}

func (w *world) changeAddress(t *rapid.T) {
	l := w.any(t, func(l *life) bool { return l.order.Cancellation == nil })
	l.order.AddressRevision++
	l.order.ShippingAddress = &eventspb.Address{Street: fmt.Sprintf("Ring %d", l.order.AddressRevision)}
	l.say()
}

func (w *world) cancel(t *rapid.T) {
	l := w.any(t, func(l *life) bool { return l.order.Cancellation == nil })
	l.order.Cancellation = &eventspb.Cancellation{}
	l.say()
	l.say() // order-cancel-requested, order-updated
}

// ship moves a shipment that was requested: scheduled → dispatched → delivered | failed, scheduled → cancelled.
func (w *world) ship(t *rapid.T) {
	const (
		dispatched = eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
		delivered  = eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED
		cancelled  = eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED
		failed     = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED
	)
	l := w.any(t, func(l *life) bool {
		return l.reservation != nil && l.reservation.Request != nil &&
			(l.shipment == nil || l.shipment.Status == dispatched)
	})
	if l.shipment == nil {
		l.shipment = &eventspb.Shipment{Id: l.order.Id, OrderId: l.order.Id, CustomerId: l.order.CustomerId}
		l.shipment.Status = rapid.SampledFrom([]eventspb.ShipmentStatus{dispatched, cancelled}).Draw(t, "first")
	} else {
		switch rapid.SampledFrom([]string{"delivered", "refused", "lost", "cancel-refused"}).Draw(t, "then") {
		case "delivered":
			l.shipment.Status = delivered
		case "refused":
			l.shipment.Status, l.shipment.FailureReason = failed, eventspb.FailureReason_FAILURE_REASON_REFUSED
		case "lost":
			l.shipment.Status, l.shipment.FailureReason = failed, eventspb.FailureReason_FAILURE_REASON_LOST
		case "cancel-refused":
			l.shipment.CancelRefused = true
		}
	}
	l.shipSeq += rapid.Int64Range(1, 2).Draw(t, "step") // types that are not read leave holes
	l.news = append(l.news, stock.News{Sequence: l.shipSeq, Shipment: proto.CloneOf(l.shipment)})
}

// deliver hands over any news of any orders, old news included.
func (w *world) deliver(t *rapid.T) {
	ids := slices.Clone(w.ids)
	if len(ids) == 0 {
		t.Skip("no news")
	}
	ids = rapid.Permutation(ids).Draw(t, "orders")[:rapid.IntRange(1, len(ids)).Draw(t, "how many")]
	var levels []stock.Level
	for _, l := range w.books {
		levels = append(levels, *l)
	}
	shelf := stock.NewShelf(levels)
	w.clock = w.clock.Add(time.Second)
	for _, id := range ids {
		l := w.orders[id]
		picks := rapid.SliceOfN(rapid.IntRange(0, len(l.news)-1), 1, 2*len(l.news)).Draw(t, "news of "+id)
		if l.reservation == nil && !slices.ContainsFunc(picks, func(i int) bool { return l.news[i].Order != nil }) {
			continue
		}
		l.take(t, w, picks, shelf)
	}
	for _, c := range shelf.Changes() {
		l := w.books[c.SKU]
		l.Available += c.Available
		l.Reserved += c.Reserved
		l.Shipped += c.Shipped
		l.WrittenOff += c.WrittenOff
	}
}

// crash decides on all the news there is and dies before the write: nothing of it may be left in what was read.
func (w *world) crash(t *rapid.T) {
	var levels []stock.Level
	for _, l := range w.books {
		levels = append(levels, *l)
	}
	shelf := stock.NewShelf(levels)
	for _, id := range w.ids {
		l := w.orders[id]
		var before *eventspb.Reservation
		if l.reservation != nil {
			before = l.reservation.Snapshot()
		}
		stock.Fold(stock.Dossier{OrderID: id, News: l.news}, l.reservation, func(s events.Source) int64 { return l.seen[s] }, shelf, w.clock)
		if l.reservation != nil {
			require.True(t, proto.Equal(before, l.reservation.Snapshot()), "%s was %v, and is %v", id, before, l.reservation.Snapshot())
		}
	}
}

func (l *life) take(t *rapid.T, w *world, picks []int, shelf *stock.Shelf) {
	d := stock.Dossier{OrderID: l.order.Id}
	for _, i := range picks {
		d.News = append(d.News, l.news[i])
		if l.news[i].Order != nil {
			l.newestOrder = max(l.newestOrder, i)
		} else {
			l.newestShip = max(l.newestShip, i)
		}
	}
	if l.decision == "" {
		l.decision = w.decide(l)
	}
	before := l.reservation
	out := stock.Fold(d, l.reservation, func(s events.Source) int64 { return l.seen[s] }, shelf, w.clock)
	for i, err := range out.Errors {
		require.NoError(t, err, "news %d", picks[i])
	}
	if !out.Changed {
		require.Equal(t, before, out.Reservation)
		require.Empty(t, out.Says)
		return
	}
	for source, sequence := range out.Taken {
		require.Greater(t, sequence, l.seen[source])
		l.seen[source] = sequence
	}
	for _, typ := range out.Says {
		l.said[typ]++
	}
	l.reservation = out.Reservation
}

// decide is the model's decision at first sight: it counts what every other order holds.
func (w *world) decide(l *life) stock.Status {
	o := l.news[l.newestOrder].Order
	if o.Cancellation != nil {
		return stock.Released
	}
	for _, i := range o.Items {
		left := w.total[i.Sku]
		for _, other := range w.orders {
			if status, _ := other.expected(); status == stock.Held || status == stock.ShippedOut || status == stock.WrittenOffGoods {
				for _, j := range other.order.Items {
					if j.Sku == i.Sku {
						left -= int64(j.Quantity)
					}
				}
			}
		}
		if left < int64(i.Quantity) {
			return stock.Rejected
		}
	}
	return stock.Held
}

// expected is what the newest news that was delivered amounts to.
func (l *life) expected() (stock.Status, stock.Cause) {
	switch {
	case l.decision == stock.Released:
		return stock.Released, stock.Cancelled
	case l.decision != stock.Held || l.newestShip < 0:
		return l.decision, stock.NoCause
	}
	switch s := l.news[l.newestShip].Shipment; {
	case s.Status == eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED:
		return stock.Released, stock.Cancelled
	case s.FailureReason == eventspb.FailureReason_FAILURE_REASON_REFUSED:
		return stock.Released, stock.Failed
	case s.FailureReason == eventspb.FailureReason_FAILURE_REASON_LOST:
		return stock.WrittenOffGoods, stock.Failed
	default:
		return stock.ShippedOut, stock.NoCause
	}
}

func (w *world) check(t *rapid.T) {
	counted := map[string]*stock.Level{}
	for _, sku := range skus {
		counted[sku] = &stock.Level{SKU: sku, Available: w.total[sku]}
	}
	for _, id := range w.ids {
		l := w.orders[id]
		r := l.reservation
		if r == nil {
			continue
		}
		status, cause := l.expected()
		require.Equal(t, status, r.Status, id)
		require.Equal(t, cause, r.Cause, id)
		for _, i := range r.Items {
			counted[i.SKU].Available -= int64(i.Quantity)
			*counted[i.SKU].In(r.Bucket()) += int64(i.Quantity)
		}
		l.checkTalk(t)
	}
	for _, sku := range skus {
		require.Equal(t, counted[sku], w.books[sku])
		require.Equal(t, w.total[sku], w.books[sku].Total())
		require.GreaterOrEqual(t, w.books[sku].Available, int64(0), sku)
	}
}

// checkTalk looks at what was said of one order so far.
func (l *life) checkTalk(t *rapid.T) {
	r, o := l.reservation, l.news[l.newestOrder].Order
	is := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	held := l.decision == stock.Held
	require.Equal(t, is(held), l.said[events.StockReserved])
	require.Equal(t, is(held), l.said[events.ShipmentRequested])
	require.Equal(t, is(l.decision == stock.Rejected), l.said[events.StockRejected])
	require.Equal(t, is(r.Cause != stock.NoCause), l.said[events.StockReleased])
	require.LessOrEqual(t, l.said[events.ShipmentCancelRequested], is(held && o.Cancellation != nil))
	require.Equal(t, held, r.Request != nil)
	if held {
		// Shipping knows of the newest address, always.
		require.Equal(t, o.AddressRevision, r.Request.AddressRevision)
		require.Equal(t, o.ShippingAddress.Street, r.Request.Address.Street)
		require.Equal(t, l.said[events.ShipmentCancelRequested] == 1, r.Request.CancelRequested)
		if r.Status == stock.Held {
			require.Equal(t, o.Cancellation != nil, r.Request.CancelRequested)
		}
	}
}
