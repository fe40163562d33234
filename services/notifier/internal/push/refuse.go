package push

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// Refuse accepts a WebSocket to tell its client why it is refused, which a browser hides where the handshake fails:
// one notifier.error, and the close code that fits. It waits for the client's answer, for a few seconds at most.
func Refuse(w http.ResponseWriter, r *http.Request, p *web.Problem, slow time.Duration) error {
	s, err := accept(w, r, slow)
	if err != nil {
		return fmt.Errorf("refuse a WebSocket: %w", err)
	}
	defer s.cut()
	if err := s.send(problemMessage(p)); err != nil {
		return nil // the client did not wait for the answer
	}
	// Whoever is refused may not keep anything busy: no reading of what it says, no waiting for its close frame.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Second)
	defer cancel()
	_ = s.conn.CloseRead(ctx)
	_ = s.conn.Close(websocket.StatusCode(Code(p)), p.Code) // it may be gone
	return nil
}

// problemMessage is a notifier.error.
func problemMessage(p *web.Problem) *feed.Message {
	told := p.Filled()
	return feed.Own(feed.TypeError, errorData{told, told.RetryAfter.Milliseconds()}, "")
}
