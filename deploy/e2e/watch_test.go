package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type assertT = assert.CollectT

func equal(c *assertT, want, got any) { assert.Equal(c, want, got) }

// event is a CloudEvent as the notifier sends it.
type event struct {
	Type          string          `json:"type"`
	Source        string          `json:"source"`
	Subject       string          `json:"subject"`
	Topic         string          `json:"topic"`
	Sequence      string          `json:"sequence"`
	Customer      string          `json:"customerid"`
	Cursor        string          `json:"cursor"`
	ChangedFields string          `json:"changedfields"`
	Data          json.RawMessage `json:"data"`
}

func (e event) own() bool { return strings.HasPrefix(e.Type, "notifier.") }

// watcher collects what the notifier pushes.
type watcher struct {
	t      *testing.T
	mu     sync.Mutex
	events []event
	cursor string
	err    error
	stop   func()
	done   chan struct{}
}

// watch opens a WebSocket with the token as a subprotocol, as a browser does, and waits until it is subscribed.
func (c *client) watch(query url.Values) *watcher {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	conn, _, err := websocket.Dial(ctx, strings.Replace(c.sys.GatewayURL, "http", "ws", 1)+"/v1/events?"+query.Encode(), //nolint:bodyclose // the library has closed it
		&websocket.DialOptions{Subprotocols: []string{"cloudevents.json", "bearer." + c.token}})
	require.NoError(c.t, err)
	conn.SetReadLimit(1 << 20)
	w := &watcher{t: c.t, done: make(chan struct{})}
	w.stop = func() { cancel(); <-w.done }
	go func() {
		defer close(w.done)
		defer conn.CloseNow() //nolint:errcheck // it has ended already, or is to be cut
		for {
			_, raw, err := conn.Read(ctx)
			if !w.take(raw, err) {
				return
			}
		}
	}()
	c.t.Cleanup(w.stop)
	w.until("subscribed", func(all []event) bool { return len(all) > 0 && all[0].Type == "notifier.subscribed" })
	return w
}

// watchSSE does the same over Server-Sent Events.
func (c *client) watchSSE(query url.Values, lastEventID string) *watcher {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.sys.GatewayURL+"/v1/events?"+query.Encode(), nil)
	require.NoError(c.t, err)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+c.token)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := http.DefaultClient.Do(req) //nolint:bodyclose // the reading goroutine closes it
	require.NoError(c.t, err)
	require.Equal(c.t, 200, res.StatusCode)
	require.Equal(c.t, "text/event-stream", strings.Split(res.Header.Get("Content-Type"), ";")[0])
	w := &watcher{t: c.t, done: make(chan struct{})}
	w.stop = func() { cancel(); <-w.done }
	go func() {
		defer close(w.done)
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data:"); ok && !w.take([]byte(data), nil) {
				return
			}
			if id, ok := strings.CutPrefix(lines.Text(), "id:"); ok {
				w.mu.Lock()
				w.cursor = strings.TrimSpace(id)
				w.mu.Unlock()
			}
		}
	}()
	c.t.Cleanup(w.stop)
	w.until("subscribed", func(all []event) bool { return len(all) > 0 && all[0].Type == "notifier.subscribed" })
	return w
}

func (w *watcher) take(raw []byte, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var e event
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		w.err = err
		return false
	}
	w.events = append(w.events, e)
	if e.Cursor != "" {
		w.cursor = e.Cursor
	}
	return true
}

// until waits until what was seen holds.
func (w *watcher) until(what string, holds func([]event) bool) []event {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		w.mu.Lock()
		seen, err := append([]event(nil), w.events...), w.err
		w.mu.Unlock()
		if holds(seen) {
			return seen
		}
		select {
		case <-w.done:
			require.FailNow(w.t, "the watcher ended before "+what, "%v", err)
		default:
		}
		require.True(w.t, time.Now().Before(deadline), "never %s; seen: %v", what, labels(seen))
		time.Sleep(5 * time.Millisecond)
	}
}

// untilOrder waits for the order-updated that carries the status.
func (w *watcher) untilOrder(id, status string) []event {
	w.t.Helper()
	return w.until(id+" "+status, func(all []event) bool {
		for _, e := range all {
			var o order
			if e.Source == "order-api" && e.Subject == id && json.Unmarshal(e.Data, &o) == nil && o.Status == status {
				return true
			}
		}
		return false
	})
}

func (w *watcher) seen(typ, order string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Type == typ && e.Subject == order {
			return true
		}
	}
	return false
}

func (w *watcher) untilType(typ, order string) {
	w.t.Helper()
	w.until(typ, func([]event) bool { return w.seen(typ, order) })
}

func labels(all []event) []string {
	var out []string
	for _, e := range all {
		out = append(out, e.Type+" "+e.Sequence)
	}
	return out
}

// first drops repeats as every client does: by source, subject, topic and sequence.
func first(all []event) []event {
	last := map[string]string{}
	var out []event
	for _, e := range all {
		if e.own() {
			continue
		}
		lane := e.Source + e.Subject + e.Topic
		if e.Sequence > last[lane] {
			last[lane] = e.Sequence
			out = append(out, e)
		}
	}
	return out
}
