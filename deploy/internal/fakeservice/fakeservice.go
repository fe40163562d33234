// Package fakeservice plays Orderwire's services in tests of what starts them, so that those need nothing built and can
// have services that misbehave. A test binary calls Play from TestMain when it runs under the name of a service.
package fakeservice

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Play serves until SIGTERM or the end of standard input and gives the exit code. FAKE_CRASH_AT_START, FAKE_DEAF and
// FAKE_NEVER_READY each name the service that misbehaves so.
func Play(name string) int {
	fmt.Println(name, "says hello")
	if os.Getenv("FAKE_CRASH_AT_START") == name {
		fmt.Println("no database, no life")
		return 3
	}
	if os.Getenv("FAKE_DEAF") == name {
		signal.Ignore(syscall.SIGTERM)
	}
	admin := http.NewServeMux()
	admin.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("FAKE_NEVER_READY") == name {
			http.Error(w, "still warming up", http.StatusServiceUnavailable)
		}
	})
	go http.ListenAndServe(os.Getenv("ADMIN_ADDR"), admin) //nolint:errcheck,gosec // a fake: the test sees it

	api := http.NewServeMux()
	api.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{ //nolint:errcheck // the test sees it
			"service": name, "path": r.URL.Path, "host": r.Host, "forwarded": r.Header.Get("X-Forwarded-For"),
			"pid": os.Getpid(), "env": os.Environ(), "token": "a fake token",
		})
	})
	api.HandleFunc("/v1/events", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "echo" {
			playEcho(w)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	api.HandleFunc("/v1/stock/broken", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close() // cutting the connection is the point
		}
	})
	go http.ListenAndServe(os.Getenv("HTTP_ADDR"), api) //nolint:errcheck,gosec // a fake: the test sees it

	if os.Getenv("FAKE_DEAF") == name {
		select {}
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	closed := make(chan struct{})
	if os.Getenv("PARENT_WATCH") == "stdin" {
		go func() {
			io.Copy(io.Discard, os.Stdin) //nolint:errcheck // an error is an end as well
			close(closed)
		}()
	}
	select {
	case <-term:
		fmt.Println(name, "drained")
	case <-closed:
		fmt.Println(name, "lost its parent")
	}
	return 0
}

// playEcho upgrades to a protocol that sends back what comes.
func playEcho(w http.ResponseWriter) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close() // it has ended
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	io.Copy(conn, buf) //nolint:errcheck // it ends with the connection
}
