package push

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// names is a verifier for whom a token is the customer's name.
type names struct{}

func (names) Verify(token string) (auth.Principal, error) {
	if token == "" {
		return auth.Principal{}, errors.New("no name")
	}
	return auth.Principal{Customer: token, Expires: time.Now().Add(time.Hour)}, nil
}

// FuzzWish: whatever a client says over its WebSocket is carried out or refused with a close code of its own, what it is
// told is text, and it is the same client afterwards.
func FuzzWish(f *testing.F) {
	const wish = `{"specversion":"1.0","id":"1","source":"page","type":"notifier.`
	for _, seed := range []string{
		"", "null", "[]", "{}", `"x"`, "{", `{"specversion":"1.0","id":"1","source":"page","type":"order-created"}`,
		wish + `subscribe"}`, wish + `subscribe","data":null}`, wish + `subscribe","data":{}}`, wish + `subscribe","data":[]}`,
		wish + `subscribe","data":{"type":["order-*","stock-reserved"],"order":["a"],"customer":["bob"]}}`,
		wish + `subscribe","data":{"type":[null,"*"],"after":null}}`,
		wish + `subscribe","data":{"after":"latest"}}`, wish + `subscribe","data":{"after":"earliest"}}`,
		wish + `subscribe","data":{"after":"0001-01-01T00:00:00Z"}}`, wish + `subscribe","data":{"after":"2026-11-25T14:00:00+01:00"}}`,
		wish + `subscribe","data":{"after":"` + cursor.Cursor{Next: cursor.Position{{5}, {0}}}.String() + `"}}`,
		wish + `subscribe","data":{"after":"` + cursor.Cursor{Next: cursor.Position{{1 << 62}, {1 << 62, 1 << 62, 1 << 62}}}.String() + `"}}`,
		wish + `subscribe","data":{"after":"\ud800"}}`, wish + `subscribe","data":{"after":"now"},"data":{}}`,
		wish + `refresh"}`, wish + `refresh","data":{"token":"alice"}}`, wish + `refresh","data":{"token":"bob"}}`, wish + `refresh","data":{"token":7}}`,
	} {
		f.Add([]byte(seed))
	}
	seq := feed.NewSequencer(feed.NewMetrics(nil))
	seq.Start(cursor.Cursor{Next: cursor.Position{{5}, {0}}}, nil)
	log := slog.New(slog.DiscardHandler)
	// Without a slot nothing is ever replayed, and Kafka is not asked.
	history := feed.NewHistory(feed.Config{CatchUpWait: time.Hour}, kafka.Config{}, "test", seq, log, feed.NewMetrics(nil))
	hub := NewHub(Config{HeartbeatInterval: time.Hour}, seq, history, nil, names{}, log, NewMetrics(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !utf8.Valid(raw) {
			return // read has refused it
		}
		w := &taken{}
		s := &session{
			hub: hub, transport: "test", wire: w, who: auth.Principal{Customer: "alice"}, sub: feed.NewSubscription(feed.Filter{Viewer: "alice"}),
			at: cursor.Cursor{Next: cursor.Position{{5}, {0}}}, beat: time.NewTimer(time.Hour), expiry: time.NewTimer(time.Hour),
		}
		_, attached, err := seq.Attach(s.sub, s.at, slack)
		require.NoError(t, err)
		require.True(t, attached)

		var e *ending
		do, p := parseWish(raw)
		require.NotEqual(t, do == nil, p == nil)
		if p != nil {
			end := refused(p)
			e = &end
		} else {
			e = do(t.Context(), s)
		}
		s.unsubscribe()
		if e != nil {
			require.Contains(t, []int{codeBadMessage, codeToken, codeForbidden}, e.code, e.reason)
			require.LessOrEqual(t, len(e.reason), 123)
			s.finish(*e)
			require.NotEmpty(t, w.messages, "it is told why")
		}
		for _, m := range w.messages {
			require.True(t, utf8.Valid(m.JSON) && json.Valid(m.JSON), "%q", m.JSON)
		}
		require.Equal(t, "alice", s.who.Customer)
		require.False(t, s.who.Operator)
	})
}
