package shipment

import (
	"time"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// News is one event of inventory about an order.
type News struct {
	Sequence    int64
	TraceParent string
	Reservation *eventspb.Reservation
}

// Outcome says what the news of one order came to.
type Outcome struct {
	Shipment *Shipment     // as it is now; nil where there still is none
	Says     []events.Type // which events tell of it; nothing is to be written without
	Taken    int64         // the sequence of the snapshot that made the difference
	Trace    string
	Errors   []error // one for each piece of news: nil or ErrImpossible
}

// Fold takes in all the news of one order at once. s is its shipment, nil at first sight; seen is the last sequence
// that was taken.
//
// The newest snapshot says it all, so older ones are superseded; only where the newest is impossible is the next older
// one asked. Duplicates and superseded news are recognised before anything is judged.
func Fold(s *Shipment, news []News, seen int64, now time.Time) Outcome {
	out := Outcome{Shipment: s, Errors: make([]error, len(news))}
	for left := len(news); left > 0; left-- {
		i := newest(news, out.Errors)
		if i < 0 || news[i].Sequence <= seen {
			return out
		}
		var err error
		if s == nil {
			out.Shipment, out.Says, err = Start(news[i].Reservation, now)
		} else {
			out.Shipment = s.Clone()
			out.Says, err = out.Shipment.Asks(news[i].Reservation, now)
		}
		if err == nil {
			out.Taken, out.Trace = news[i].Sequence, news[i].TraceParent
			return out
		}
		out.Shipment, out.Says, out.Errors[i] = s, nil, err
	}
	return out
}

// newest gives the index of the newest news that was not found impossible; -1 when there is none left.
func newest(news []News, errs []error) int {
	best := -1
	for i, n := range news {
		if errs[i] == nil && (best < 0 || n.Sequence > news[best].Sequence) {
			best = i
		}
	}
	return best
}
