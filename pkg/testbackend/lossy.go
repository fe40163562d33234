package testbackend

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Lossy dials a database and loses answers: what was asked for is done, and whoever asked does not hear of it.
type Lossy struct {
	net.Dialer
	command    atomic.Pointer[[]byte]
	left, lost atomic.Int64
}

// Lose loses the answers to the next n requests that hold a command, after the database has given them.
func (l *Lossy) Lose(command string, n int) {
	name := append([]byte(command), 0)
	l.command.Store(&name)
	l.left.Store(int64(n))
}

// Lost is how many answers were lost so far.
func (l *Lossy) Lost() int { return int(l.lost.Load()) }

// DialContext is options.ContextDialer's.
func (l *Lossy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, lossy: l}, nil
}

type lossyConn struct {
	net.Conn
	lossy *Lossy
	lose  atomic.Bool
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if name := c.lossy.command.Load(); name != nil && bytes.Contains(p, *name) && c.lossy.left.Add(-1) >= 0 {
		c.lose.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.lose.Load() {
		c.lossy.lost.Add(1)
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// MongoThrough gives a test's database by another client, which dials through dialer.
func MongoThrough(t testing.TB, db *mongo.Database, dialer options.ContextDialer) *mongo.Database {
	t.Helper()
	journal := true
	client, err := mongo.Connect(options.Client().ApplyURI(env(t, "TEST_MONGODB_URI", "a MongoDB connection string")).SetDialer(dialer).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).SetReadConcern(readconcern.Majority()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return client.Database(db.Name())
}
