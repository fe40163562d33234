package push

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// taken is a wire that keeps what it is given.
type taken struct {
	messages []*feed.Message
	ending   ending
}

func (w *taken) send(m *feed.Message) error { w.messages = append(w.messages, m); return nil }
func (w *taken) flush() error               { return nil }
func (w *taken) close(e ending)             { w.ending = e }
func (w *taken) cut()                       {}

// A session that drains sends what is queued; one whose replay is cut off does not, as that lies behind a part that was
// not sent, and the client comes back with the cursor before that part.
func TestSession_DrainsItsQueueUnlessAReplayIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		replay bool
		want   []string
		at     int64
	}{
		"live":              {false, []string{feed.TypeHeartbeat, feed.TypeDraining}, 5},
		"cut off in replay": {true, []string{feed.TypeDraining}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			seq := feed.NewSequencer(feed.NewMetrics(nil))
			seq.Start(cursor.Cursor{Next: cursor.Position{{5}, {0}}}, nil)
			hub := NewHub(Config{HeartbeatInterval: time.Hour}, seq, nil, nil, nil, slog.New(slog.DiscardHandler), NewMetrics(nil))
			wire := &taken{}
			s := &session{
				hub: hub, transport: "test", wire: wire, sub: feed.NewSubscription(feed.Filter{Viewer: "alice"}),
				at: cursor.Cursor{Next: cursor.Position{{2}, {0}}}, beat: time.NewTimer(time.Hour),
			}
			_, attached, err := seq.Attach(s.sub, s.at, slack)
			require.NoError(t, err)
			require.True(t, attached)
			seq.Mark(s.sub, feed.Heartbeat) // at 5
			if c.replay {
				s.replay = &catchUp{cancel: func() {}}
			}
			s.unsubscribe()
			s.finish(ending{code: codeRestart, restart: true})

			var got []string
			for _, m := range wire.messages {
				got = append(got, m.Type)
			}
			require.Equal(t, c.want, got)
			last, err := cursor.Parse(wire.messages[len(wire.messages)-1].Cursor)
			require.NoError(t, err)
			require.Equal(t, c.at, last.Next[0][0])
			require.Equal(t, codeRestart, wire.ending.code)
		})
	}
}
