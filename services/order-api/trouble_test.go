package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/service/servicetest"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

const someOrder = `{"items":[{"sku":"mug","quantity":1}],
	"shippingAddress":{"name":"A","street":"S","city":"C","postalCode":"1","country":"DE"}}`

// caller asks a service, each on connections of its own.
type caller struct {
	http  *http.Client
	url   string
	token string
}

func newCaller(t *testing.T, s *servicetest.Service, name string, operator bool) *caller {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &caller{http: &http.Client{Transport: transport}, url: s.URL}
	body, err := json.Marshal(map[string]any{"customer": name, "operator": operator})
	require.NoError(t, err)
	var got struct{ Token string }
	require.Eventually(t, func() bool { // the public port opens a moment after the service says that it runs
		status, answer, _, err := c.do(t.Context(), http.MethodPost, "/dev/token", string(body))
		return err == nil && status == http.StatusOK && json.Unmarshal(answer, &got) == nil
	}, 30*time.Second, 10*time.Millisecond)
	c.token = got.Token
	return c
}

func (c *caller) do(ctx context.Context, method, path, body string) (status int, answer []byte, header http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, resp.Header, err
}

// startWithoutBroker starts the service on a database, with one product.
func startWithoutBroker(t *testing.T, uri string, db *mongo.Database) *servicetest.Service {
	t.Helper()
	return start(t, servicetest.FreeAddr(t), uri, db)
}

// start starts the service with one product.
func start(t *testing.T, brokers, uri string, db *mongo.Database) *servicetest.Service {
	t.Helper()
	s := servicetest.Start(t, run, "KAFKA_BROKERS="+brokers, "MONGODB_URI="+uri, "MONGODB_DATABASE="+db.Name(),
		"JWT_SECRET="+strings.Repeat("s", 32), "DEV_LOGIN=true")
	status, answer, _, err := newCaller(t, s, "boss", true).do(t.Context(), http.MethodPut, "/v1/products/mug",
		`{"name":"A mug","unitPrice":{"amount":100,"currency":"EUR"}}`)
	require.NoError(t, err)
	require.Less(t, status, 300, string(answer))
	return s
}

// TestRun_StoppedUnderLoadLosesNoOrderAndResetsNobody: whoever is connected has an answer to what was asked, and whoever
// comes too late is told by a refused connection; what was answered with 201 is stored, with the broker away, too.
func TestRun_StoppedUnderLoadLosesNoOrderAndResetsNobody(t *testing.T) {
	db := testbackend.Mongo(t)
	s := startWithoutBroker(t, os.Getenv("TEST_MONGODB_URI"), db)
	var (
		mu       sync.Mutex
		accepted []string
		clients  sync.WaitGroup
	)
	underLoad := make(chan struct{})
	for range 8 {
		c := newCaller(t, s, "alice", false)
		clients.Go(func() {
			for {
				status, answer, _, err := c.do(t.Context(), http.MethodPost, "/v1/orders", someOrder)
				var op *net.OpError
				if errors.As(err, &op) && op.Op == "dial" {
					return
				}
				var placed struct{ ID string }
				if err != nil || status != http.StatusCreated || json.Unmarshal(answer, &placed) != nil {
					t.Errorf("%v, %d %s", err, status, answer)
					return
				}
				mu.Lock()
				accepted = append(accepted, placed.ID)
				if len(accepted) == 100 {
					close(underLoad)
				}
				mu.Unlock()
			}
		})
	}
	gone := make(chan struct{})
	go func() {
		clients.Wait()
		close(gone)
	}()
	select {
	case <-underLoad:
	case <-gone:
		require.FailNow(t, "nobody has placed anything")
	}
	require.NoError(t, s.Stop())
	<-gone
	stored, err := db.Collection("orders").CountDocuments(t.Context(), bson.D{
		{Key: "_id", Value: bson.D{{Key: "$in", Value: accepted}}}, {Key: "outbox.0", Value: bson.D{{Key: "$exists", Value: true}}},
	})
	require.NoError(t, err)
	require.EqualValues(t, len(accepted), stored)
}

// TestRun_WithADatabaseThatFreezesSaysTryLaterInTime: none of a crowd of orders waits longer than the two seconds that
// are promised, and orders are taken again once the database goes on.
func TestRun_WithADatabaseThatFreezesSaysTryLaterInTime(t *testing.T) {
	db := testbackend.Mongo(t)
	link := newLink(t, os.Getenv("TEST_MONGODB_URI"))
	s := startWithoutBroker(t, link.uri, db)
	alice := newCaller(t, s, "alice", false)
	place := func() (int, http.Header, error) {
		// A busy machine may take as long again to notice.
		ctx, cancel := context.WithTimeout(t.Context(), 2*2*time.Second)
		defer cancel()
		status, _, header, err := alice.do(ctx, http.MethodPost, "/v1/orders", someOrder)
		return status, header, err
	}
	status, _, err := place()
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status)

	thaw := link.freeze()
	defer thaw()
	var crowd sync.WaitGroup
	for range 600 { // more than the group that can be under way
		crowd.Go(func() {
			status, header, err := place()
			if err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
				t.Errorf("want 503 with Retry-After: %v, %d %v", err, status, header)
			}
		})
	}
	crowd.Wait()
	thaw()
	require.Eventually(t, func() bool {
		status, _, err := place()
		return err == nil && status == http.StatusCreated
	}, 30*time.Second, 50*time.Millisecond)
}

// link stands between the service and the database, and can be frozen: nothing is cut, and nothing comes through.
type link struct {
	uri string
	mu  sync.RWMutex // read-locked to pass something on
}

func newLink(t *testing.T, uri string) *link {
	t.Helper()
	u, err := url.Parse(uri)
	require.NoError(t, err)
	target := u.Host
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	query := u.Query()
	query.Del("replicaSet")
	query.Set("directConnection", "true") // or the driver would find its way around
	u.Host, u.RawQuery = listener.Addr().String(), query.Encode()
	l := &link{uri: u.String()}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", target)
			if err != nil {
				_ = from.Close()
				continue
			}
			running.Go(func() { l.pass(from, to) })
			running.Go(func() { l.pass(to, from) })
		}
	})
	return l
}

// pass copies until either side ends, and ends the other.
func (l *link) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.RLock()
		_, failed := to.Write(buffer[:n])
		l.mu.RUnlock()
		if err != nil || failed != nil {
			return
		}
	}
}

// freeze stops everything until thaw.
func (l *link) freeze() (thaw func()) {
	l.mu.Lock()
	return sync.OnceFunc(l.mu.Unlock)
}
