package shipment_test

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// TestFold_AnyOrderOfNewsHasOneEnd lets inventory ask for an order's shipment, change the address and cancel, delivers
// the news in batches of any cut — shuffled, doubled, late — and lets the carrier act in between. After every step the
// order is cancelled or has left, never both, each question has at most one answer and, once its news was delivered,
// exactly one, and the last address that was answered is the newest that was heard of.
func TestFold_AnyOrderOfNewsHasOneEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := live(t, shipment.Fold); err != nil {
			t.Fatal(err)
		}
	})
}

// Negative controls: what must be found out, or the test above proves nothing.
func TestFold_BrokenIsFoundOut(t *testing.T) {
	for name, broken := range map[string]func() fold{
		"the oldest news counts": func() fold {
			return func(s *shipment.Shipment, news []shipment.News, seen int64, now time.Time) shipment.Outcome {
				oldest := slices.MinFunc(news, func(a, b shipment.News) int { return cmp.Compare(a.Sequence, b.Sequence) })
				out := shipment.Fold(s, []shipment.News{oldest}, seen, now)
				out.Errors = make([]error, len(news))
				return out
			}
		},
		// Without the version in its filter, a write decides on what it read before somebody else's.
		"decided on a shipment of yesterday": func() fold {
			var yesterday *shipment.Shipment
			return func(s *shipment.Shipment, news []shipment.News, seen int64, now time.Time) shipment.Outcome {
				if yesterday == nil {
					yesterday = s
				}
				return shipment.Fold(yesterday, news, seen, now)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			lives := rapid.Custom(func(t *rapid.T) error { return live(t, broken()) })
			for seed := range 200 {
				if lives.Example(seed) != nil {
					return
				}
			}
			t.Fatal("nobody noticed")
		})
	}
}

type fold func(s *shipment.Shipment, news []shipment.News, seen int64, now time.Time) shipment.Outcome

// live runs one possible life of an order, and gives the first thing that is wrong with it.
func live(t *rapid.T, fold fold) error {
	l := newLife()
	l.ask()
	for range rapid.IntRange(1, 20).Draw(t, "steps") {
		request := l.asked.Request
		switch step := rapid.SampledFrom([]string{
			"address", "cancel", "deliver", "deliver", "deliver", "dispatch", "delivered", "refused", "lost",
		}).Draw(t, "step"); step {
		case "address":
			if request.CancelRequested {
				continue // nobody changes what is cancelled
			}
			request.AddressRevision++
			request.Address = &eventspb.Address{
				Street:  fmt.Sprintf("Ring %d", request.AddressRevision),
				Country: rapid.SampledFrom([]string{"DE", "IE", "AU"}).Draw(t, "country"),
			}
			l.ask()
		case "cancel":
			request.CancelRequested = true
			l.ask() // again and again
		case "deliver":
			picks := rapid.SliceOfN(rapid.IntRange(0, len(l.news)-1), 1, 2*len(l.news)).Draw(t, "news")
			var batch []shipment.News
			for _, i := range picks {
				batch = append(batch, l.news[i])
				l.newest = max(l.newest, i)
			}
			l.clock = l.clock.Add(time.Second)
			out := fold(l.shipment, batch, l.seen, l.clock)
			if err := errors.Join(out.Errors...); err != nil || len(out.Errors) != len(batch) {
				return fmt.Errorf("%d outcomes for %d news: %w", len(out.Errors), len(batch), err)
			}
			if err := l.take(out); err != nil {
				return err
			}
		default:
			if err := l.act(step); err != nil {
				return err
			}
		}
		if err := l.wrong(); err != nil {
			return fmt.Errorf("after %v: %w", l.said, err)
		}
	}
	return nil
}

// life of one order: what inventory said of it, and what shipping made of that.
type life struct {
	asked *eventspb.Reservation
	news  []shipment.News
	clock time.Time

	shipment *shipment.Shipment
	seen     int64
	said     map[events.Type]int
	taken    map[int64]int // address revision → how often it was answered
	newest   int           // of the news that was delivered; -1
	left     bool          // it was dispatched, as the carrier knows
}

func newLife() *life {
	return &life{
		clock: time.Unix(1_800_000_000, 0), said: map[events.Type]int{}, taken: map[int64]int{}, newest: -1,
		asked: &eventspb.Reservation{
			Id: "o-1", CustomerId: "alice", Items: []*eventspb.ReservedItem{{Sku: "mug", Quantity: 2}},
			Request: &eventspb.ShippingRequest{Address: &eventspb.Address{Street: "Ring 0", Country: "DE"}},
		},
	}
}

// ask says what inventory asks for now.
func (l *life) ask() {
	l.news = append(l.news, shipment.News{Sequence: int64(2*len(l.news) + 1), Reservation: proto.CloneOf(l.asked)})
}

// take is what the store does with an outcome.
func (l *life) take(out shipment.Outcome) error {
	if len(out.Says) == 0 {
		if !reflect.DeepEqual(l.shipment, out.Shipment) {
			return errors.New("nothing is said, and something changed")
		}
		return nil
	}
	if out.Taken <= l.seen {
		return fmt.Errorf("%d was taken after %d", out.Taken, l.seen)
	}
	l.seen = out.Taken
	if l.shipment == nil || l.shipment.AddressRevision != out.Shipment.AddressRevision {
		l.taken[out.Shipment.AddressRevision]++
	}
	l.shipment = out.Shipment
	for _, typ := range out.Says {
		l.said[typ]++
	}
	return nil
}

// act lets the carrier take a step, which may be out of turn.
func (l *life) act(step string) error {
	if l.shipment == nil {
		return nil
	}
	now := l.shipment.Clone()
	says, err := map[string]func() ([]events.Type, error){
		"dispatch":  func() ([]events.Type, error) { return now.Dispatch("") },
		"delivered": now.Deliver,
		"refused":   func() ([]events.Type, error) { return now.Fail(shipment.Refused) },
		"lost":      func() ([]events.Type, error) { return now.Fail(shipment.Lost) },
	}[step]()
	var state *shipment.StateError
	if errors.As(err, &state) {
		return nil
	}
	for _, typ := range says {
		l.said[typ]++
	}
	if len(says) > 0 {
		l.shipment, l.left = now, true
	}
	return err
}

// wrong compares the shipment with what little the model knows.
func (l *life) wrong() error {
	s := l.shipment
	if s == nil {
		if l.newest >= 0 {
			return errors.New("asked, and there is no shipment")
		}
		return nil
	}
	heard := l.news[l.newest].Reservation.Request
	cancelled, refused := l.said[events.ShipmentCancelled], l.said[events.ShipmentCancelRefused]
	ends := l.said[events.ShipmentDelivered] + l.said[events.ShipmentFailed]
	updates := l.said[events.ShipmentUpdated] + l.said[events.ShipmentUpdateRefused]
	switch {
	case cancelled > 1 || l.said[events.ShipmentDispatched] > 1 || l.said[events.ShipmentScheduled] > 1 || ends > 1 || refused > 1:
		return fmt.Errorf("something was said twice: %v", l.said)
	case cancelled+l.said[events.ShipmentDispatched] > 1:
		return fmt.Errorf("cancelled, and shipped: %v", l.said)
	case l.left != (l.said[events.ShipmentDispatched] == 1), l.left == (s.Status == shipment.Scheduled || s.Status == shipment.Cancelled):
		return fmt.Errorf("it has left: %t, and is %s after %v", l.left, s.Status, l.said)
	case heard.CancelRequested && cancelled+refused != 1:
		return fmt.Errorf("a cancellation was answered %d times", cancelled+refused)
	case !heard.CancelRequested && cancelled+refused != 0:
		return errors.New("a cancellation was answered that nobody asked for")
	case s.CancelRefused != (refused == 1) || (s.Status == shipment.Cancelled) != (cancelled == 1):
		return fmt.Errorf("the shipment does not say what was said: %v", l.said)
	case s.AddressRevision != heard.AddressRevision:
		return fmt.Errorf("address %d was heard of, %d was answered", heard.AddressRevision, s.AddressRevision)
	case !s.AddressRefused && s.Address.Street != fmt.Sprintf("Ring %d", s.AddressRevision):
		return fmt.Errorf("address %d was accepted, and it goes to %s", s.AddressRevision, s.Address.Street)
	case s.Rate != shipment.RateFor(s.Address.Country, s.Pieces):
		return errors.New("the rate is not that of the address")
	case l.said[events.ShipmentScheduled]+cancelled == 0:
		return errors.New("nothing was ever said of it")
	case updates > len(l.taken):
		return fmt.Errorf("%d answers for %d addresses", updates, len(l.taken))
	}
	for revision, n := range l.taken {
		if n > 1 {
			return fmt.Errorf("address %d was answered %d times", revision, n)
		}
	}
	return nil
}
