package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderwire/orderwire/pkg/auth"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// world is a broker with both topics, and a producer.
type world struct {
	t       *testing.T
	cluster *kfake.Cluster // nil on Apache Kafka
	brokers []string
	kafka   *kgo.Client
	signer  *auth.Verifier
}

var authConfig = auth.Config{Secret: strings.Repeat("s", 32), Issuer: "orderwire", Audience: "orderwire"}

// fake is a world of its own.
func fake(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, cursor.Topics[:]...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	w := newWorld(t, cluster.ListenAddrs())
	w.cluster = cluster
	return w
}

// eachBroker runs a test on kfake and, where TEST_KAFKA_BROKERS names one, on Apache Kafka, whose topics it shares.
func eachBroker(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) { test(fake(t)) })
	t.Run("apache", func(t *testing.T) {
		list := os.Getenv("TEST_KAFKA_BROKERS")
		if list == "" {
			const why = "TEST_KAFKA_BROKERS is not set (Kafka bootstrap addresses)"
			if os.Getenv("REQUIRE_BACKENDS") == "1" {
				t.Fatal(why + ", and REQUIRE_BACKENDS=1 asks for it")
			}
			t.Skip(why)
		}
		test(newWorld(t, strings.Split(list, ",")))
	})
}

func newWorld(t *testing.T, brokers []string) *world {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordRetries(5))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	signer, err := auth.NewVerifier(t.Context(), authConfig)
	require.NoError(t, err)
	return &world{t: t, brokers: brokers, kafka: client, signer: signer}
}

// token is a customer's.
func (w *world) token(customer string) string { return w.tokenFor(customer, false, time.Hour) }

func (w *world) tokenFor(customer string, operator bool, ttl time.Duration) string {
	w.t.Helper()
	token, err := w.signer.Sign(auth.Principal{Customer: customer, Operator: operator}, ttl)
	require.NoError(w.t, err)
	return token
}

// someone is a customer that no other test knows.
func someone() string { return "customer-" + uuid.NewString()[:8] }

// record encodes an event of an order.
func record(t testing.TB, typ events.Type, order, customer string, sequence int64) *kgo.Record {
	t.Helper()
	body := events.NewBody(typ)
	m := body.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("id"), protoreflect.ValueOfString(order))
	m.Set(m.Descriptor().Fields().ByName("customer_id"), protoreflect.ValueOfString(customer))
	e := &events.Event{
		ID: uuid.NewString(), Type: typ, Subject: order, Time: time.Now().UTC(), Sequence: sequence, Customer: customer, Data: body,
	}
	return encodeRecord(t, e)
}

// publish puts an event into the log.
func (w *world) publish(typ events.Type, order, customer string, sequence int64) {
	w.t.Helper()
	w.produce(record(w.t, typ, order, customer, sequence))
}

func (w *world) produce(records ...*kgo.Record) {
	w.t.Helper()
	require.NoError(w.t, w.kafka.ProduceSync(w.t.Context(), records...).FirstErr())
}

// notifier is the service, run in this process.
type notifier struct {
	w          *world
	url, admin string
	stop       context.CancelFunc
	ended      chan error
}

// start starts one and waits until it is ready.
func (w *world) start(env ...string) *notifier {
	w.t.Helper()
	n := w.launch(env...)
	require.Eventually(w.t, func() bool { return n.ready() == http.StatusOK }, patience, 5*time.Millisecond, "never ready")
	return n
}

// launch starts one.
func (w *world) launch(env ...string) *notifier {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	n := &notifier{w: w, stop: stop, ended: make(chan error, 1)}
	addr, admin := freeAddr(w.t), freeAddr(w.t)
	n.url, n.admin = "http://"+addr, "http://"+admin
	environ := slices.Concat([]string{
		"HTTP_ADDR=" + addr, "ADMIN_ADDR=" + admin, "KAFKA_BROKERS=" + strings.Join(w.brokers, ","),
		"KAFKA_TOPIC_PARTITIONS=3", "JWT_SECRET=" + authConfig.Secret, "DRAIN_WINDOW=10ms", "SHUTDOWN_TIMEOUT=10s",
	}, env)
	go func() { n.ended <- run(ctx, environ, io.Discard) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-n.ended; err != nil {
			w.t.Errorf("the notifier ended with: %v", err)
		}
		n.ended <- nil
	})
	return n
}

// ready gives the status of /readyz, 0 when nobody answers.
func (n *notifier) ready() int {
	res, err := plain.Get(n.admin + "/readyz")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	return res.StatusCode
}

// metrics gives what /metrics says.
func (n *notifier) metrics() string {
	n.w.t.Helper()
	res, err := plain.Get(n.admin + "/metrics")
	require.NoError(n.w.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(n.w.t, err)
	return string(body)
}

// plain keeps no connection open.
var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// message is what a client gets.
type message struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Sequence    string          `json:"sequence"`
	Customer    string          `json:"customerid"`
	Topic       string          `json:"topic"`
	Cursor      string          `json:"cursor"`
	Data        json.RawMessage `json:"data"`
}

func (m message) own() bool { return strings.HasPrefix(m.Type, "notifier.") }

func (m message) String() string { return m.Type + " " + m.Subject + " " + m.Sequence }

// client is one connection, and all that it was sent.
type client struct {
	t      *testing.T
	socket *websocket.Conn // nil for SSE
	leave  func()

	mu   sync.Mutex
	all  []message
	ids  []string // SSE: every id
	text string   // SSE: everything
	err  error
	done chan struct{}
}

// dial opens a WebSocket; it may be refused in band.
func (n *notifier) dial(token string, query url.Values) *client {
	n.w.t.Helper()
	conn := n.open(token, query)
	ctx, leave := context.WithCancel(context.Background())
	c := &client{t: n.w.t, socket: conn, leave: leave, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for {
			kind, raw, err := conn.Read(ctx)
			if err == nil && kind != websocket.MessageText {
				err = fmt.Errorf("a frame of kind %v", kind)
			}
			if !c.take(raw, err) {
				_ = conn.CloseNow() // it has ended
				return
			}
		}
	}()
	n.w.t.Cleanup(c.close)
	return c
}

// open opens a WebSocket that nobody reads yet.
func (n *notifier) open(token string, query url.Values) *websocket.Conn {
	n.w.t.Helper()
	protocols := []string{"cloudevents.json"}
	if token != "" {
		protocols = append(protocols, "bearer."+token)
	}
	conn, res, err := websocket.Dial(n.w.t.Context(), strings.Replace(n.url, "http", "ws", 1)+"/v1/events?"+query.Encode(),
		&websocket.DialOptions{Subprotocols: protocols, HTTPClient: plain})
	require.NoError(n.w.t, err)
	if res.Body != nil {
		res.Body.Close()
	}
	require.Equal(n.w.t, "cloudevents.json", conn.Subprotocol())
	conn.SetReadLimit(4 << 20)
	return conn
}

// stream opens Server-Sent Events.
func (n *notifier) stream(token string, query url.Values, lastEventID string) *client {
	n.w.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	res := n.get(ctx, token, query, lastEventID) //nolint:bodyclose // the reading goroutine closes it
	require.Equal(n.w.t, http.StatusOK, res.StatusCode)
	require.Equal(n.w.t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Equal(n.w.t, "no-store", res.Header.Get("Cache-Control"))
	require.Equal(n.w.t, "no", res.Header.Get("X-Accel-Buffering"))
	c := &client{t: n.w.t, leave: leave, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			line := lines.Text()
			c.mu.Lock()
			c.text += line + "\n"
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				c.ids = append(c.ids, id)
			}
			c.mu.Unlock()
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				c.take([]byte(data), nil)
			}
		}
		c.take(nil, io.EOF)
	}()
	n.w.t.Cleanup(c.close)
	return c
}

// get asks for Server-Sent Events.
func (n *notifier) get(ctx context.Context, token string, query url.Values, lastEventID string) *http.Response {
	n.w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/v1/events?"+query.Encode(), nil)
	require.NoError(n.w.t, err)
	req.Header.Set("Accept", "text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := plain.Do(req)
	require.NoError(n.w.t, err)
	return res
}

func (c *client) take(raw []byte, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var m message
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		c.err = err
		return false
	}
	c.all = append(c.all, m)
	return true
}

func (c *client) close() {
	c.leave()
	<-c.done
}

// seen gives what has come so far.
func (c *client) seen() []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// until waits until what was seen holds.
func (c *client) until(what string, holds func([]message) bool) []message {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		all := c.seen()
		if holds(all) {
			return all
		}
		over := false
		select {
		case <-c.done:
			over = true
		case <-time.After(2 * time.Millisecond):
		}
		if over && !holds(c.seen()) || time.Now().After(deadline) {
			require.FailNow(c.t, "never "+what, "over: %v %v; seen: %v", over, c.err, c.seen())
		}
	}
}

// untilType waits for a message of this type and gives the first.
func (c *client) untilType(typ string) message {
	c.t.Helper()
	at := func(all []message) int { return slices.IndexFunc(all, func(m message) bool { return m.Type == typ }) }
	all := c.until(typ, func(all []message) bool { return at(all) >= 0 })
	return all[at(all)]
}

// untilEvents waits for n events and gives them as "type subject sequence".
func (c *client) untilEvents(n int) []string {
	c.t.Helper()
	return told(c.until(fmt.Sprint(n, " events"), func(all []message) bool { return len(told(all)) >= n }))
}

// told gives the events of orders.
func told(all []message) []string {
	var list []string
	for _, m := range all {
		if !m.own() {
			list = append(list, m.String())
		}
	}
	return list
}

// ends waits for the end and gives the close code, -1 where there was none.
func (c *client) ends() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		require.FailNow(c.t, "it does not end", "seen: %v", c.seen())
	}
	return int(websocket.CloseStatus(c.err))
}

// cursor gives the newest one.
func (c *client) cursor() string {
	all := c.seen()
	for _, m := range slices.Backward(all) {
		if m.Cursor != "" {
			return m.Cursor
		}
	}
	return ""
}

// say sends a message of the client's own.
func (c *client) say(typ string, data any) {
	c.t.Helper()
	raw, err := json.Marshal(map[string]any{"specversion": "1.0", "id": uuid.NewString(), "source": "test", "type": typ, "data": data})
	require.NoError(c.t, err)
	c.sayRaw(raw)
}

func (c *client) sayRaw(raw []byte) {
	c.t.Helper()
	require.NoError(c.t, c.socket.Write(c.t.Context(), websocket.MessageText, raw))
}

// problem reads a refusal.
func problem(t *testing.T, raw []byte) (status int, code string) {
	t.Helper()
	var p struct {
		Status int
		Code   string
	}
	require.NoError(t, json.NewDecoder(bytes.NewReader(raw)).Decode(&p))
	return p.Status, p.Code
}

// encodeRecord puts an event into a record.
func encodeRecord(t testing.TB, e *events.Event) *kgo.Record {
	t.Helper()
	headers, value, err := events.Encode(e)
	require.NoError(t, err)
	r := &kgo.Record{Topic: e.Topic(), Key: []byte(e.Subject), Value: value}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
	}
	return r
}

// decodeRecord is the way back.
func decodeRecord(r *kgo.Record) (*events.Event, error) {
	return events.Decode(func(name string) string {
		for _, h := range r.Headers {
			if h.Key == name {
				return string(h.Value)
			}
		}
		return ""
	}, r.Key, r.Value)
}

// addPartitions gives a topic n partitions.
func (w *world) addPartitions(topic string, n int32) {
	w.t.Helper()
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.TimeoutMillis = 5000
	request.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: topic, Count: n}}
	answer, err := request.RequestWith(w.t.Context(), w.kafka)
	require.NoError(w.t, err)
	require.Zero(w.t, answer.Topics[0].ErrorCode, answer.Topics[0].ErrorMessage)
	w.kafka.ForceMetadataRefresh()
}
