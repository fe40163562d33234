package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// orderwire is a gateway that answers as a test wants it to, and remembers what it was asked.
type orderwire struct {
	*httptest.Server
	mux  *http.ServeMux
	mu   sync.Mutex
	seen []string // METHOD path, role of the token
}

func newOrderwire(t *testing.T) *orderwire {
	t.Helper()
	o := &orderwire{mux: http.NewServeMux()}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.seen = append(o.seen, r.Method+" "+r.URL.RequestURI()+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		o.mu.Unlock()
		o.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(o.Close)
	o.mux.HandleFunc("POST /dev/token", func(w http.ResponseWriter, r *http.Request) {
		var who struct {
			Customer string
			Operator bool
		}
		if err := json.NewDecoder(r.Body).Decode(&who); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"token":"%s-%t","expiresAt":"2026-11-24T12:00:00Z"}`, who.Customer, who.Operator)
	})
	return o
}

func (o *orderwire) answer(pattern string, status int, body string) {
	o.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		if status >= http.StatusBadRequest {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.Header().Set("ETag", `"3.7"`)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

// orderctl runs a command against the gateway.
func (o *orderwire) orderctl(args ...string) (code int, out, errOut string) {
	return orderctl([]string{"ORDERWIRE_URL=" + o.URL}, args...)
}

func orderctl(environ []string, args ...string) (code int, out, errOut string) {
	for _, kv := range environ { // kong reads the process's environment
		k, v, _ := strings.Cut(kv, "=")
		os.Setenv(k, v)
		defer os.Unsetenv(k) // a plain name
	}
	var stdout, stderr bytes.Buffer
	code = run(args, environ, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

const anOrder = `{"id":"o-1","customerId":"demo","status":"rejected","version":3,"items":[{"sku":"mug","name":"Mug","quantity":2,
	"lineTotal":{"amount":2500,"currency":"EUR"}}],"total":{"amount":2500,"currency":"EUR"},"createdAt":"2026-11-24T09:00:00Z",
	"shippingAddress":{"name":"A","street":"S","city":"C","postalCode":"P","country":"DE"},
	"rejection":{"items":[{"sku":"mug","wanted":2,"available":1}]}}`

func TestExitCodesSayWhatWentWrong(t *testing.T) {
	o := newOrderwire(t)
	o.answer("POST /v1/orders", 422, `{"status":422,"code":"invalid","detail":"no such product","errors":[{"pointer":"/items/0/sku","detail":"unknown"}]}`)
	o.answer("GET /v1/orders/{id}", 503, `{"status":503,"code":"unavailable","detail":"order-api is not there"}`)

	code, out, errOut := o.orderctl("order", "place", "nope=2")
	require.Equal(t, exitRefused, code)
	require.Empty(t, out)
	require.Contains(t, errOut, "422 invalid: no such product\n  /items/0/sku: unknown")

	o.answer("POST /v1/orders/{id}/cancel", 422, `{"status":422,"code":"sku","detail":"/items/0/sku: unknown; /note: long",
		"errors":[{"pointer":"/items/0/sku","detail":"unknown"},{"pointer":"/note","detail":"long"}]}`)
	_, _, errOut = o.orderctl("order", "cancel", "o-1")
	require.Equal(t, "orderctl: 422 sku: /items/0/sku: unknown; /note: long\n", errOut, "each sentence once")

	code, _, errOut = o.orderctl("order", "show", "o-1")
	require.Equal(t, exitUnreachable, code)
	require.Contains(t, errOut, "order-api is not there")

	code, _, errOut = orderctl(nil, "order", "list", "--gateway", "http://127.0.0.1:1")
	require.Equal(t, exitUnreachable, code)
	require.Regexp(t, "^orderctl: is `make run` running\\?.*\n  .*127.0.0.1:1", errOut, "the hint comes first")

	code, out, errOut = o.orderctl("order", "place", "nope=2", "--json")
	require.Equal(t, exitRefused, code)
	require.JSONEq(t, `{"status":422,"code":"invalid","detail":"no such product","errors":[{"pointer":"/items/0/sku","detail":"unknown"}]}`, out)
	require.NotEmpty(t, errOut)

	code, _, errOut = orderctl(nil, "order", "list", "--gateway", "nonsense")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--gateway")
	code, _, errOut = orderctl(nil, "load", "--notifier", "localhost:8084")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--notifier")

	for _, wrong := range [][]string{{"order", "nope"}, {"order", "place", "mug=many"}, {"order", "change", "o-1"}, {"backends"}, {"load", "--orders=0"}} {
		code, _, errOut = o.orderctl(wrong...)
		require.Equal(t, exitUsage, code, wrong)
		require.NotEmpty(t, errOut, wrong)
	}

	_, _, errOut = orderctl(nil, "order", "bogus")
	for _, command := range []string{"place", "show", "list", "change", "cancel", "watch"} {
		require.Regexp(t, `(?m)^  `+command+` +[A-Z]`, errOut)
	}
	require.NotContains(t, errOut, "  up ")
	_, _, errOut = orderctl(nil, "bogus")
	require.Regexp(t, `(?m)^  up +[A-Z]`, errOut)

	code, out, _ = orderctl(nil)
	require.Equal(t, 0, code)
	require.Contains(t, out, "order place")
}

func TestOrderPlace_SendsTheItemsAndPrintsTheOrder(t *testing.T) {
	o := newOrderwire(t)
	var sent struct {
		Items []struct {
			SKU      string
			Quantity int
		}
		ShippingAddress struct{ City, Country string }
	}
	var key string
	o.mux.HandleFunc("POST /v1/orders", func(w http.ResponseWriter, r *http.Request) {
		key = r.Header.Get("Idempotency-Key")
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, anOrder)
	})
	code, out, errOut := o.orderctl("order", "place", "mug=2", "tea", "--as", "alice", "--city", "Paris", "--country", "FR", "--key", "k-1")
	require.Equal(t, 0, code, errOut)
	require.Equal(t, "k-1", key)
	require.Equal(t, "mug", sent.Items[0].SKU)
	require.Equal(t, 2, sent.Items[0].Quantity)
	require.Equal(t, 1, sent.Items[1].Quantity)
	require.Equal(t, "Paris", sent.ShippingAddress.City)
	require.Contains(t, out, "rejected (mug: 2 wanted, 1 there)")
	require.Contains(t, out, "25.00 EUR")
	require.Contains(t, o.seen, "POST /v1/orders alice-false")

	code, out, _ = o.orderctl("order", "place", "mug", "--json")
	require.Equal(t, 0, code)
	require.JSONEq(t, anOrder, out)
}

func TestOrderChange_IsConditionalOnWhatIsThere(t *testing.T) {
	o := newOrderwire(t)
	o.answer("GET /v1/orders/{id}", 200, anOrder)
	var header http.Header
	var patch json.RawMessage
	o.mux.HandleFunc("PATCH /v1/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, anOrder)
	})
	code, _, errOut := o.orderctl("order", "change", "o-1", "--street", "9 New Road", "--note", "")
	require.Equal(t, 0, code, errOut)
	require.Equal(t, `"3.7"`, header.Get("If-Match"))
	require.Equal(t, "application/merge-patch+json", header.Get("Content-Type"))
	require.JSONEq(t, `{"shippingAddress":{"street":"9 New Road"},"note":""}`, string(patch))
}

func TestLists_GoOnToTheEnd(t *testing.T) {
	o := newOrderwire(t)
	o.mux.HandleFunc("GET /v1/products", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("after") {
		case "":
			fmt.Fprint(w, `{"items":[{"sku":"a","name":"A","unitPrice":{"amount":5,"currency":"EUR"}}],"next":"x y"}`)
		case "x y":
			fmt.Fprint(w, `{"items":[{"sku":"b","name":"B","unitPrice":{"amount":-105,"currency":"EUR"}}]}`)
		}
	})
	code, out, errOut := o.orderctl("product", "list")
	require.Equal(t, 0, code, errOut)
	require.Contains(t, out, "a     A      0.05 EUR")
	require.Contains(t, out, "b     B      -1.05 EUR")
}

func TestOperatorsCommandsAreOperators(t *testing.T) {
	o := newOrderwire(t)
	o.answer("POST /v1/shipments/{id}/fail", 200, `{"id":"o-1","status":"failed"}`)
	o.answer("POST /v1/stock/{sku}/adjustments", 201, `{"sku":"mug","available":7}`)
	code, out, errOut := o.orderctl("shipment", "fail", "o-1", "--reason", "refused")
	require.Equal(t, 0, code, errOut)
	require.Equal(t, "o-1: failed\n", out)
	code, out, errOut = o.orderctl("stock", "adjust", "mug", "--", "-3")
	require.Equal(t, 0, code, errOut)
	require.Equal(t, "mug: 7 available\n", out)
	require.Contains(t, o.seen, "POST /v1/shipments/o-1/fail demo-true")
	require.Contains(t, o.seen, "POST /v1/stock/mug/adjustments demo-true")
}

func TestWithoutADevelopmentLoginATokenIsAskedFor(t *testing.T) {
	none := httptest.NewServer(http.NotFoundHandler())
	defer none.Close()
	code, _, errOut := orderctl([]string{"ORDERWIRE_URL=" + none.URL}, "order", "list")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "ORDERWIRE_TOKEN")

	o := newOrderwire(t)
	o.answer("GET /v1/orders", 200, `{"items":[]}`)
	code, _, _ = orderctl([]string{"ORDERWIRE_URL=" + o.URL, "ORDERWIRE_TOKEN=mine"}, "order", "list")
	require.Equal(t, 0, code)
	require.Equal(t, []string{"GET /v1/orders?limit=20 mine"}, o.seen)
}

// sendFunc pushes a message.
type sendFunc func(typ, source, cursor, sequence, status string)

// pushes is a notifier whose connections get what play sends, and last for as long as the client wants where it says so.
func (o *orderwire) pushes(play func(query url.Values, send sendFunc) (stays bool)) {
	pushes(o.mux, play)
}

func pushes(mux *http.ServeMux, play func(query url.Values, send sendFunc) (stays bool)) {
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"cloudevents.json"}})
		if err != nil {
			return
		}
		defer conn.CloseNow() //nolint:errcheck // a connection that is lost is the point
		stays := play(r.URL.Query(), func(typ, source, cursor, sequence, status string) {
			message := fmt.Sprintf(`{"type":%q,"source":%q,"cursor":%q,"sequence":%q,"subject":"o-1","topic":"order-events","data":{"status":%q,"mode":%q}}`,
				typ, source, cursor, sequence, status, status)
			conn.Write(r.Context(), websocket.MessageText, []byte(message)) //nolint:errcheck // the test sees it
		})
		if stays {
			conn.Read(r.Context()) //nolint:errcheck // it ends with an error
		}
	})
}

func TestOrderWatch_ComesBackAfterItsCursorDropsRepeatsAndEndsWithTheOrder(t *testing.T) {
	o := newOrderwire(t)
	o.answer("GET /v1/orders/{id}", 200, anOrder)
	var (
		mu    sync.Mutex
		asked []string
	)
	o.pushes(func(query url.Values, send sendFunc) (stays bool) {
		mu.Lock()
		asked = append(asked, query.Get("after"))
		comesBack := len(asked) > 1
		mu.Unlock()
		send("notifier.subscribed", "notifier", "c0", "", "")
		send("order-created", "order-api", "c1", "0000000001", "pending")
		if comesBack {
			send("stock-reserved", "inventory", "c2", "0000000001", "reserved")
			send("order-updated", "order-api", "c3", "0000000002", "delivered")
		}
		return comesBack
	})
	code, out, errOut := o.orderctl("order", "watch", "o-1")
	require.Equal(t, 0, code, errOut)
	mu.Lock()
	require.Equal(t, []string{"2026-11-24T08:59:00Z", "c1"}, asked)
	mu.Unlock()
	require.Equal(t, 1, strings.Count(out, "order-created"), out)
	require.Contains(t, out, "stock-reserved")
	require.Contains(t, out, "delivered")
	require.Contains(t, errOut, "connection lost")
	require.Equal(t, 1, strings.Count(errOut, "watching order o-1, waiting for events"), errOut)
}

func TestOrderWatch_TellsOnceThatTheServerIsAwayAndOnceThatItIsBack(t *testing.T) {
	o := newOrderwire(t)
	o.answer("GET /v1/orders/{id}", 200, strings.Replace(anOrder, "rejected", "shipped", 1))
	var asked atomic.Int64
	live := http.NewServeMux()
	o.mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); n > 1 && n < 5 {
			http.Error(w, "the notifier is away", http.StatusBadGateway)
			return
		}
		live.ServeHTTP(w, r)
	})
	pushes(live, func(_ url.Values, send sendFunc) (stays bool) {
		send("notifier.subscribed", "notifier", "c0", "", "")
		comesBack := asked.Load() > 1
		if comesBack {
			send("order-updated", "order-api", "c1", "0000000002", "delivered")
		}
		return comesBack
	})
	code, _, errOut := o.orderctl("order", "watch", "o-1")
	require.Equal(t, 0, code, errOut)
	require.EqualValues(t, 5, asked.Load())
	for _, once := range []string{"watching order o-1", "connection lost", "connected again"} {
		require.Equal(t, 1, strings.Count(errOut, once), errOut)
	}
}

func TestOrderWatch_TypesSayWhatIsShownAndTheOrderSaysWhenItEnds(t *testing.T) {
	o := newOrderwire(t)
	o.answer("GET /v1/orders/{id}", 200, strings.Replace(anOrder, "rejected", "shipped", 1))
	var types []string
	o.pushes(func(query url.Values, send sendFunc) bool {
		types = query["type"]
		send("notifier.subscribed", "notifier", "c0", "", "replay")
		send("shipment-dispatched", "shipping", "c1", "0000000001", "dispatched")
		send("notifier.caught-up", "notifier", "c2", "", "")
		send("order-updated", "order-api", "c3", "0000000002", "delivered")
		send("shipment-delivered", "shipping", "c4", "0000000002", "delivered") // the other topic is behind
		return true
	})
	code, out, errOut := o.orderctl("order", "watch", "o-1", "--type", "shipment-*")
	require.Equal(t, 0, code, errOut)
	require.Equal(t, []string{"shipment-*", "order-updated"}, types)
	require.NotContains(t, out, "order-updated")
	require.Contains(t, out, "shipment-dispatched")
	require.Contains(t, out, "shipment-delivered")

	for _, c := range []struct{ given, asked []string }{
		{nil, nil},
		{[]string{"--type", "order-*"}, []string{"order-*"}},
		{[]string{"--type", "order-updated,stock-*"}, []string{"order-updated", "stock-*"}},
	} {
		code, out, errOut = o.orderctl(append([]string{"order", "watch", "o-1"}, c.given...)...)
		require.Equal(t, 0, code, errOut)
		require.Equal(t, c.asked, types)
		require.Contains(t, out, "order-updated")
	}
}

func TestOrderWatch_EndsWhereNothingIsToComeAnyMore(t *testing.T) {
	for name, first := range map[string][2]string{
		"all that is in the log has come": {"notifier.caught-up", ""},
		"it begins with the present":      {"notifier.subscribed", "live"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrderwire(t)
			var asked atomic.Int64
			o.mux.HandleFunc("GET /v1/orders/{id}", func(w http.ResponseWriter, _ *http.Request) {
				status := "shipped"
				if asked.Add(1) > 1 { // it ends before the stream begins
					status = "delivered"
				}
				fmt.Fprint(w, strings.Replace(anOrder, "rejected", status, 1))
			})
			o.pushes(func(_ url.Values, send sendFunc) bool {
				send(first[0], "notifier", "c0", "", first[1])
				return true
			})
			code, out, errOut := o.orderctl("order", "watch", "o-1", "--after", "latest")
			require.Equal(t, 0, code, errOut)
			require.Empty(t, out)
		})
	}
}

func TestStockList_ShowsOnlyWhatTheViewerMaySee(t *testing.T) {
	o := newOrderwire(t)
	o.mux.HandleFunc("GET /v1/stock", func(w http.ResponseWriter, r *http.Request) {
		more := ""
		if strings.HasSuffix(r.Header.Get("Authorization"), "-true") {
			more = `,"reserved":2,"shipped":3,"writtenOff":0`
		}
		fmt.Fprintf(w, `{"items":[{"sku":"mug","available":7%s}]}`, more)
	})
	_, out, errOut := o.orderctl("stock", "list")
	require.Equal(t, "SKU   AVAILABLE\nmug   7\n", out, errOut)
	_, out, errOut = o.orderctl("stock", "list", "--operator")
	require.Regexp(t, `mug +7 +2 +3 +0`, out, errOut)
}

func TestOrderWatch_ARefusalEndsIt(t *testing.T) {
	o := newOrderwire(t)
	o.mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"cloudevents.json"}})
		if err != nil {
			return
		}
		conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"notifier.error","data":{"status":400,"code":"bad-type"}}`)) //nolint:errcheck // the test sees it
		conn.Close(4400, "bad type")                                                                                                // it is over
	})
	code, _, errOut := o.orderctl("order", "watch", "--type", "nope")
	require.Equal(t, exitRefused, code)
	require.Contains(t, errOut, "bad-type")
}

func TestSeed_LeavesWhatIsThere(t *testing.T) {
	o := newOrderwire(t)
	o.answer("GET /v1/products", 200, `{"items":[{"sku":"mug-blue"}]}`)
	o.answer("PUT /v1/products/{sku}", 201, `{}`)
	keys := map[string]bool{}
	o.mux.HandleFunc("POST /v1/stock/{sku}/adjustments", func(w http.ResponseWriter, r *http.Request) {
		keys[r.Header.Get("Idempotency-Key")] = true
		fmt.Fprint(w, `{}`)
	})
	code, out, errOut := o.orderctl("seed")
	require.Equal(t, 0, code, errOut)
	require.Contains(t, out, "6 of 7 demo products were new")
	require.Equal(t, map[string]bool{"demo-seed": true}, keys, "a second time changes nothing")
	for _, line := range o.seen {
		require.NotContains(t, line, "PUT /v1/products/mug-blue", "its price may have been changed")
	}
}

func TestBackends_RunsTheCommandWithTheAddressesAndItsExitCode(t *testing.T) {
	code, out, errOut := orderctl(nil, "backends", "--kafka", "kfake", "--", "sh", "-c", `echo "$TEST_KAFKA_BROKERS $TEST_MONGODB_URI"; exit 7`)
	if strings.Contains(errOut, "no MongoDB found") && os.Getenv("REQUIRE_BACKENDS") != "1" {
		t.Skip("SKIP: " + errOut)
	}
	require.Equal(t, 7, code, errOut)
	require.Regexp(t, `^127\.0\.0\.1:\d+ mongodb://`, out)
}

// TestReadme_ListsTheCommands holds the README's table of commands against what --help says.
func TestReadme_ListsTheCommands(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	_, section, found := strings.Cut(string(raw), "\n## orderctl\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(section, -1) {
		for _, code := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(row[1], -1) {
			command, rest, _ := strings.Cut(code[1], " ")
			verbs := regexp.MustCompile(`^[a-z]+(\\\|[a-z]+)*$`).FindString(rest)
			if verbs == "" || command == "prepare" { // that takes names
				listed = append(listed, command)
				continue
			}
			for verb := range strings.SplitSeq(verbs, `\|`) {
				listed = append(listed, command+" "+verb)
			}
		}
	}
	_, help, _ := orderctl(nil, "--help")
	var there []string
	for _, line := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)  +[A-Z]`).FindAllStringSubmatch(help, -1) {
		there = append(there, line[1])
	}
	slices.Sort(listed)
	slices.Sort(there)
	require.Equal(t, there, slices.Compact(listed))
}
