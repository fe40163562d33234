package push

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// ServeStream answers with Server-Sent Events until the session ends.
func (e *Entry) ServeStream(w http.ResponseWriter, r *http.Request) error {
	s := e.session
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := &stream{w: w, control: http.NewResponseController(w), slow: s.hub.config.SlowAfter, named: e.named, cancel: cancel}
	if !s.hub.begin(s, "sse", out) {
		e.Discard()
		return ErrDraining
	}
	defer s.hub.all.Done()
	// The server's time-out for reading a request would end the stream. Of the deadlines for writing, the server itself
	// clears what is left behind.
	if err := out.control.SetReadDeadline(time.Time{}); err != nil {
		s.hub.log.Debug("no read deadline here", "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	// The time after which a browser comes back by itself, spread.
	fmt.Fprintf(&out.buffer, "retry: %d\n\n", (retryStream + rand.N(retryStream)).Milliseconds()) //nolint:gosec // jitter is no secret
	s.run(ctx, e.gaps)
	return nil
}

// retryStream is half of the longest time that a browser waits before it comes back.
const retryStream = time.Second

// stream is the wire of Server-Sent Events (HTML standard, section 9.2). The id is the cursor; a heartbeat is an id
// without data, which moves a browser's Last-Event-ID and fires nothing.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	slow    time.Duration
	named   bool // with the type as the event's name
	cancel  context.CancelFunc

	buffer bytes.Buffer
	over   atomic.Bool
}

func (s *stream) send(m *feed.Message) error {
	if m.Cursor != "" {
		s.line("id: ", m.Cursor)
	}
	if m.Type != feed.TypeHeartbeat {
		if s.named {
			s.line("event: ", m.Type)
		}
		s.buffer.WriteString("data: ")
		s.buffer.Write(m.JSON)
		s.buffer.WriteByte('\n')
	}
	s.buffer.WriteByte('\n')
	if s.buffer.Len() >= piece {
		return s.flush()
	}
	return nil
}

func (s *stream) line(field, value string) {
	s.buffer.WriteString(field)
	s.buffer.WriteString(value)
	s.buffer.WriteByte('\n')
}

// flush writes piece by piece, each with a deadline of its own: a client that reads slowly has all the time it needs.
func (s *stream) flush() error {
	for s.buffer.Len() > 0 {
		if err := s.control.SetWriteDeadline(time.Now().Add(s.slow)); err != nil {
			return err
		}
		if s.over.Load() {
			return context.Canceled
		}
		if _, err := s.w.Write(s.buffer.Next(piece)); err != nil {
			return slowOr(err)
		}
		if err := s.control.Flush(); err != nil {
			return slowOr(err)
		}
	}
	return nil
}

func (s *stream) close(e ending) {
	if e.gone {
		s.cut()
		return
	}
	if e.restart { // there is another instance, and a browser need not wait for it
		fmt.Fprintf(&s.buffer, "retry: %d\n\n", rand.N(restartSoon).Milliseconds()) //nolint:gosec // jitter is no secret
	}
	_ = s.flush() // the client may be gone
}

func (s *stream) cut() {
	s.over.Store(true)
	_ = s.control.SetWriteDeadline(time.Now()) // a connection that is gone has none
	s.cancel()
}
