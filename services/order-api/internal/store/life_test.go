package store

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// world is one order in the database, the two topics that its news come from, and all who write to it: its customer, the
// owner of its partition, and an old owner that does not know yet that it is none.
type world struct {
	s      *Store
	broken breakage
	disk   *document
	writes int64
	flying []*flight

	owner, zombie *reader
	committed     map[events.Source]int // how many news of each topic

	neighbours
	patches int
	landed  []string // notes, in the order in which they were written
	told    []string // notes of which the customer was told that they are written
	cancel  bool     // the customer was told that its cancellation is taken
	ended   order.Status
}

// breakage is a negative control.
type breakage struct{ unguarded, forgetful, hasty bool }

// flight is a write that is decided and on its way to the database: it arrives late, or never, and whoever sent it may
// hear of that or not.
type flight struct {
	guard  int64
	doc    *document
	note   string // of an edit
	sender *reader
	gone   bool // the sender waits for no answer any more
	upTo   map[events.Source]int
	answer func(isDone bool) // of a customer
}

// reader is a member of the consumer group.
type reader struct {
	next map[events.Source]int
	busy bool // a batch is in flight
}

var sources = []events.Source{events.SourceInventory, events.SourceShipping}

func newWorld(b breakage) *world {
	w := &world{
		s: &Store{now: func() time.Time { return time.Unix(1_700_000_100, 0) }}, broken: b,
		committed: map[events.Source]int{}, writes: 1,
	}
	w.owner, w.zombie = w.join(), w.join()
	w.disk = newDocument(life{})
	return w
}

func (w *world) join() *reader { return &reader{next: maps.Clone(w.committed)} }

// read gives the document as the database does: another copy each time.
func (w *world) read() *document {
	raw, err := bson.Marshal(w.disk)
	if err != nil {
		panic(err)
	}
	d := &document{}
	if err := bson.Unmarshal(raw, d); err != nil {
		panic(err)
	}
	return d
}

// consume folds a batch of news, with earlier news among it.
func (w *world) consume(t *rapid.T, r *reader) error {
	if r.busy {
		return nil
	}
	var batch []*events.Event
	upTo := map[events.Source]int{}
	for _, source := range sources {
		upTo[source] = min(r.next[source]+rapid.IntRange(0, 3).Draw(t, "how many"), len(w.news[source]))
		for _, e := range w.news[source][r.next[source]:upTo[source]] {
			for rapid.IntRange(0, 3).Draw(t, "repeat") == 0 {
				batch = append(batch, rapid.SampledFrom(w.news[source]).Draw(t, "what"))
			}
			batch = append(batch, e)
		}
	}
	if rapid.Bool().Draw(t, "shipping first") { // Kafka promises no order between topics
		slices.SortStableFunc(batch, func(a, b *events.Event) int { return cmp.Compare(b.Source(), a.Source()) })
	}
	d := w.read()
	guard, sequence := d.Version, d.Sequences[events.TopicOrders]
	if w.broken.forgetful {
		d.Seen = nil
	}
	write, outcomes, err := w.s.fold(d, taken(batch))
	if err := errors.Join(append(outcomes, err)...); err != nil {
		return err
	}
	if !write {
		r.next = upTo
		return nil
	}
	if w.broken.hasty {
		r.next = upTo
	}
	r.busy = true
	return w.send(&flight{guard: guard, doc: d, sender: r, upTo: upTo}, sequence)
}

// send lets a write fly; sequence was the last one of the document that it was decided on.
func (w *world) send(f *flight, sequence int64) error {
	said := f.doc.Sequences[events.TopicOrders] - sequence
	if said < 1 || int64(f.doc.Unsent()) != said {
		return fmt.Errorf("a write has %d events, and %d numbers for them", f.doc.Unsent(), said)
	}
	w.flying = append(w.flying, f)
	return nil
}

// command is a customer's.
func (w *world) command(f *flight, do func(*order.Order, time.Time) (bool, error), types ...events.Type) error {
	d := w.read()
	guard, sequence := d.Version, d.Sequences[events.TopicOrders]
	err := w.s.decide(d, rand.Text(), func(*order.Order) error { return nil }, "", do, types...)
	var refused *order.StateError
	if errors.As(err, &refused) || errors.Is(err, outbox.ErrUnchanged) {
		return nil
	}
	if err != nil {
		return err
	}
	f.guard, f.doc = guard, d
	return w.send(f, sequence)
}

func (w *world) edit() error {
	w.patches++
	note := fmt.Sprint("note ", w.patches)
	f := &flight{note: note, answer: func(isDone bool) {
		if isDone {
			w.told = append(w.told, note)
		}
	}}
	return w.command(f, func(o *order.Order, _ time.Time) (bool, error) {
		p := order.Patch{Note: order.Field[string]{Present: true, Value: note}}
		if w.patches%2 == 0 {
			p.ShippingAddress = order.Field[order.AddressPatch]{Present: true, Value: order.AddressPatch{
				Name: text("A"), Street: text(note), City: text("Cork"), PostalCode: text("T12"), Country: text("IE"),
			}}
		}
		return o.Edit(p)
	}, events.OrderUpdated)
}

func text(s string) order.Field[string] { return order.Field[string]{Present: true, Value: s} }

func (w *world) wantsOut() error {
	f := &flight{answer: func(isDone bool) { w.cancel = w.cancel || isDone }}
	return w.command(f, (*order.Order).Cancel, events.OrderCancelRequested, events.OrderUpdated)
}

// land lets a write arrive: it is made if its guard matches. isTold: the answer arrives, too.
func (w *world) land(i int, isTold bool) {
	f := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	isDone := f.guard == w.disk.Version || w.broken.unguarded
	if isDone {
		w.disk = stored(f.doc)
		w.writes++
		if f.note != "" {
			w.landed = append(w.landed, f.note)
		}
	}
	f.end(isDone && isTold)
}

// lose lets a write never arrive.
func (w *world) lose(i int) {
	f := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	f.end(false)
}

// end answers the sender, who decides again on what is there then.
func (f *flight) end(isDone bool) {
	switch {
	case f.gone:
	case f.sender != nil:
		f.sender.busy = false
		if isDone {
			f.sender.next = f.upTo
		}
	default:
		f.answer(isDone)
	}
}

// crash ends a reader, or only its patience: what it has sent flies on.
func (w *world) crash(r *reader) {
	for _, f := range w.flying {
		f.gone = f.gone || f.sender == r
	}
	r.busy = false
}

// wrong gives the first promise that is broken.
func (w *world) wrong() error {
	d := w.disk
	switch {
	case d.Version != w.writes:
		return fmt.Errorf("version %d after %d writes", d.Version, w.writes)
	case len(w.landed) > 0 && d.Order.Note != w.landed[len(w.landed)-1]:
		return fmt.Errorf("its note is %q, after %v", d.Order.Note, w.landed)
	case w.cancel && d.Order.CancelRequestedAt == nil:
		return errors.New("its cancellation was taken, and is forgotten")
	}
	for _, note := range w.told {
		if !slices.Contains(w.landed, note) {
			return fmt.Errorf("%q was answered and is not written", note)
		}
	}
	for _, source := range sources {
		for _, e := range w.news[source][:w.committed[source]] {
			if e.Sequence > d.Seen[string(source)] {
				return fmt.Errorf("%s %d of %s is below the committed offset, and the order has heard %d", e.Type, e.Sequence, source, d.Seen[string(source)])
			}
		}
	}
	if err := w.wrongFacts(); err != nil {
		return err
	}
	status := d.order().Status()
	if w.ended != 0 && status != w.ended {
		return fmt.Errorf("it was %s, and is %s", w.ended, status)
	}
	if !slices.Contains(Moving(), status) {
		w.ended = status
	}
	if events.Word(status) != d.Status {
		return fmt.Errorf("it is %s, and is stored as %s", status, d.Status)
	}
	return nil
}

// wrongFacts compares what the order knows with the news that it says it took.
func (w *world) wrongFacts() error {
	heard := func(source events.Source) events.Snapshot {
		for _, e := range w.news[source] {
			if e.Sequence == w.disk.Seen[string(source)] {
				return e.Data
			}
		}
		return nil
	}
	if r, ok := heard(events.SourceInventory).(*eventspb.Reservation); ok != (w.disk.Order.Stock != nil) ||
		ok && (w.disk.Order.Stock.Status != r.Status || w.disk.Order.Stock.Cause != r.ReleaseCause) {
		return fmt.Errorf("inventory said %v, and it knows %v", r, w.disk.Order.Stock)
	}
	if s, ok := heard(events.SourceShipping).(*eventspb.Shipment); ok != (w.disk.Order.Shipment != nil) ||
		ok && (w.disk.Order.Shipment.Status != s.Status || w.disk.Order.Shipment.AddressRevision != s.AddressRevision) {
		return fmt.Errorf("shipping said %v, and it knows %v", s, w.disk.Order.Shipment)
	}
	return nil
}

// neighbours are inventory and shipping, by their own rules.
type neighbours struct {
	news   map[events.Source][]*events.Event
	heard  *eventspb.Order // as inventory last heard of the order
	held   *eventspb.Reservation
	parcel *eventspb.Shipment
	asked  *eventspb.Order // as shipping last heard of it
}

func (n *neighbours) say(source events.Source, typ events.Type, data events.Snapshot) {
	if n.news == nil {
		n.news = map[events.Source][]*events.Event{}
	}
	n.news[source] = append(n.news[source], news(typ, len(n.news[source]), proto.CloneOf(data)))
}

// inventoryActs holds or refuses what was ordered, passes on what it heard, or moves the goods to where shipping says
// they are.
func (n *neighbours) inventoryActs(isShort bool) {
	if n.heard == nil {
		return
	}
	says := func(typ events.Type, status eventspb.ReservationStatus, cause eventspb.ReleaseCause) {
		n.held = &eventspb.Reservation{Id: "o-1", CustomerId: "alice", Status: status, ReleaseCause: cause}
		n.say(events.SourceInventory, typ, n.held)
	}
	const released = eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED
	switch {
	case n.held == nil && n.heard.Cancellation != nil:
		says(events.StockReleased, released, eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED)
	case n.held == nil && isShort:
		says(events.StockRejected, eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED, 0)
	case n.held == nil:
		says(events.StockReserved, eventspb.ReservationStatus_RESERVATION_STATUS_HELD, 0)
		n.asked = n.heard
	case n.held.Status != eventspb.ReservationStatus_RESERVATION_STATUS_HELD:
	case n.parcel.GetStatus() == eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED:
		says(events.StockReleased, released, eventspb.ReleaseCause_RELEASE_CAUSE_CANCELLED)
	case n.parcel.GetFailureReason() == eventspb.FailureReason_FAILURE_REASON_REFUSED:
		says(events.StockReleased, released, eventspb.ReleaseCause_RELEASE_CAUSE_FAILED)
	case n.parcel.GetFailureReason() == eventspb.FailureReason_FAILURE_REASON_LOST:
		says(events.StockReleased, eventspb.ReservationStatus_RESERVATION_STATUS_WRITTEN_OFF, eventspb.ReleaseCause_RELEASE_CAUSE_FAILED)
	default:
		n.asked = n.heard
	}
}

// shippingActs answers what it was asked, first the address and then the cancellation.
func (n *neighbours) shippingActs() {
	if n.asked == nil {
		return
	}
	says := func(typ events.Type) { n.say(events.SourceShipping, typ, n.parcel) }
	if n.parcel == nil {
		n.parcel = &eventspb.Shipment{
			Id: "o-1", OrderId: "o-1", CustomerId: "alice", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED,
			AddressRevision: n.asked.AddressRevision, Address: n.asked.ShippingAddress,
		}
		if n.asked.Cancellation == nil {
			says(events.ShipmentScheduled)
			return
		}
	}
	waits := n.parcel.Status == eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED
	if n.asked.AddressRevision > n.parcel.AddressRevision {
		n.parcel.AddressRevision, n.parcel.AddressRefused = n.asked.AddressRevision, !waits
		if waits {
			n.parcel.Address = n.asked.ShippingAddress
			says(events.ShipmentUpdated)
		} else {
			says(events.ShipmentUpdateRefused)
		}
	}
	switch {
	case n.asked.Cancellation == nil || n.parcel.CancelRefused || n.parcel.Status == eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED:
	case waits:
		n.parcel.Status = eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED
		says(events.ShipmentCancelled)
	default:
		n.parcel.CancelRefused = true
		says(events.ShipmentCancelRefused)
	}
}

// carrierActs moves the parcel on.
func (n *neighbours) carrierActs(how string) {
	switch n.parcel.GetStatus() {
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_SCHEDULED:
		n.parcel.Status = eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED
		n.say(events.SourceShipping, events.ShipmentDispatched, n.parcel)
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED:
		switch how {
		case "delivered":
			n.parcel.Status = eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED
			n.say(events.SourceShipping, events.ShipmentDelivered, n.parcel)
		case "refused":
			n.parcel.Status, n.parcel.FailureReason = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED, eventspb.FailureReason_FAILURE_REASON_REFUSED
			n.say(events.SourceShipping, events.ShipmentFailed, n.parcel)
		case "lost":
			n.parcel.Status, n.parcel.FailureReason = eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED, eventspb.FailureReason_FAILURE_REASON_LOST
			n.say(events.SourceShipping, events.ShipmentFailed, n.parcel)
		}
	default:
	}
}

// truth is what became of the order, as its neighbours know it.
func (n *neighbours) truth() order.Status {
	switch n.parcel.GetStatus() {
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_DELIVERED:
		return eventspb.OrderStatus_ORDER_STATUS_DELIVERED
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED:
		return eventspb.OrderStatus_ORDER_STATUS_SHIPPED
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_FAILED:
		return eventspb.OrderStatus_ORDER_STATUS_FAILED
	case eventspb.ShipmentStatus_SHIPMENT_STATUS_CANCELLED:
		return eventspb.OrderStatus_ORDER_STATUS_CANCELLED
	default:
	}
	switch n.held.GetStatus() {
	case eventspb.ReservationStatus_RESERVATION_STATUS_REJECTED:
		return eventspb.OrderStatus_ORDER_STATUS_REJECTED
	case eventspb.ReservationStatus_RESERVATION_STATUS_RELEASED:
		return eventspb.OrderStatus_ORDER_STATUS_CANCELLED
	default:
		return eventspb.OrderStatus_ORDER_STATUS_CONFIRMED
	}
}

// live lets anything happen, then lets all end well, and gives the first thing that is wrong.
func live(t *rapid.T, b breakage) error {
	w := newWorld(b)
	some := func() *reader {
		if rapid.IntRange(0, 2).Draw(t, "zombie") == 0 {
			return w.zombie
		}
		return w.owner
	}
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		var err error
		switch step := rapid.SampledFrom([]string{
			"consume", "consume", "consume", "land", "land", "land", "land", "lose", "edit", "edit", "cancel", "publish",
			"publish", "inventory", "inventory", "shipping", "shipping", "carrier", "commit", "crash", "rebalance",
		}).Draw(t, "step"); step {
		case "consume":
			err = w.consume(t, some())
		case "land", "lose":
			if len(w.flying) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(w.flying)-1).Draw(t, "which")
			if step == "lose" {
				w.lose(i)
			} else {
				w.land(i, rapid.IntRange(0, 3).Draw(t, "told") > 0)
			}
		case "edit":
			err = w.edit()
		case "cancel":
			err = w.wantsOut()
		case "publish":
			w.heard = w.disk.order().Snapshot()
		case "inventory":
			w.inventoryActs(rapid.IntRange(0, 5).Draw(t, "short") == 0)
		case "shipping":
			w.shippingActs()
		case "carrier":
			w.carrierActs(rapid.SampledFrom([]string{"delivered", "refused", "lost"}).Draw(t, "how"))
		case "commit":
			w.committed = w.owner.finished()
		case "crash": // it comes back at the committed offsets
			w.crash(w.owner)
			w.owner = w.join()
		case "rebalance": // the old owner goes on, as if nothing had happened
			w.crash(w.zombie)
			w.zombie, w.owner = w.owner, w.join()
		}
		if err := errors.Join(err, w.wrong()); err != nil {
			return err
		}
	}
	return w.heal(t)
}

// finished gives the offsets that it may commit.
func (r *reader) finished() map[events.Source]int { return maps.Clone(r.next) }

// heal lets what flies arrive, everybody hear of everything, and finds the order where its neighbours know it to be.
func (w *world) heal(t *rapid.T) error {
	for range 60 {
		for len(w.flying) > 0 {
			w.land(0, true)
		}
		w.heard = w.disk.order().Snapshot()
		w.inventoryActs(false)
		w.shippingActs()
		if err := errors.Join(w.consume(t, w.owner), w.wrong()); err != nil {
			return err
		}
		w.committed = w.owner.finished()
	}
	for len(w.flying) > 0 {
		w.land(0, true)
	}
	for _, source := range sources {
		if w.committed[source] < len(w.news[source]) {
			return fmt.Errorf("%d of %d news of %s are finished", w.committed[source], len(w.news[source]), source)
		}
	}
	if is, want := w.disk.order().Status(), w.truth(); is != want {
		return fmt.Errorf("it is %s, and its neighbours say %s", is, want)
	}
	if c := w.disk.order().Snapshot().Cancellation; c != nil && c.Outcome == eventspb.CancellationOutcome_CANCELLATION_OUTCOME_PENDING {
		return errors.New("its cancellation is never answered")
	}
	return w.wrong()
}

// TestLife_WhateverHappensEndsWell: the customer changes and cancels, neighbours speak, two owners fold the news, with
// repeats; each write may be lost, be late, miss its guard or go unanswered, and each owner may crash, between any two
// steps. No answered change is lost, no news is passed over or counts twice, every write has its event, what has ended
// stays so, and once all is healed the order is what its neighbours know it to be.
func TestLife_WhateverHappensEndsWell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := live(t, breakage{}); err != nil {
			t.Fatal(err)
		}
	})
}

// Negative controls: what must be found out, or the test above proves nothing.
func TestLife_BrokenIsFoundOut(t *testing.T) {
	for name, b := range map[string]breakage{
		"no version in the filter":                {unguarded: true},
		"an order that forgets what it has heard": {forgetful: true},
		"offsets marked before the write":         {hasty: true},
	} {
		t.Run(name, func(t *testing.T) {
			lives := rapid.Custom(func(t *rapid.T) error { return live(t, b) })
			for seed := range 300 {
				if lives.Example(seed) != nil {
					return
				}
			}
			require.Fail(t, "nobody noticed")
		})
	}
}
