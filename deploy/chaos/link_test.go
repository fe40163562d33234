package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listening gives an address where each connection is served, and then closed.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// TestLink_HealsOnItsPort: a link that was cut opens again at its address, also when somebody has that port for a moment.
func TestLink_HealsOnItsPort(t *testing.T) {
	upstream := listening(t, func(conn net.Conn) {
		_, _ = conn.Write([]byte("x")) // the client says what is missing
	})

	var notes notebook
	links := newLinks(notes.note)
	defer links.close()
	addr, err := links.add("l", upstream)
	require.NoError(t, err)
	require.NoError(t, call(addr))

	heal := links.get("l").cut()
	require.Error(t, call(addr))
	thief, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	healed := make(chan struct{})
	go func() {
		heal()
		close(healed)
	}()
	require.Eventually(t, func() bool { return notes.len() == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, thief.Close())
	<-healed
	require.NoError(t, call(addr))
	require.Contains(t, notes.all()[0], "link l: its port is taken")
	require.Contains(t, notes.all()[1], "link l: open again")
}

// call asks who listens at addr for a byte.
func call(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// notebook keeps what was noted.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

func (n *notebook) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

func (n *notebook) len() int { return len(n.all()) }

func (n *notebook) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lines
}
