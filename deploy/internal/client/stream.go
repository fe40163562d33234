package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Event is a CloudEvent as the notifier pushes it.
type Event struct {
	ID       string          `json:"id"`
	Source   string          `json:"source"`
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Time     time.Time       `json:"time"`
	Sequence string          `json:"sequence"`
	Customer string          `json:"customerid"`
	Topic    string          `json:"topic"`
	Cursor   string          `json:"cursor"`
	Data     json.RawMessage `json:"data"`
}

// Own tells a message of the notifier itself from an event of an order.
func (e *Event) Own() bool { return strings.HasPrefix(e.Type, "notifier.") }

// Stream follows the notifier's WebSocket and comes back after its last cursor when the connection is lost. It drops
// what is not newer than what it has seen of the same source, subject and topic, so Handle sees each event once as long as
// its order is among the last that were heard of (see newest).
type Stream struct {
	API   *Client
	Query url.Values
	// Connected hears each time a connection is there; may be nil.
	Connected func()
	// Lost hears why a connection was lost, before it is made again; may be nil.
	Lost func(error)
	// Handle gets every message, the notifier's own as well; an error ends the stream.
	Handle func(e *Event, raw []byte) error

	seen newest
	beat time.Duration // how far heartbeats are apart, until the notifier says it; 0: usualBeat
}

const usualBeat = 20 * time.Second

// tooLong is the silence after which a connection is dead.
func tooLong(beat time.Duration) time.Duration { return beat * 5 / 2 }

var errSilent = errors.New("the notifier has gone silent")

// Run follows the stream until ctx ends, Handle returns an error, or the notifier refuses for good.
func (s *Stream) Run(ctx context.Context) error {
	s.seen = newest{most: remembered}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := s.connection(ctx, func() { wait = 50 * time.Millisecond })
		var refused *Problem
		var handled *handleError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &handled):
			return handled.err
		case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests:
			return err
		}
		if s.Lost != nil {
			s.Lost(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter is no secret
		}
	}
}

// handleError is an error of the stream's owner, not of the connection.
type handleError struct{ err error }

func (e *handleError) Error() string { return e.err.Error() }

// connection is one connection's life. It ends as well when the notifier says nothing for too long: a process that is
// stopped keeps its connections, and another instance would answer.
func (s *Stream) connection(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := tooLong(cmp.Or(s.beat, usualBeat))
	watchdog := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer watchdog.Stop()
	lost := func(err error) error { return &UnreachableError{cmp.Or(context.Cause(ctx), err)} }
	target := strings.Replace(s.API.Base, "http", "ws", 1) + "/v1/events"
	if len(s.Query) > 0 {
		target += "?" + s.Query.Encode()
	}
	header := http.Header{}
	if s.API.Token != "" {
		header.Set("Authorization", "Bearer "+s.API.Token)
	}
	conn, resp, err := websocket.Dial(ctx, target, &websocket.DialOptions{
		HTTPHeader: header, Subprotocols: []string{"cloudevents.json"}, CompressionMode: websocket.CompressionDisabled,
	})
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close() // the connection has it
	}
	if err != nil {
		return lost(err)
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed in any case
	conn.SetReadLimit(4 << 20)
	for {
		watchdog.Reset(patience)
		_, raw, err := conn.Read(ctx)
		watchdog.Stop() // Handle may take its time
		if err != nil {
			return lost(err)
		}
		var e Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("a message is no CloudEvent: %w", err)
		}
		if e.Cursor != "" {
			s.Query.Set("after", e.Cursor)
		}
		switch e.Type {
		case "notifier.error":
			p := &Problem{}
			if err := json.Unmarshal(e.Data, p); err != nil {
				return fmt.Errorf("a refusal cannot be read: %w", err)
			}
			return p
		case "notifier.subscribed":
			var told struct {
				Data struct{ HeartbeatIntervalMs int64 }
			}
			if err := json.Unmarshal(raw, &told); err != nil {
				return fmt.Errorf("%s cannot be read: %w", e.Type, err)
			}
			if ms := told.Data.HeartbeatIntervalMs; ms > 0 {
				patience = tooLong(time.Duration(ms) * time.Millisecond)
			}
			ready()
			if s.Connected != nil {
				s.Connected()
			}
		}
		if !e.Own() {
			key := e.Source + "\x00" + e.Subject + "\x00" + e.Topic
			if !s.seen.take(key, e.Sequence) {
				continue
			}
		}
		if err := s.Handle(&e, raw); err != nil {
			return &handleError{err}
		}
	}
}
