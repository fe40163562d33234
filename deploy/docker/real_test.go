package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/orderwiretest"
	"github.com/orderwire/orderwire/deploy/stack"
)

// realServices are a whole Orderwire behind the gateway under test.
type realServices struct {
	*gateway
	*orderwiretest.Orderwire
	t *testing.T
}

// startReal starts them, one instance of each, with mugs to sell.
func startReal(t *testing.T) *realServices {
	t.Helper()
	if os.Getenv("ORDERWIRE_BIN") == "" && !isThere(filepath.Join(root, "bin", "orderctl")) {
		if os.Getenv("REQUIRE_BACKENDS") == "1" {
			t.Fatal("REQUIRE_BACKENDS=1: nothing is built: make build, or ORDERWIRE_BIN names the directory")
		}
		t.Skip("SKIP: nothing is built: make build, or ORDERWIRE_BIN names the directory")
	}
	r := &realServices{Orderwire: orderwiretest.Start(t), t: t}
	var ports []string
	for _, name := range stack.Services() {
		ports = append(ports, strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_PORT="+r.port(name))
	}
	r.gateway = startGateway(t, ports...)
	for _, name := range stack.Services() {
		r.dns.set(name, "127.0.0.1")
	}
	r.call(http.MethodPut, "/v1/products/mug", r.OperatorToken, `{"name":"Mug","unitPrice":{"amount":1250,"currency":"EUR"}}`, http.StatusCreated)
	r.call(http.MethodPost, "/v1/stock/mug/adjustments", r.OperatorToken, `{"quantity":1000000,"reason":"test"}`, http.StatusCreated)
	return r
}

// port is the same for all instances of a service: they have an address each.
func (r *realServices) port(name string) string {
	u, err := url.Parse(r.Services[name].URL)
	require.NoError(r.t, err)
	return u.Port()
}

// call sends a request through the gateway that has to be answered with this status.
func (r *realServices) call(method, path, token, body string, status int) []byte {
	r.t.Helper()
	resp, raw, err := r.ask(method, path, token, body, "")
	require.NoError(r.t, err)
	require.Equal(r.t, status, resp.StatusCode, "%s %s: %s", method, path, raw)
	return raw
}

func (r *realServices) ask(method, path, token, body, key string) (answer, []byte, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return r.try(method, path, header, []byte(body))
}

const twoMugs = `{"items":[{"sku":"mug","quantity":2}],
	"shippingAddress":{"name":"Alice","street":"1 Main Street","city":"Berlin","postalCode":"10115","country":"DE"}}`

// TestGateway_InFrontOfTheRealServices sends an order on its way through Caddy and sees it confirmed over a WebSocket.
func TestGateway_InFrontOfTheRealServices(t *testing.T) {
	r := startReal(t)
	var login struct{ Token string }
	require.NoError(t, json.Unmarshal(r.call(http.MethodPost, "/dev/token", "", `{"customer":"alice"}`, http.StatusOK), &login))

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, r.url+"/v1/events", &websocket.DialOptions{ //nolint:bodyclose // the library closes it
		Subprotocols: []string{"cloudevents.json"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + login.Token}},
	})
	require.NoError(t, err)
	defer conn.CloseNow() //nolint:errcheck // the test is over
	next := func() (e struct{ Type, Subject string }) {
		_, raw, err := conn.Read(ctx)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &e), string(raw))
		return e
	}
	require.Equal(t, "notifier.subscribed", next().Type)
	var order struct{ ID string }
	require.NoError(t, json.Unmarshal(r.call(http.MethodPost, "/v1/orders", login.Token, twoMugs, http.StatusCreated), &order))
	for e := next(); e.Type != "shipment-scheduled"; e = next() {
		if e.Subject != "" {
			require.Equal(t, order.ID, e.Subject)
		}
	}
	r.call(http.MethodGet, "/v1/shipments/"+order.ID, login.Token, "", http.StatusOK)
}

// TestGateway_RealInstancesComeAndGoUnnoticed adds an instance of each service while requests go on, and takes it away
// again. The name still says that it is there when it ends: that is what DNS does for a while.
func TestGateway_RealInstancesComeAndGoUnnoticed(t *testing.T) {
	r := startReal(t)
	token := r.Token(t, "alice")
	requests := r.requests(token)
	more := func(n int64) {
		t.Helper()
		until := requests.sent.Load() + n
		require.Eventually(t, func() bool { return requests.sent.Load() >= until }, patience, 5*time.Millisecond)
	}
	more(100)
	second := map[string]*realInstance{}
	for _, name := range stack.Services() {
		second[name] = r.startSecond(name, "127.0.0.2")
		r.dns.set(name, "127.0.0.1", "127.0.0.2")
	}
	for name, i := range second {
		require.Eventually(t, func() bool { return i.metric(t, "http_request_seconds_count") > 0 }, patience, 20*time.Millisecond, "%s gets work", name)
	}
	watchers := make([]*watcher, 4)
	for n := range watchers {
		watchers[n] = r.watch(token)
	}
	require.Eventually(t, func() bool {
		return second[stack.Notifier].metric(t, "notifier_connections") > 0
	}, patience, 20*time.Millisecond, "a stream is on the instance that will go")
	for _, name := range stack.Services() {
		second[name].end(t)
		more(100)
		r.dns.set(name, "127.0.0.1")
	}
	more(200)
	placed := requests.end()

	for n, w := range watchers {
		require.Eventually(t, func() bool { return w.hasSeen(placed) }, patience, 20*time.Millisecond, "stream %d has seen every order", n)
	}
	moved := 0
	for _, w := range watchers {
		for _, why := range w.whyLost() {
			require.Equal(t, websocket.StatusServiceRestart, websocket.CloseStatus(why), "a handshake was refused: %v", why)
			moved++
		}
	}
	require.NotZero(t, moved, "streams were sent to the other instance")
	orders, err := client.List[struct{ ID string }](t.Context(), client.New(r.url, token), "/v1/orders", nil, 0)
	require.NoError(t, err)
	require.Len(t, orders, len(placed), "each POST has placed one order")
}

// realInstance is one more process of a service.
type realInstance struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *os.File
	admin string
}

// startSecond starts one more instance of a service, on an address of its own, and waits until it is ready.
func (r *realServices) startSecond(name, ip string) *realInstance {
	r.t.Helper()
	bin := os.Getenv("ORDERWIRE_BIN")
	if bin == "" {
		bin = filepath.Join(root, "bin")
	}
	admin := net.JoinHostPort("127.0.0.1", freePort(r.t))
	i := &realInstance{cmd: exec.Command(filepath.Join(bin, name)), admin: "http://" + admin}
	i.cmd.Env = append(os.Environ(),
		"HTTP_ADDR="+net.JoinHostPort(ip, r.port(name)), "ADMIN_ADDR="+admin,
		"KAFKA_BROKERS="+strings.Join(r.Kafka.Brokers, ","), "KAFKA_GROUP_INSTANCE_ID="+name+"-2",
		"MONGODB_URI="+r.MongoDB.URI, "MONGODB_DATABASE="+r.MongoDB.Databases[name],
		"JWT_SECRET="+r.JWT.Secret, "JWT_ISSUER="+r.JWT.Issuer, "JWT_AUDIENCE="+r.JWT.Audience, "DEV_LOGIN=true",
		"PARENT_WATCH=stdin", "DRAIN_WINDOW=1s", "SHUTDOWN_TIMEOUT=5s",
	)
	var err error
	i.stdin, err = i.cmd.StdinPipe()
	require.NoError(r.t, err)
	i.log, err = os.Create(filepath.Join(r.t.TempDir(), "log"))
	require.NoError(r.t, err)
	i.cmd.Stdout, i.cmd.Stderr = i.log, i.log
	require.NoError(r.t, i.cmd.Start())
	r.t.Cleanup(func() {
		if i.cmd.ProcessState == nil {
			i.cmd.Process.Kill() //nolint:errcheck // Wait tells
			i.cmd.Wait()         //nolint:errcheck // it was killed
		}
		i.log.Close() // nobody writes any more
	})
	require.Eventually(r.t, func() bool {
		resp, err := http.Get(i.admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, patience, 20*time.Millisecond, "%s is not ready", name)
	return i
}

// end is what an engine's stop does, and has to end well.
func (i *realInstance) end(t *testing.T) {
	t.Helper()
	require.NoError(t, i.cmd.Process.Signal(syscall.SIGTERM))
	err := i.cmd.Wait()
	raw, readErr := os.ReadFile(i.log.Name())
	require.NoError(t, readErr)
	require.NoError(t, err, string(raw[max(0, len(raw)-4<<10):]))
}

// metric adds up all rows of one.
func (i *realInstance) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	resp, err := http.Get(i.admin + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, row := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(string(raw), -1) {
		value, err := strconv.ParseFloat(row[1], 64)
		require.NoError(t, err)
		sum += value
	}
	return sum
}

// requests are sent by a few clients, one after the other, until end.
type requests struct {
	t       *testing.T
	sent    atomic.Int64
	stop    context.CancelFunc
	workers sync.WaitGroup
	mu      sync.Mutex
	placed  []string // ids of orders
	failed  []string
}

// requests begins to send some to each service: what may be repeated, and what may not.
func (r *realServices) requests(token string) *requests {
	ctx, cancel := context.WithCancel(r.t.Context())
	all := &requests{t: r.t, stop: cancel}
	kinds := []struct {
		method, path, token, body string
		key                       bool
		status                    int
	}{
		{http.MethodPost, "/v1/orders", token, twoMugs, false, http.StatusCreated},
		{http.MethodPost, "/v1/orders", token, twoMugs, true, http.StatusCreated},
		{http.MethodGet, "/v1/orders", token, "", false, http.StatusOK},
		{http.MethodPost, "/dev/token", "", `{"customer":"bob"}`, false, http.StatusOK},
		{http.MethodGet, "/v1/stock/mug", "", "", false, http.StatusOK},
		{http.MethodPost, "/v1/stock/mug/adjustments", r.OperatorToken, `{"quantity":1,"reason":"test"}`, false, http.StatusCreated},
		{http.MethodGet, "/v1/shipments", token, "", false, http.StatusOK},
		{http.MethodPost, "/v1/tickets", token, "", false, http.StatusCreated},
		{http.MethodGet, "/v1/events", "", "", false, http.StatusUnauthorized}, // an instance that drains refuses it otherwise
	}
	for worker := range 4 {
		all.workers.Go(func() {
			for n := worker; ctx.Err() == nil; n++ {
				k, key := kinds[n%len(kinds)], ""
				if k.key {
					key = fmt.Sprintf("key-%d-%d", worker, n)
				}
				resp, raw, err := r.ask(k.method, k.path, k.token, k.body, key)
				all.took(k.method+" "+k.path, k.status, resp.StatusCode, raw, err)
			}
		})
	}
	r.t.Cleanup(all.workers.Wait) // behind the end of the test's context
	return all
}

// took notes an answer.
func (a *requests) took(what string, want, got int, raw []byte, err error) {
	a.sent.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	var order struct{ ID string }
	switch {
	case err != nil:
		a.failed = append(a.failed, what+": "+err.Error())
	case want != got:
		a.failed = append(a.failed, fmt.Sprintf("%s: %d %s", what, got, raw))
	case what == "POST /v1/orders":
		if err := json.Unmarshal(raw, &order); err != nil {
			a.failed = append(a.failed, what+": "+err.Error())
		}
		a.placed = append(a.placed, order.ID)
	}
}

// end waits for the last answers, sees that none was a failure, and gives the orders that were placed.
func (a *requests) end() []string {
	a.stop()
	a.workers.Wait()
	require.Empty(a.t, a.failed)
	return a.placed
}

// watcher is a stream of all orders that are placed; it comes back after its cursor when it is sent away.
type watcher struct {
	mu   sync.Mutex
	seen map[string]bool
	lost []error
}

func (r *realServices) watch(token string) *watcher {
	r.t.Helper()
	w := &watcher{seen: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	connected := make(chan struct{})
	stream := client.Stream{
		API: client.New(r.url, token), Query: url.Values{"type": {"order-created"}, "after": {"earliest"}},
		Connected: sync.OnceFunc(func() { close(connected) }),
		Lost: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lost = append(w.lost, err)
		},
		Handle: func(e *client.Event, _ []byte) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen[e.Subject] = true
			return nil
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		require.ErrorIs(r.t, <-ended, context.Canceled)
	})
	select {
	case <-connected:
	case <-time.After(patience):
		require.FailNow(r.t, "a stream was never opened")
	}
	return w
}

func (w *watcher) hasSeen(orders []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(orders, func(id string) bool { return !w.seen[id] })
}

func (w *watcher) whyLost() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lost)
}
