package stack

import (
	"net"
	"sync"
	"time"
)

// lingerFor is longer than a member of a group may wait to join it: our services' rebalance time-out is 20 s.
const lingerFor = 30 * time.Second

// lingering hides from kfake for a while that a client has gone. A member that goes while it waits to join would stay in
// its group for ever, and nobody would read its partitions: kfake starts a session's time-out with the answer to the
// join, and only if the answer can still be sent. Apache Kafka starts it in any case.
type lingering struct{ net.Listener }

// Accept waits for the next client.
func (l lingering) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lingerer{Conn: conn, closed: make(chan struct{})}, nil
}

// lingerer is a connection that ends late for who reads from it, and at once when it is closed on this side.
type lingerer struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Read tells of the end of the connection lingerFor later.
func (c *lingerer) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if err == nil {
		return n, nil
	}
	timer := time.NewTimer(lingerFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closed:
	}
	return n, err
}

// Close ends the waiting.
func (c *lingerer) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
