package push

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseOrigin_KnowsFourBeginnings(t *testing.T) {
	text := cursor.Cursor{Next: cursor.Position{{1}, {2}}}.String()
	for s, want := range map[string]func(Origin) bool{
		"":                          Origin.latest,
		"latest":                    Origin.latest,
		"earliest":                  func(o Origin) bool { return o.earliest && !o.latest() },
		"2026-11-25T14:00:00Z":      func(o Origin) bool { return o.since.Unix() == 1795615200 },
		"2026-11-25T15:00:00+01:00": func(o Origin) bool { return o.since.Unix() == 1795615200 },
		"0001-01-01T00:00:00Z":      func(o Origin) bool { return !o.latest() }, // Go's zero time
		text:                        func(o Origin) bool { return o.cursor.String() == text },
	} {
		o, err := ParseOrigin(s)
		require.NoError(t, err, s)
		require.True(t, want(o), s)
	}
	for _, s := range []string{"now", "2026-11-25", "1795615200", text + "A", "LATEST"} {
		_, err := ParseOrigin(s)
		require.ErrorIs(t, err, cursor.ErrInvalid, s)
	}
}

func TestCode_FitsTheProblem(t *testing.T) {
	for status, code := range map[int]int{
		http.StatusBadRequest: 4400, http.StatusUnauthorized: 4401, http.StatusForbidden: 4403, http.StatusGone: 4410,
		http.StatusTooManyRequests: 4429, http.StatusServiceUnavailable: 1013, http.StatusInternalServerError: 1011,
		http.StatusNotAcceptable: 4400,
	} {
		require.Equal(t, code, Code(&web.Problem{Status: status}), status)
	}
}

// One that reads something now and then is written to for as long as it takes; one that reads nothing is not.
func TestPatient_WaitsForWhoReadsAndForNobodyElse(t *testing.T) {
	const slow = 50 * time.Millisecond
	here, there := net.Pipe() // without any buffer
	defer here.Close()
	defer there.Close()
	p := &patient{Conn: here, slow: slow}
	written := make(chan error, 1)
	message := make([]byte, 4*piece)
	go func() {
		_, err := p.Write(message)
		written <- err
	}()
	pause := time.NewTicker(slow / 2) // over the whole message it takes many times as long as one that is silent has
	defer pause.Stop()
	for left := len(message); left > 0; {
		<-pause.C
		n, err := there.Read(make([]byte, piece/4))
		require.NoError(t, err)
		left -= n
	}
	require.NoError(t, <-written)

	_, err := p.Write(message)
	require.ErrorIs(t, slowOr(err), errSlow)
	require.NotErrorIs(t, slowOr(errors.New("reset by peer")), errSlow)
}

// A pong lies behind what a slow client has yet to read: while a write waits for it, a missing pong says nothing.
func TestPing_SaysNothingOfAClientThatIsWrittenTo(t *testing.T) {
	const short = 10 * time.Millisecond
	accepted := make(chan *socket, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := accept(w, r, time.Minute)
		assert.NoError(t, err)
		accepted <- s
	}))
	defer server.Close()
	client, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{Subprotocols: []string{Subprotocol}}) //nolint:bodyclose // there is none after a handshake
	require.NoError(t, err)
	defer client.CloseNow() //nolint:errcheck // it never reads, so it gives no pong
	wire := <-accepted
	defer wire.cut()
	s := &session{hub: &Hub{config: Config{PingInterval: short, PongTimeout: short}}, endings: make(chan ending, 1)}
	ctx, stop := context.WithCancel(t.Context())
	var pinging sync.WaitGroup
	defer func() { stop(); pinging.Wait() }()

	wire.raw.busy.Add(1)
	pinging.Go(func() { ping(ctx, wire, s) })
	time.Sleep(10 * short) // some pings
	require.Empty(t, s.endings)
	wire.raw.busy.Add(-1)
	require.Eventually(t, func() bool { return len(s.endings) == 1 }, 10*time.Second, short)
	require.Equal(t, gone(codeAbnormal), <-s.endings)
}
