package mongoconformance

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// lossyDialer loses the answer to the next request that holds a given command, after the server has given it.
type lossyDialer struct {
	net.Dialer
	command atomic.Pointer[[]byte]
	lost    atomic.Int64
}

func (d *lossyDialer) loseNext(command string) {
	name := append([]byte(command), 0)
	d.command.Store(&name)
}

func (d *lossyDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{Conn: conn, dialer: d}, nil
}

type lossyConn struct {
	net.Conn
	dialer *lossyDialer
	lose   atomic.Bool
}

func (c *lossyConn) Write(p []byte) (int, error) {
	if name := c.dialer.command.Load(); name != nil && bytes.Contains(p, *name) && c.dialer.command.CompareAndSwap(name, nil) {
		c.lose.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.lose.Load() {
		c.dialer.lost.Add(1)
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func lostAnswer(t *testing.T, uri string) {
	dialer := &lossyDialer{}
	coll := collection(t, connect(t, uri, dialer))
	seed(t, coll, 1)

	dialer.loseNext("insert")
	_, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "once"}})
	if mongo.IsDuplicateKeyError(err) {
		t.Log("KNOWN: a retried insert meets itself, as a duplicate key; Orderwire reads back what an insert has met")
	} else {
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, dialer.lost.Load(), "no answer was lost: this checks nothing")
	require.Len(t, read(t, coll, id("once")), 1)

	dialer.loseNext("update")
	// Every update of Orderwire is guarded by the version that it read, so it needs no help here; a server that keeps no
	// record of retried writes is found out all the same.
	result, err := coll.UpdateOne(t.Context(), id(0), inc("n"))
	require.NoError(t, err)
	require.EqualValues(t, 2, dialer.lost.Load(), "no answer was lost: this checks nothing")
	require.EqualValues(t, 1, result.MatchedCount)
	if n := read(t, coll, id(0))[0]["n"]; n != int32(1) && os.Getenv("TEST_MONGODB_KIND") == "secantusd-py" {
		t.Logf("KNOWN: a retried update without a guard is done again: %v", n)
	} else {
		require.EqualValues(t, 1, n, "a retried update was done twice")
	}
}
