package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// A notifier that is stopped, but whose connections are kept for it, says nothing and ends nothing.
func TestStream_ComesBackAfterItsCursorFromANotifierThatHasGoneSilent(t *testing.T) {
	const (
		subscribed = `{"type":"notifier.subscribed","source":"notifier","cursor":"c0","data":{"mode":"live","heartbeatIntervalMs":10}}`
		created    = `{"type":"order-created","source":"order-api","sequence":"0000000001","cursor":"c1","data":{}}`
	)
	for name, c := range map[string]struct {
		says  []string // nil: it does not even answer
		beat  time.Duration
		after string // where the next connection begins
	}{
		"while it is asked":           {nil, 10 * time.Millisecond, ""},
		"before it greets":            {[]string{}, 10 * time.Millisecond, ""},
		"for longer than it has said": {[]string{subscribed}, time.Hour, "c0"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 100)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				says := c.says
				if len(asked) > 0 {
					says = []string{created}
				}
				asked <- r.URL.Query().Get("after")
				if says == nil {
					<-r.Context().Done()
					return
				}
				conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"cloudevents.json"}})
				if err != nil {
					return
				}
				defer conn.CloseNow() //nolint:errcheck // the client has left
				for _, message := range says {
					conn.Write(r.Context(), websocket.MessageText, []byte(message)) //nolint:errcheck // the test sees it
				}
				conn.Read(r.Context()) //nolint:errcheck // it ends with an error
			}))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var lost []error
			come := errors.New("it has come")
			s := Stream{API: New(server.URL, ""), Query: url.Values{}, beat: c.beat}
			s.Lost = func(err error) {
				lost = append(lost, err)
				s.beat = time.Hour // the next one may be as slow as it wants
			}
			s.Handle = func(e *Event, _ []byte) error {
				if e.Own() {
					return nil
				}
				return come
			}
			require.ErrorIs(t, s.Run(ctx), come)
			require.Len(t, lost, 1)
			require.ErrorIs(t, lost[0], errSilent)
			require.Empty(t, <-asked)
			require.Equal(t, c.after, <-asked)
		})
	}
}
