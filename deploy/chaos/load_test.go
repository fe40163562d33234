package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFinish_TellsOfAClientThatNeverGetsAnAnswer(t *testing.T) {
	for name, status := range map[string]int{"refused for good": http.StatusServiceUnavailable, "answered": http.StatusCreated} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan struct{}, 1000)
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"id":"1","version":1}`))
				asked <- struct{}{}
			}))
			defer api.Close()
			h, err := newHistory(filepath.Join(t.TempDir(), "history.jsonl"))
			require.NoError(t, err)
			l := &load{sys: &system{api: api.URL, begin: time.Now()}, history: h, http: api.Client(), stop: make(chan struct{}), pause: time.Millisecond}
			l.workers = []*worker{{load: l, name: "client-0", r: rand.New(rand.NewPCG(1, 1))}} //nolint:gosec // it must be repeatable
			l.start(context.Background())
			<-asked
			l.finish(300 * time.Millisecond)
			require.NoError(t, h.close())
			if status == http.StatusCreated {
				require.Empty(t, l.sys.found.found)
				return
			}
			only(t, l.sys.found, "I11")
		})
	}
}
