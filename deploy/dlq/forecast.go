package dlq

import (
	"context"
	"errors"
	"slices"

	"github.com/orderwire/orderwire/deploy/internal/documents"
	events "github.com/orderwire/orderwire/proto-events"
)

// Forecast says what a redrive of a letter would do, as the databases are now.
type Forecast struct {
	Effect documents.Effect `json:"effect"`
	Why    string           `json:"why"`
}

// Unreadable is the forecast of a letter that is no event today: it fails again unless its consumer was mended.
const Unreadable documents.Effect = "unreadable"

// Foresee gives a forecast for each letter. It looks at sequences and documents only: whether a consumer takes news that
// its rules forbade then is found out by redriving it.
func Foresee(ctx context.Context, d *documents.Databases, letters []*Letter) ([]Forecast, error) {
	orders := map[string][]string{} // by service
	for _, l := range letters {
		if l.Event != nil {
			orders[l.Consumer] = append(orders[l.Consumer], l.Order)
		}
	}
	found := map[string]map[string]documents.Document{}
	for service, ids := range orders {
		if !slices.Contains(documents.Services(), service) {
			continue
		}
		var err error
		if found[service], err = d.Find(ctx, service, ids...); err != nil {
			return nil, err
		}
	}
	forecasts := make([]Forecast, len(letters))
	for i, l := range letters {
		documentsOf, ours := found[l.Consumer]
		switch {
		case errors.Is(l.Unreadable, events.ErrUnknownType):
			forecasts[i] = Forecast{documents.Unread, "a type that nobody here acts on"}
		case l.Event == nil:
			forecasts[i] = Forecast{Unreadable, "it becomes a dead letter again, unless " + l.Consumer + " was mended: " + l.Unreadable.Error()}
		case !ours:
			forecasts[i] = Forecast{"unknown", l.Consumer + " is none of Orderwire's services"}
		default:
			effect, why := documents.EffectOf(l.Consumer, l.Event, documentsOf[l.Order])
			forecasts[i] = Forecast{effect, why}
		}
	}
	return forecasts, nil
}
