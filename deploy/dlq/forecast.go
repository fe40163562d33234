package dlq

import (
	"context"
	"errors"
	"slices"

	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// Forecast says what a redrive of a letter would do, as the databases are now.
type Forecast struct {
	Effect documents.Effect `json:"effect"`
	Why    string           `json:"why"`
}

// Unreadable is the forecast of a letter that is no event today: it fails again unless its consumer was mended.
const Unreadable documents.Effect = "unreadable"

// LeftOut is the forecast of every letter that cannot be redriven: no document says more of it.
var LeftOut = Forecast{"left-out", "it is refused: there is no value to hand back"}

// Foresee gives a forecast for each letter. It looks at sequences and documents only: whether a consumer takes news that
// its rules forbade then is found out by redriving it.
func Foresee(ctx context.Context, log *topics.Log, d *documents.Databases, letters []*Letter) ([]Forecast, error) {
	forecasts := make([]Forecast, 0, len(letters))
	err := eachPage(ctx, log, letters, func(page []*Letter, contents []*Content) error {
		found, err := documentsOf(ctx, d, page, contents)
		if err != nil {
			return err
		}
		for i, l := range page {
			forecasts = append(forecasts, foresee(l, contents[i], found))
		}
		return nil
	})
	return forecasts, err
}

// documentsOf gives the documents that the letters' consumers have of their orders, by service.
func documentsOf(ctx context.Context, d *documents.Databases, letters []*Letter, contents []*Content) (map[string]map[string]documents.Document, error) {
	orders := map[string][]string{}
	for i, l := range letters {
		if contents[i].Event != nil && slices.Contains(documents.Services(), l.Consumer) {
			orders[l.Consumer] = append(orders[l.Consumer], l.Order)
		}
	}
	found := map[string]map[string]documents.Document{}
	for service, ids := range orders {
		var err error
		if found[service], err = d.Find(ctx, service, ids...); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func foresee(l *Letter, c *Content, found map[string]map[string]documents.Document) Forecast {
	stored, ours := found[l.Consumer]
	switch {
	case l.LeftOut != nil:
		return LeftOut
	case errors.Is(c.Unreadable, events.ErrUnknownType):
		return Forecast{documents.Unread, "a type that nobody here acts on"}
	case c.Event == nil:
		return Forecast{Unreadable, "it becomes a dead letter again, unless " + l.Consumer + " was mended: " + c.Unreadable.Error()}
	case !ours:
		return Forecast{"unknown", l.Consumer + " is none of Orderwire's services"}
	default:
		effect, why := documents.EffectOf(l.Consumer, c.Event, stored[l.Order])
		return Forecast{effect, why}
	}
}
