package docker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

const patience = 20 * time.Second

func TestGateway_EachPathGoesToItsService(t *testing.T) {
	g := startGateway(t)
	for _, name := range scaled {
		g.start(t, name, "127.0.0.2")
		g.dns.set(name, "127.0.0.2")
	}
	for path, service := range map[string]string{
		"/v1/orders": "order-api", "/v1/orders/1/history": "order-api", "/v1/products": "order-api", "/v1/products/mug": "order-api",
		"/dev/token": "order-api", "/v1/stock": "inventory", "/v1/stock/mug": "inventory", "/v1/shipments": "shipping",
		"/v1/shipments/1": "shipping", "/v1/tickets": "notifier", "/v1/session": "notifier",
		"/": "dashboard", "/orders/1": "dashboard", "/assets/index-1.js": "dashboard", "/v1x": "dashboard",
	} {
		resp, body := g.do(t, http.MethodGet, path, http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Request-Id": {"mine"}}, nil)
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.Equal(t, said{
			service, "127.0.0.2", path, strings.TrimPrefix(g.url, "http://"), "127.0.0.1", "mine", 0,
		}, decode(t, body), "the host that the browser sees, and the client that the gateway sees")
	}
}

// TestGateway_HasTheRoutesOfMakeRun holds the two gateways against each other.
func TestGateway_HasTheRoutesOfMakeRun(t *testing.T) {
	routes := func(file, pattern string) (found []string) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, line := range regexp.MustCompile(pattern).FindAllString(string(raw), -1) {
			found = append(found, regexp.MustCompile(`/(v1|dev)/[a-z]+`).FindAllString(line, -1)...)
		}
		slices.Sort(found)
		return slices.Compact(found)
	}
	here := routes("Caddyfile", `(?m)^\s@\w+ path /.*/.*$`)
	require.NotEmpty(t, here)
	require.Equal(t, routes(filepath.Join(root, "deploy", "stack", "service.go"), `(?m)^\s\{\w+, ports\..*$`), here)
}

func TestGateway_BelowV1AndDevIsNeverThePage(t *testing.T) {
	g := startGateway(t)
	g.start(t, "dashboard", "127.0.0.2")
	g.dns.set("dashboard", "127.0.0.2")
	for _, path := range []string{
		"/v1", "/v1/", "/v1/order", "/v1/ordersx", "/v1/x/../y", "/V1/nothing", "/%761/nothing", "//v1/nothing", "/dev", "/dev/", "/dev/tokens",
	} {
		resp, body := g.get(t, path)
		requireProblem(t, resp, body, http.StatusNotFound, "not_found")
	}
	resp, _ := g.do(t, http.MethodPost, "/v1/nothing", http.Header{"X-Request-Id": {"mine"}}, []byte("{}"))
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Equal(t, "mine", resp.Header.Get("X-Request-Id"))
	resp, _ = g.do(t, http.MethodGet, "/v1/nothing", http.Header{"X-Request-Id": {"not sane"}}, nil)
	require.Len(t, resp.Header.Get("X-Request-Id"), 36, "one of the gateway's own")
}

func TestGateway_NewInstancesGetWorkAndRemovedOnesNone(t *testing.T) {
	g := startGateway(t)
	one, two := g.start(t, "inventory", "127.0.0.2"), g.start(t, "inventory", "127.0.0.3")
	g.dns.set("inventory", one.ip)
	served := func() map[string]int {
		by := map[string]int{}
		for range 10 {
			resp, body := g.get(t, "/v1/stock")
			require.Equal(t, http.StatusOK, resp.StatusCode, string(body))
			by[decode(t, body).IP]++
		}
		return by
	}
	require.Equal(t, map[string]int{one.ip: 10}, served())
	g.dns.set("inventory", one.ip, two.ip)
	require.Eventually(t, func() bool { by := served(); return by[one.ip] == 5 && by[two.ip] == 5 }, patience, time.Millisecond)
	g.dns.set("inventory", two.ip)
	require.Eventually(t, func() bool { return served()[two.ip] == 10 }, patience, time.Millisecond)
	require.Equal(t, map[string]int{two.ip: 10}, served())
}

// The name still says that the stopped instance is there: that is what DNS does for a while.
func TestGateway_AStoppedInstanceCostsNoRequest(t *testing.T) {
	g := startGateway(t)
	one, two, three := g.start(t, "order-api", "127.0.0.2"), g.start(t, "order-api", "127.0.0.3"), g.start(t, "order-api", "127.0.0.4")
	g.dns.set("order-api", one.ip, two.ip, three.ip)
	var sent atomic.Int64
	var failed sync.Map
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				method := []string{http.MethodPost, http.MethodGet}[n%2]
				id := fmt.Sprintf("id=%d-%d", worker, n)
				resp, body, err := g.try(method, "/v1/orders?"+id, nil, []byte(`{"items":[]}`))
				if err != nil {
					failed.Store(method+" "+id, err.Error())
				} else if resp.StatusCode != http.StatusOK {
					failed.Store(method+" "+id, string(body))
				}
				sent.Add(1)
			}
		})
	}
	more := func(n int64) {
		until := sent.Load() + n
		require.Eventually(t, func() bool { return sent.Load() >= until }, patience, time.Millisecond)
	}
	more(100)
	two.end(t)
	more(200)
	three.end(t)
	more(200)
	g.dns.set("order-api", one.ip)
	more(100)
	close(stop)
	workers.Wait()
	failed.Range(func(request, why any) bool {
		t.Errorf("%v: %v", request, why)
		return true
	})
	handled := map[string]int{}
	for _, i := range []*instance{one, two, three} {
		require.NotEmpty(t, i.posts(), "it had work before it stopped")
		for id, n := range i.posts() {
			handled[id] += n
		}
	}
	for id, n := range handled {
		require.Equal(t, 1, n, "%s was handled more than once", id)
	}
}

func TestGateway_OnlyWhatMayBeDoneTwiceIsSentAgain(t *testing.T) {
	g := startGateway(t)
	for n, c := range []struct {
		what, method string
		header       http.Header
		again        bool
	}{
		{"GET", http.MethodGet, nil, true},
		{"POST with a key", http.MethodPost, http.Header{"Idempotency-Key": {"k"}}, true},
		{"POST without a key", http.MethodPost, nil, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			// Each case has addresses of its own: the gateway spares one that has failed for a while.
			one, two := g.start(t, "order-api", fmt.Sprintf("127.0.1.%d", n+1)), g.start(t, "order-api", fmt.Sprintf("127.0.2.%d", n+1))
			g.dns.set("order-api", one.ip, two.ip)
			require.Eventually(t, func() bool {
				resp, body := g.get(t, "/v1/orders")
				return resp.StatusCode == http.StatusOK && decode(t, body).IP == two.ip
			}, patience, time.Millisecond, "the gateway knows them")
			one.crashes.Store(true)
			body := []byte(`{"items":[]}`)
			unanswered := 0
			for range 2 { // one of them meets the instance that breaks off
				resp, raw := g.do(t, c.method, "/v1/orders/crash", c.header, body)
				if resp.StatusCode != http.StatusOK {
					requireProblem(t, resp, raw, http.StatusBadGateway, "bad_gateway")
					unanswered++
					continue
				}
				require.Equal(t, two.ip, decode(t, raw).IP)
				require.EqualValues(t, len(body), decode(t, raw).Size, "all of the body is sent again")
			}
			if c.again {
				require.Zero(t, unanswered)
			} else {
				require.Equal(t, 1, unanswered)
			}
		})
	}
}

func TestGateway_AnInstanceThatDrainsIsPassedOver(t *testing.T) {
	g := startGateway(t)
	drains, other := g.start(t, "notifier", "127.0.0.2"), g.start(t, "notifier", "127.0.0.3")
	g.dns.set("notifier", drains.ip, other.ip)
	drains.drains.Store(true)
	for range 10 {
		resp, body := g.get(t, "/v1/session")
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, other.ip, decode(t, body).IP)
	}
	for range 10 {
		conn, _, err := websocket.Dial(t.Context(), g.url+"/v1/events", nil) //nolint:bodyclose // the library closes it
		require.NoError(t, err)
		require.NoError(t, conn.CloseNow())
	}
	require.NotZero(t, drains.requests.Load(), "it was asked")
	require.EqualValues(t, 20, other.requests.Load())

	resp, body := g.do(t, http.MethodPost, "/v1/session", nil, nil)
	if resp.StatusCode == http.StatusOK { // it was the other one's turn
		resp, body = g.do(t, http.MethodPost, "/v1/session", nil, nil)
	}
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, "nobody knows what a POST has done")
	require.Contains(t, string(body), `"code":"draining"`)
}

func TestGateway_AnyOther503IsPassedOnAsItIs(t *testing.T) {
	g := startGateway(t)
	i := g.start(t, "order-api", "127.0.0.2")
	g.dns.set("order-api", i.ip)
	i.overload.Store(true)
	resp, body := g.get(t, "/v1/orders")
	requireProblem(t, resp, body, http.StatusServiceUnavailable, "unavailable")
	require.Contains(t, string(body), "the database is away")
	require.EqualValues(t, 1, i.requests.Load(), "an instance that is in trouble is not asked again and again")
}

func TestGateway_EventsPassAtOnce(t *testing.T) {
	g := startGateway(t)
	i := g.start(t, "notifier", "127.0.0.2")
	g.dns.set("notifier", i.ip)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/v1/events", nil)
	require.NoError(t, err)
	req.Header.Set("Accept-Encoding", "gzip, zstd, br")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Empty(t, resp.Header.Get("Content-Encoding"))
	lines := bufio.NewScanner(resp.Body)
	for n := range 3 {
		i.next <- struct{}{} // the next event is sent only after the last one has come through
		require.True(t, lines.Scan())
		require.Equal(t, fmt.Sprintf("data: %d", n), lines.Text())
		require.True(t, lines.Scan())
	}
	resp.Body.Close()
	select {
	case <-i.left:
	case <-time.After(patience):
		t.Fatal("the service does not hear that the client has gone")
	}

	conn, _, err := websocket.Dial(t.Context(), g.url+"/v1/events", &websocket.DialOptions{Subprotocols: []string{"cloudevents.json"}}) //nolint:bodyclose // the library closes it
	require.NoError(t, err)
	defer conn.CloseNow() //nolint:errcheck // the test is over
	require.Equal(t, "cloudevents.json", conn.Subprotocol())
	for _, message := range []string{"ping", strings.Repeat("long ", 5000)} {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(message)))
		_, back, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, message, string(back))
	}
}

func TestGateway_AServiceThatIsAwayIsAProblem(t *testing.T) {
	g := startGateway(t, "GATEWAY_ANSWER_TIMEOUT=300ms")
	resp, body := g.get(t, "/v1/orders")
	requireProblem(t, resp, body, http.StatusServiceUnavailable, "unavailable") // no such name
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	require.NotEmpty(t, resp.Header.Get("X-Request-Id"))

	g.dns.set("order-api", "127.0.0.2")
	resp, body = g.do(t, http.MethodPost, "/v1/orders", nil, []byte("{}"))
	requireProblem(t, resp, body, http.StatusServiceUnavailable, "unavailable") // nobody listens

	i := g.start(t, "inventory", "127.0.0.2")
	g.dns.set("inventory", i.ip)
	resp, body = g.get(t, "/v1/stock/silent")
	requireProblem(t, resp, body, http.StatusGatewayTimeout, "timeout")
}

func TestGateway_BodiesPassWhateverTheirSize(t *testing.T) {
	g := startGateway(t)
	i := g.start(t, "order-api", "127.0.0.2")
	g.dns.set("order-api", i.ip)
	resp, _ := g.do(t, http.MethodPost, "/v1/orders", nil, bytes.Repeat([]byte("x"), 64<<10))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	resp, body := g.do(t, http.MethodPost, "/v1/orders", nil, bytes.Repeat([]byte("x"), 64<<10+1))
	requireProblem(t, resp, body, http.StatusRequestEntityTooLarge, "body_too_large") // the service says so, not the gateway
}

func requireProblem(t *testing.T, resp answer, body []byte, status int, code string) {
	t.Helper()
	require.Equal(t, status, resp.StatusCode, string(body))
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	var p struct {
		Type, Title, Code, Detail string
		Status                    int
	}
	require.NoError(t, json.Unmarshal(body, &p), string(body))
	require.Equal(t, status, p.Status)
	require.Equal(t, code, p.Code)
	require.Equal(t, http.StatusText(status), p.Title)
	require.NotEmpty(t, p.Detail)
}
