package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/load"
)

// loadTarget is an Orderwire that accepts orders and pushes their two events; every tenth order is refused, and some are
// never scheduled.
type loadTarget struct {
	*orderwire
	mu     sync.Mutex
	orders int
	push   chan string
}

func newLoadTarget(t *testing.T, refuseEvery, loseEvery int) *loadTarget {
	t.Helper()
	l := &loadTarget{orderwire: newOrderwire(t), push: make(chan string, 10_000)}
	l.answer("PUT /v1/products/{sku}", 200, `{}`)
	l.answer("POST /v1/stock/{sku}/adjustments", 201, `{}`)
	l.mux.HandleFunc("POST /v1/orders", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.orders++
		n := l.orders
		l.mu.Unlock()
		if refuseEvery > 0 && n%refuseEvery == 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":503,"code":"overloaded"}`)
			return
		}
		customer := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "-false")
		id := "o-" + strconv.Itoa(n)
		for i, typ := range []string{"order-created", "shipment-scheduled"} {
			if i == 1 && loseEvery > 0 && n%loseEvery == 0 {
				continue
			}
			l.push <- fmt.Sprintf(`{"type":%q,"source":"s%d","subject":%q,"sequence":"0000000001","customerid":%q,"data":{}}`, typ, i, id, customer)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":%q}`, id)
	})
	l.mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"cloudevents.json"}})
		if err != nil {
			return
		}
		defer conn.CloseNow() //nolint:errcheck // the client has left
		ctx := conn.CloseRead(r.Context())
		message := `{"type":"notifier.subscribed","source":"notifier"}`
		for {
			if conn.Write(ctx, websocket.MessageText, []byte(message)) != nil {
				return
			}
			select {
			case message = <-l.push:
			case <-ctx.Done():
				return
			}
		}
	})
	return l
}

func TestLoad_ClosedAndOpenLoopCountEveryOrder(t *testing.T) {
	for name, flags := range map[string][]string{
		"closed": {"--clients=8"},
		"open":   {"--rate=2000"},
	} {
		l := newLoadTarget(t, 0, 0)
		code, out, errOut := l.orderctl(append([]string{"load", "--orders=100", "--items=2", "--json"}, flags...)...)
		require.Equal(t, 0, code, name+errOut)
		var result load.Result
		require.NoError(t, json.Unmarshal([]byte(out), &result))
		require.Equal(t, 100, result.Accepted, name)
		require.Equal(t, 100, l.orders, name)
		for _, p := range []load.Percentiles{result.Answer, result.Created, result.Scheduled} {
			require.Equal(t, 100, p.Count, name)
			require.LessOrEqual(t, p.P50, p.P99, name)
			require.LessOrEqual(t, p.P99, p.Max, name)
		}
		require.Positive(t, result.PerSecond, name)
		require.Positive(t, result.Through, name)
	}
}

func TestLoad_ReportsWhatWasRefusedAndWhatWasNeverSeen(t *testing.T) {
	l := newLoadTarget(t, 10, 25)
	code, out, _ := l.orderctl("load", "--orders=100", "--clients=4", "--wait=100ms")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "90 orders accepted")
	require.Contains(t, out, "10 orders not accepted: 503 overloaded")
	require.Contains(t, out, "2 accepted orders were not seen scheduled within 100ms") // the 25th and the 75th
}

func TestLoad_EndsAtItsDuration(t *testing.T) {
	l := newLoadTarget(t, 0, 0)
	code, out, errOut := l.orderctl("load", "--orders=0", "--duration=200ms", "--clients=2", "--json")
	require.Equal(t, 0, code, errOut)
	var result load.Result
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.Equal(t, l.orders, result.Accepted, "those under way when the time was over count")
}

func TestLoad_PlacesNothingThatNobodyWatches(t *testing.T) {
	l := &loadTarget{orderwire: newOrderwire(t)}
	l.answer("PUT /v1/products/{sku}", 200, `{}`)
	l.answer("POST /v1/stock/{sku}/adjustments", 201, `{}`)
	code, out, errOut := l.orderctl("load", "--orders=1", "--wait=200ms")
	require.Equal(t, exitUnreachable, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "no connection within 200ms")
	require.NotContains(t, strings.Join(l.seen, "\n"), "/v1/orders")
}
