package push

import (
	"context"

	"github.com/coder/websocket"
)

// command is a wish of the client, carried out by the session's loop.
type command func(ctx context.Context, s *session) *ending

// read hears what the client says until the connection ends.
func (s *session) read(ctx context.Context, conn *websocket.Conn) {
	for {
		_, _, err := conn.Read(ctx)
		if err != nil {
			s.end(gone(codeNormal))
			return
		}
	}
}
