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

// loadTarget is an Orderwire that accepts orders and pushes their two events. Of every so many, orders are refused, are
// never scheduled, or are stored although the first answer is a 503.
type loadTarget struct {
	*orderwire
	refuseEvery, loseEvery, unclearEvery int
	away                                 bool // every answer to an order is a 503

	mu       sync.Mutex
	orders   int
	byKey    map[string]string
	adjusted []int
	push     chan string
}

func newLoadTarget(t *testing.T) *loadTarget {
	t.Helper()
	l := &loadTarget{orderwire: newOrderwire(t), byKey: map[string]string{}, push: make(chan string, 10_000)}
	l.answer("PUT /v1/products/{sku}", 200, `{}`)
	l.answer("DELETE /v1/products/{sku}", 204, ``)
	l.mux.HandleFunc("POST /v1/stock/{sku}/adjustments", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Quantity int }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l.mu.Lock()
		l.adjusted = append(l.adjusted, body.Quantity)
		l.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{}`)
	})
	refuse := func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d,"code":%q}`, status, code)
	}
	l.mux.HandleFunc("POST /v1/orders", func(w http.ResponseWriter, r *http.Request) {
		if l.away {
			refuse(w, http.StatusServiceUnavailable, "overloaded")
			return
		}
		key := r.Header.Get("Idempotency-Key")
		l.mu.Lock()
		defer l.mu.Unlock()
		if id := l.byKey[key]; id != "" {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"id":%q}`, id)
			return
		}
		l.orders++
		n := l.orders
		every := func(k int) bool { return k > 0 && n%k == 0 }
		if every(l.refuseEvery) {
			refuse(w, http.StatusUnprocessableEntity, "invalid")
			return
		}
		customer := strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "-false")
		id := "o-" + strconv.Itoa(n)
		l.byKey[key] = id
		for i, typ := range []string{"order-created", "shipment-scheduled"} {
			if i == 1 && every(l.loseEvery) {
				continue
			}
			l.push <- fmt.Sprintf(`{"type":%q,"source":"s%d","subject":%q,"sequence":"0000000001","customerid":%q,"data":{}}`, typ, i, id, customer)
		}
		if every(l.unclearEvery) {
			refuse(w, http.StatusServiceUnavailable, "overloaded")
			return
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
		l := newLoadTarget(t)
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
	l := newLoadTarget(t)
	l.refuseEvery, l.loseEvery = 10, 25
	code, out, _ := l.orderctl("load", "--orders=100", "--clients=4", "--wait=100ms")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "90 orders accepted")
	require.Contains(t, out, "10 orders not accepted: 422 invalid")
	require.Contains(t, out, "2 accepted orders were not seen scheduled within 100ms") // the 25th and the 75th
}

// A 503 may come after the order was stored: with its key it is asked for again, and is there once.
func TestLoad_AsksAgainForWhatIsUnknown(t *testing.T) {
	l := newLoadTarget(t)
	l.unclearEvery = 10
	code, out, errOut := l.orderctl("load", "--orders=100", "--clients=4", "--json")
	require.Equal(t, 0, code, errOut)
	var result load.Result
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.Equal(t, 100, result.Accepted)
	require.Equal(t, 100, l.orders)
	require.Equal(t, 10, result.Retries)
	require.Empty(t, result.Unknown)
	require.Zero(t, result.Unseen)
}

func TestLoad_WhatStaysUnknownIsNeitherAcceptedNorRefused(t *testing.T) {
	l := newLoadTarget(t)
	l.away = true
	code, out, errOut := l.orderctl("load", "--orders=2", "--clients=2", "--wait=300ms", "--patience=300ms")
	require.Equal(t, exitFailed, code, errOut)
	require.Contains(t, out, "0 orders accepted")
	require.Contains(t, out, "2 orders that may be placed or not: to the end the answer was 503 overloaded")
	require.NotContains(t, out, "not accepted")
	require.Equal(t, []int{1_000_000}, l.adjusted, "the stock is left for what may still come")
}

func TestLoad_LeavesNothingBehind(t *testing.T) {
	l := newLoadTarget(t)
	code, _, errOut := l.orderctl("load", "--orders=10", "--items=2")
	require.Equal(t, 0, code, errOut)
	require.Equal(t, []int{1_000_000, 1_000_000, -999_990, -999_990}, l.adjusted)
	for _, sku := range []string{"load-0", "load-1"} {
		require.Contains(t, l.seen, "DELETE /v1/products/"+sku+" demo-true")
	}
}

func TestLoad_EndsAtItsDuration(t *testing.T) {
	l := newLoadTarget(t)
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
