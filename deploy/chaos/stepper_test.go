package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

// databaseWithin bounds every wait for the database.
const databaseWithin = 20 * time.Second

// TestStepper_PassesBytesUnchanged, small and large, both ways; what is no message ends the connection.
func TestStepper_PassesBytesUnchanged(t *testing.T) {
	upstream := listening(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	s, err := newStepper("127.0.0.1:0", upstream)
	require.NoError(t, err)
	defer s.close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", s.listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(databaseWithin)))
		return conn
	}

	conn := dial()
	for _, size := range []int{messageHeader, 100, keptBuffer, keptBuffer + 1, longestMessage, 17} {
		message := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		binary.LittleEndian.PutUint32(message, uint32(size))
		go func() { _, _ = conn.Write(message) }()
		back := make([]byte, size)
		_, err := io.ReadFull(conn, back)
		require.NoError(t, err, "%d bytes", size)
		require.True(t, bytes.Equal(message, back), "%d bytes have changed", size)
	}

	for _, size := range []uint32{0, messageHeader - 1, longestMessage + 1, 1 << 31} {
		conn := dial()
		_, err := conn.Write(binary.LittleEndian.AppendUint32(nil, size))
		require.NoError(t, err)
		_, err = conn.Write(make([]byte, messageHeader-4))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "a message of %d bytes", size)
	}
}

// TestStepDown_AWriteIsRetriedAndDoneOnce, whatever the database says of it and whether or not it did it.
func TestStepDown_AWriteIsRetriedAndDoneOnce(t *testing.T) {
	for _, how := range demises {
		for _, closing := range []bool{true, false} {
			t.Run(how.name, func(t *testing.T) {
				k, coll := stepped(t, nil)
				over := k.stepper.stepDown(closing, how)
				result := make(chan error, 1)
				go func() {
					var pool driver.RetryablePoolError
					_, err := coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: 1}}, increment)
					for errors.As(err, &pool) { // it had no connection yet when all were closed: the driver leaves that to its caller
						_, err = coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: 1}}, increment)
					}
					result <- err
				}()
				triesAgain(t, k.stepper, result)
				require.Equal(t, how.done, k.stepper.hidden.Load() > 0)
				over()
				require.NoError(t, <-result)
				require.EqualValues(t, 1, counted(t, coll))
			})
		}
	}
}

// triesAgain waits until the driver has tried an operation twice; it must have no result yet.
func triesAgain(t *testing.T, s *stepper, result chan error) {
	t.Helper()
	require.Eventually(t, func() bool { return s.refused.Load()+s.hidden.Load() > 1 || len(result) > 0 }, databaseWithin, time.Millisecond,
		"the driver does not try again")
	if len(result) > 0 {
		require.FailNow(t, "it has ended during the step-down", "%v", <-result)
	}
}

// TestStepDown_EndsTransactions: whoever has begun one is told to begin again, and it holds nothing any more.
func TestStepDown_EndsTransactions(t *testing.T) {
	k, coll := stepped(t, nil)
	session, err := coll.Database().Client().StartSession()
	require.NoError(t, err)
	defer session.EndSession(t.Context())
	require.NoError(t, session.StartTransaction())
	ctx := mongo.NewSessionContext(t.Context(), session)
	_, err = coll.UpdateOne(ctx, bson.D{{Key: "_id", Value: 1}}, increment)
	require.NoError(t, err)

	over := k.stepper.stepDown(false, demises[2])
	_, err = coll.UpdateOne(ctx, bson.D{{Key: "_id", Value: 1}}, increment)
	var answer mongo.CommandError
	require.ErrorAs(t, err, &answer)
	require.Equal(t, demises[2].code, answer.Code)
	require.True(t, answer.HasErrorLabel("TransientTransactionError"), "%v", err)
	require.False(t, answer.HasErrorLabel("RetryableWriteError"), "%v", err)
	over()
	_, err = coll.UpdateOne(t.Context(), bson.D{{Key: "_id", Value: 1}}, increment)
	require.NoError(t, err, "the transaction still holds its document")
	require.EqualValues(t, 1, counted(t, coll))
}

// TestStepDown_LeavesCommitsUnknown: a commit whose answer says that it was interrupted was made, and its repetition says so;
// one that was refused was not.
func TestStepDown_LeavesCommitsUnknown(t *testing.T) {
	for _, how := range demises {
		t.Run(how.name, func(t *testing.T) {
			k, coll := stepped(t, nil)
			session, err := coll.Database().Client().StartSession()
			require.NoError(t, err)
			defer session.EndSession(t.Context())
			require.NoError(t, session.StartTransaction())
			_, err = coll.UpdateOne(mongo.NewSessionContext(t.Context(), session), bson.D{{Key: "_id", Value: 1}}, increment)
			require.NoError(t, err)

			over := k.stepper.stepDown(false, how)
			result := make(chan error, 1)
			go func() { result <- session.CommitTransaction(t.Context()) }()
			triesAgain(t, k.stepper, result)
			over()
			if err := <-result; how.done {
				require.NoError(t, err)
				require.EqualValues(t, 1, counted(t, coll))
			} else {
				require.Error(t, err)
				require.EqualValues(t, 0, counted(t, coll))
			}
		})
	}
}

// TestStepDown_IsAnnounced: drivers hear at once that the primary is none, and that it is one again.
func TestStepDown_IsAnnounced(t *testing.T) {
	kinds := make(chan string, 100)
	k, _ := stepped(t, &event.ServerMonitor{ServerDescriptionChanged: func(e *event.ServerDescriptionChangedEvent) {
		kinds <- e.NewDescription.Kind
	}})
	await := func(want string) {
		t.Helper()
		for {
			select {
			case kind := <-kinds:
				if kind == want {
					return
				}
			case <-time.After(5 * time.Second): // the server itself says something every ten
				require.FailNow(t, "the driver does not take the database for a "+want)
			}
		}
	}
	await("RSPrimary")
	require.Eventually(t, func() bool { return k.stepper.waiting() > 0 }, databaseWithin, time.Millisecond, "nobody waits for news")
	over := k.stepper.stepDown(false, demises[0])
	await("RSSecondary")
	over()
	await("RSPrimary")
}

// waiting counts those who wait for news of the topology.
func (s *stepper) waiting() (n int) {
	s.each(func(c *conversation) {
		c.writing.Lock()
		defer c.writing.Unlock()
		if c.waits != 0 {
			n++
		}
	})
	return n
}

var increment = bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}

// stepped gives a link to the test's database, and behind it a collection with a document that counts.
func stepped(t *testing.T, monitor *event.ServerMonitor) (*link, *mongo.Collection) {
	t.Helper()
	direct := testbackend.Mongo(t).Collection("counters")
	_, err := direct.InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}, {Key: "n", Value: 0}})
	require.NoError(t, err)

	at, err := connstring.ParseAndValidate(os.Getenv("TEST_MONGODB_URI"))
	require.NoError(t, err)
	links := newLinks(t.Logf)
	t.Cleanup(links.close)
	const name = stack.LinkDatabase + "-of-a-test"
	addr, err := links.add(name, at.Hosts[0])
	require.NoError(t, err)
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + addr + "/?directConnection=true").
		SetTimeout(databaseWithin).SetServerMonitor(monitor))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Disconnect(context.Background())) })
	require.NoError(t, client.Ping(t.Context(), nil))
	return links.get(name), client.Database(direct.Database().Name()).Collection(direct.Name())
}

// counted gives what the document has counted.
func counted(t *testing.T, coll *mongo.Collection) int64 {
	t.Helper()
	var doc struct{ N int64 }
	require.NoError(t, coll.FindOne(t.Context(), bson.D{{Key: "_id", Value: 1}}).Decode(&doc))
	return doc.N
}
