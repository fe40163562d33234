package push

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// Subprotocol is the CloudEvents WebSocket binding's: a text frame is one CloudEvent in JSON.
const Subprotocol = "cloudevents.json"

// maxIn is the most that a client may say at once, in bytes.
const maxIn = 16 << 10

// accept makes the connection a WebSocket.
func accept(w http.ResponseWriter, r *http.Request, slow time.Duration) (*socket, error) {
	h := &hijacked{ResponseWriter: w, slow: slow}
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols: []string{Subprotocol},
		// A page of any origin may try: it needs a token, and there is none that a browser adds by itself.
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxIn)
	return &socket{conn, h.conn}, nil
}

// ServeSocket accepts the WebSocket and starts its session; it does not wait for its end.
func (e *Entry) ServeSocket(w http.ResponseWriter, r *http.Request) error {
	s := e.session
	socket, err := accept(w, r, s.hub.config.SlowAfter)
	if err != nil {
		e.Discard()
		return fmt.Errorf("accept a WebSocket: %w", err)
	}
	if !s.hub.begin(s, "websocket", socket) {
		e.Discard()
		socket.close(ending{code: codeRestart, reason: ErrDraining.Code})
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	var beside sync.WaitGroup
	beside.Go(func() { s.read(ctx, socket.conn) })
	beside.Go(func() { ping(ctx, socket, s) })
	go func() {
		defer s.hub.all.Done()
		s.run(ctx, e.gaps)
		cancel()
		beside.Wait()
	}()
	return nil
}

// ping sees to it that a client that is gone without a word is noticed. A ping is behind all that is on its way to the
// client: where that is so much that a write waits, it is the write that tells whether the client still reads.
func ping(ctx context.Context, socket *socket, s *session) {
	every := time.NewTicker(s.hub.config.PingInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		waiting, cancel := context.WithTimeout(ctx, s.hub.config.PongTimeout)
		err := socket.conn.Ping(waiting)
		cancel()
		if err != nil && socket.raw.busy.Load() == 0 {
			s.end(gone(codeAbnormal))
			return
		}
	}
}

// socket is the wire of a WebSocket.
type socket struct {
	conn *websocket.Conn
	raw  *patient
}

func (s *socket) send(m *feed.Message) error {
	return slowOr(s.conn.Write(context.Background(), websocket.MessageText, m.JSON))
}

func (s *socket) flush() error { return nil }

func (s *socket) close(e ending) {
	if e.gone {
		_ = s.conn.CloseNow() // there is nobody to hear of an error
		return
	}
	_ = s.conn.Close(websocket.StatusCode(e.code), e.reason) // the client may be gone
}

func (s *socket) cut() { _ = s.raw.Close() }

// hijacked gives the WebSocket library a connection that waits for a slow client with patience. This is where batched
// writes will have their place.
type hijacked struct {
	http.ResponseWriter
	slow time.Duration
	conn *patient
}

// Hijack implements http.Hijacker.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &patient{Conn: conn, slow: h.slow}
	return h.conn, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(h.conn)), nil
}
