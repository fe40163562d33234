package push

import (
	"time"

	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

// Origin is where a subscription begins: what after says. The zero Origin is latest.
type Origin struct {
	earliest bool
	since    *time.Time
	cursor   *cursor.Cursor
}

// ParseOrigin reads latest, earliest, a time (RFC 3339) or a cursor; "" is latest.
func ParseOrigin(s string) (Origin, error) {
	switch s {
	case "", "latest":
		return Origin{}, nil
	case "earliest":
		return Origin{earliest: true}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return Origin{since: &t}, nil
	}
	c, err := cursor.Parse(s)
	if err != nil {
		return Origin{}, err
	}
	return Origin{cursor: &c}, nil
}

// latest tells whether nothing of the past is wanted.
func (o Origin) latest() bool { return !o.earliest && o.since == nil && o.cursor == nil }
