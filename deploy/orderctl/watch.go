package main

import (
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

// event is a CloudEvent as the notifier pushes it.
type event struct {
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

// own tells a message of the notifier itself from an event of an order.
func (e *event) own() bool { return strings.HasPrefix(e.Type, "notifier.") }

// stream follows the notifier's WebSocket and comes back after its last cursor when the connection is lost. It drops
// what is not newer than what it has seen of the same source, subject and topic, so handle sees each event once.
type stream struct {
	api   *client
	query url.Values
	// connected hears each time a connection is there.
	connected func()
	// lost hears why a connection was lost, before it is made again.
	lost   func(error)
	handle func(e *event, raw []byte) error

	seen map[string]string
}

// errEnough is what handle returns to end the stream.
var errEnough = errors.New("enough")

// run follows the stream until ctx ends, handle returns an error, or the notifier refuses for good.
func (s *stream) run(ctx context.Context) error {
	s.seen = map[string]string{}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := s.connection(ctx, func() { wait = 50 * time.Millisecond })
		var refused *problem
		var handled *handleError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &handled):
			return handled.err
		case errors.As(err, &refused) && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests:
			return err
		}
		if s.lost != nil {
			s.lost(err)
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

// connection is one connection's life.
func (s *stream) connection(ctx context.Context, ready func()) error {
	target := strings.Replace(s.api.base, "http", "ws", 1) + "/v1/events"
	if len(s.query) > 0 {
		target += "?" + s.query.Encode()
	}
	header := http.Header{}
	if s.api.token != "" {
		header.Set("Authorization", "Bearer "+s.api.token)
	}
	conn, resp, err := websocket.Dial(ctx, target, &websocket.DialOptions{
		HTTPHeader: header, Subprotocols: []string{"cloudevents.json"}, CompressionMode: websocket.CompressionDisabled,
	})
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close() // the connection has it
	}
	if err != nil {
		return &unreachableError{err}
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed in any case
	conn.SetReadLimit(4 << 20)
	for {
		_, raw, err := conn.Read(ctx)
		if err != nil {
			return &unreachableError{err}
		}
		var e event
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("a message is no CloudEvent: %w", err)
		}
		if e.Cursor != "" {
			s.query.Set("after", e.Cursor)
		}
		switch e.Type {
		case "notifier.error":
			p := &problem{}
			if err := json.Unmarshal(e.Data, p); err != nil {
				return fmt.Errorf("a refusal cannot be read: %w", err)
			}
			return p
		case "notifier.subscribed":
			ready()
			if s.connected != nil {
				s.connected()
			}
		}
		if !e.own() {
			key := e.Source + "\x00" + e.Subject + "\x00" + e.Topic
			if e.Sequence <= s.seen[key] {
				continue
			}
			s.seen[key] = e.Sequence
		}
		if err := s.handle(&e, raw); err != nil {
			return &handleError{err}
		}
	}
}

type orderWatchCmd struct {
	remote
	ID    string   `arg:"" optional:"" help:"Of this order only, until it has ended."`
	Type  []string `help:"Of these types only, for instance order-*."`
	After string   `help:"Begin there: latest, earliest, a time (RFC 3339) or a cursor (default: now, or the order's beginning)."`
}

// Run prints events as they come.
func (c *orderWatchCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	query := url.Values{}
	for _, typ := range c.Type {
		query.Add("type", typ)
	}
	if c.ID != "" {
		var o order
		if _, err := api.call(ctx, http.MethodGet, "/v1/orders/"+url.PathEscape(c.ID), nil, nil, &o); err != nil {
			return err
		}
		query.Set("order", c.ID)
		// A little before it was placed: clocks differ.
		query.Set("after", o.CreatedAt.Add(-time.Minute).UTC().Format(time.RFC3339))
	}
	if c.After != "" {
		query.Set("after", c.After)
	}
	follow := stream{
		api: api, query: query,
		lost:   func(err error) { t.say("connection lost, coming back: %v", err) },
		handle: func(e *event, raw []byte) error { return c.show(t, e, raw) },
	}
	err = follow.run(ctx)
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// show prints one event, and ends the stream with the order that is watched.
func (c *orderWatchCmd) show(t *terminal, e *event, raw []byte) error {
	if e.own() {
		if e.Type == "notifier.gap" {
			t.say("some events are gone from the log: %s", e.Data)
		}
		return nil
	}
	var o order
	if err := json.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("event %s cannot be read: %w", e.ID, err)
	}
	if c.JSON {
		fmt.Fprintf(t.out, "%s\n", raw)
	} else {
		status := ""
		if e.Source == "order-api" {
			status = fmt.Sprintf("%s%s (version %d)", o.Status, explain(o), o.Version)
		}
		fmt.Fprintf(t.out, "%s  %s  %-24s %s\n", e.Time.Local().Format("15:04:05.000"), e.Subject, e.Type, status)
	}
	if c.ID != "" && e.Source == "order-api" && final(o.Status) {
		return errEnough
	}
	return nil
}
