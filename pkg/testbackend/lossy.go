package testbackend

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/mongodb"
)

// Lossy dials a database and loses answers: what was asked for is done, and whoever asked does not hear of it. It knows
// commands by their names on the wire, which must be neither encrypted nor compressed.
type Lossy struct {
	net.Dialer

	mu             sync.Mutex
	command, until []byte // nil: nothing is lost
	begun          bool
	lost           int
}

// Lose loses the answers to every request that holds a command, from the next one on, after the database has given them,
// until a later one that holds the command until is sent.
func (l *Lossy) Lose(command, until string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.command, l.until, l.begun = append([]byte(command), 0), append([]byte(until), 0), false
}

// Lost is how many answers were lost so far.
func (l *Lossy) Lost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// DialContext is options.ContextDialer's.
func (l *Lossy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, lossy: l}, nil
}

// loses tells whether the answer to a request is to be lost.
func (l *Lossy) loses(request []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.command == nil:
		return false
	case l.begun && bytes.Contains(request, l.until):
		l.command = nil
		return false
	case bytes.Contains(request, l.command):
		l.begun = true
		return true
	default:
		return false
	}
}

type lossyConn struct {
	net.Conn
	lossy *Lossy
	lose  atomic.Bool
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if c.lossy.loses(p) {
		c.lose.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.lose.Load() {
		c.lossy.mu.Lock()
		c.lossy.lost++
		c.lossy.mu.Unlock()
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// MongoThrough gives a test's database through l, by a client as services have it, but for a time-out of a second: the
// driver asks again and again until then.
func MongoThrough(t testing.TB, db *mongo.Database, l *Lossy) *mongo.Database {
	t.Helper()
	return connect(t, mongodb.Config{
		URI: env(t, "TEST_MONGODB_URI", "a MongoDB connection string"), Database: db.Name(), Timeout: time.Second, Dialer: l,
	})
}
