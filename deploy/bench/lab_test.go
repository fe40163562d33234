package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/internal/load"
)

func TestUnseen_SaysWhereTheOrdersAre(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/orders/o-1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"pending"}`) })
	mux.HandleFunc("GET /v1/shipments/o-1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":404,"code":"not_found"}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	l := &lab{operator: client.New(server.URL, ""), sizes: quickSizes}
	require.NoError(t, l.unseen(t.Context(), load.Result{Accepted: 10}))
	err := l.unseen(t.Context(), load.Result{Accepted: 10, Unseen: 1, UnseenIDs: []string{"o-1"}})
	require.EqualError(t, err, "1 of 10 accepted orders were not seen scheduled within 30s\n"+
		"  o-1: order pending, shipment (404 not_found)")
}

func TestDownload_AnAnswerThatIsAnErrorIsNoProfile(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	require.ErrorContains(t, download(t.Context(), server.URL, t.TempDir()+"/p"), "404")
}

func TestAwaitConfirmed_WaitsUntilNoOrderIsPending(t *testing.T) {
	pending := []string{`{"id":"o-1"}`, `{"id":"o-1"}`, ``}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "pending", r.URL.Query().Get("status"))
		fmt.Fprintf(w, `{"items":[%s]}`, pending[min(asked, len(pending)-1)])
		asked++
	}))
	defer server.Close()
	l := &lab{operator: client.New(server.URL, ""), sizes: quickSizes}
	require.NoError(t, l.awaitConfirmed(t.Context()))
	require.Equal(t, len(pending), asked)

	asked, pending = 0, pending[:1]
	l.sizes.wait = 120 * time.Millisecond
	require.ErrorContains(t, l.awaitConfirmed(t.Context()), "orders are still pending 120ms after the last one was scheduled")
}

// TestPollPause_LeavesTheDatabaseToOthers: it asks for a tenth of the time, and sees the end half a second late at most.
func TestPollPause_LeavesTheDatabaseToOthers(t *testing.T) {
	require.Equal(t, 50*time.Millisecond, pollPause(time.Millisecond))
	require.Equal(t, 180*time.Millisecond, pollPause(20*time.Millisecond))
	require.Equal(t, 500*time.Millisecond, pollPause(10*time.Second))
}
