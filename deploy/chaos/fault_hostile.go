package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/orderwire/orderwire/deploy/stack"
)

// hostileVariants are what F14 sends; each has its own documented refusals.
var hostileVariants = []string{"big", "drip", "json", "operator", "number", "same-key", "stranger", "token", "wire"}

// F14: hostile HTTP, against the public port of each service, without the gateway before it.
func drawHostile(d *drawer) {
	d.every(500*time.Millisecond, 3*time.Second, func(at time.Duration) {
		d.add(at, 0, d.one(hostileVariants...), 1+d.r.IntN(1_000_000))
	})
	if d.one("forwarded-for", "") != "" {
		d.add(d.from+d.between(0, d.to-d.from), 0, "forwarded-for", 0)
	}
}

func doHostile(ctx context.Context, b *breaker, i Injection) (healer, error) {
	a, err := newAttacker(b.sys, i)
	if err != nil {
		return nil, err
	}
	defer a.http.CloseIdleConnections()
	switch i.Variant {
	case "same-key":
		a.sameKey(ctx)
	case "forwarded-for":
		return nil, a.forwardedFor(ctx)
	default:
		var all sync.WaitGroup
		for _, d := range a.demands(ctx, i.Variant) {
			all.Go(func() { a.try(ctx, d) })
		}
		all.Wait()
	}
	return nil, nil
}

// demand is one hostile request, and the refusal that it must get.
type demand struct {
	name    string
	service string
	method  string
	path    string
	token   string // "": none
	header  http.Header
	body    io.Reader
	wire    string // instead of all of these: the bytes themselves
	want    []int
	code    []string // one of them; none: any, and for what net/http itself refuses no problem at all
	plain   bool     // net/http refuses it before there is a request, as text
}

// probe is what became of a demand.
type probe struct {
	demand
	entry
	ContentType string
	Challenge   bool
	Injected    bool
}

// attacker sends what a seed says.
type attacker struct {
	sys              *system
	r                *rand.Rand
	seed             int
	http             *http.Client
	mallory          string // a customer's token
	operator, victim string
}

func newAttacker(s *system, i Injection) (*attacker, error) {
	a := &attacker{
		sys: s, seed: i.N, r: rand.New(rand.NewPCG(uint64(i.N), uint64(i.At))), //nolint:gosec // it must be repeatable
		http: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}},
	}
	var errs [3]error
	a.mallory, errs[0] = s.token("mallory", false)
	a.victim, errs[1] = s.token("victim", false)
	a.operator, errs[2] = s.token("operator", true)
	return a, errors.Join(errs[:]...)
}

// target is one route of each service that takes a body, and who may use it.
type target struct {
	service, method, path, token string
	body                         map[string]any
}

func (a *attacker) order() map[string]any {
	return map[string]any{
		"items": []any{map[string]any{"sku": "plenty-0", "quantity": 1}}, "note": "hostile",
		"shippingAddress": map[string]any{"name": "M", "street": "1 Long Lane", "city": "Dublin", "postalCode": "D02", "country": "IE"},
		"total":           map[string]any{"amount": 100, "currency": "EUR"}, "customerId": "mallory",
	}
}

func (a *attacker) placing() target {
	return target{stack.OrderAPI, http.MethodPost, "/v1/orders", a.mallory, a.order()}
}

func (a *attacker) pricing() target {
	return target{
		stack.OrderAPI, http.MethodPut, "/v1/products/hostile-0", a.operator,
		map[string]any{"name": "H", "unitPrice": map[string]any{"amount": 1, "currency": "EUR"}},
	}
}

func (a *attacker) adjusting() target {
	return target{stack.Inventory, http.MethodPost, "/v1/stock/hostile-0/adjustments", a.operator, map[string]any{"quantity": 1, "reason": "x"}}
}

// carrying is for an order that exists, since who it belongs to is asked before its body is read.
func (a *attacker) carrying(order string) []target {
	return []target{
		{stack.Shipping, http.MethodPost, "/v1/shipments/" + order + "/dispatch", a.operator, map[string]any{"trackingNumber": "T1"}},
		{stack.Shipping, http.MethodPost, "/v1/shipments/" + order + "/fail", a.operator, map[string]any{"reason": "lost"}},
	}
}

// demands gives the requests of a variant.
func (a *attacker) demands(ctx context.Context, variant string) []demand {
	switch variant {
	case "big":
		return a.big()
	case "drip":
		return a.drip()
	case "json":
		return a.json()
	case "operator":
		return a.operators(ctx)
	case "number":
		return a.numbers()
	case "stranger":
		return a.stranger(ctx)
	case "token":
		return a.tokens()
	default:
		return a.wire()
	}
}

// huge is the size of a body that nobody wants.
const huge = 100 << 20

// endless reads as so many spaces, which JSON allows.
func endless(n int64) io.Reader { return io.LimitReader(spaces{}, n) }

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// sized says its length, so that the request does; without it a body is sent in chunks.
type sized struct {
	io.Reader
	n int64
}

func (a *attacker) big() []demand {
	var all []demand
	bomb := gzipped(60 << 20)
	for _, t := range []target{
		a.placing(), a.pricing(), a.adjusting(),
		{service: stack.Shipping, method: http.MethodPost, path: "/v1/shipments/" + nobody + "/fail", token: a.operator},
		{service: stack.Notifier, method: http.MethodPost, path: "/v1/tickets", token: a.mallory},
	} {
		all = append(all, demand{name: "100 MB", body: sized{endless(huge), huge}, want: []int{413}, code: []string{"body_too_large"}}.at(t))
	}
	for _, t := range []target{a.placing(), a.pricing(), a.adjusting()} {
		all = append(all,
			demand{name: "100 MB in chunks", body: endless(huge), want: []int{413}, code: []string{"body_too_large"}}.at(t),
			demand{
				name: "gzip bomb", body: bytes.NewReader(bomb), header: http.Header{"Content-Encoding": {"gzip"}}, want: []int{415, 413},
				code: []string{"unsupported_encoding", "body_too_large"},
			}.at(t),
			demand{name: "64 KiB and one byte", body: endless(64<<10 + 1), want: []int{413}, code: []string{"body_too_large"}}.at(t),
		)
	}
	items := `{"items":[` + strings.Repeat(`{"sku":"plenty-0","quantity":1},`, 9_999) + `{"sku":"plenty-0","quantity":1}]}`
	return append(all, demand{name: "10,000 items", body: strings.NewReader(items), want: []int{413}, code: []string{"body_too_large"}}.at(a.placing()))
}

// nobody is an order that does not exist.
const nobody = "01890000-0000-7000-8000-000000000000"

func gzipped(n int64) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, copied := io.Copy(w, endless(n))
	if err := errors.Join(copied, w.Close()); err != nil { // it is memory
		panic(err)
	}
	return out.Bytes()
}

func (d demand) at(t target) demand {
	d.service, d.method, d.path, d.token = t.service, t.method, t.path, t.token
	return d
}

// drip sends bodies that come byte by byte, for longer than a request may spend in the database: a slow client spends its
// own time only, and is told what anybody is told.
func (a *attacker) drip() []demand {
	var all []demand
	for _, t := range []target{a.placing(), a.pricing(), a.adjusting()} {
		all = append(all, demand{name: "drip", body: &dripping{rest: []byte(`{"quantity":`)}, want: []int{400}, code: []string{"malformed_json"}}.at(t))
	}
	return append(all,
		demand{name: "an order without its end, dripped", body: &dripping{rest: mustJSON(a.order())[:40]}, want: []int{400}, code: []string{"malformed_json"}}.at(a.placing()),
		demand{name: "a whole adjustment, dripped", body: &dripping{rest: []byte(`{"quantity":1,"reason":"a"}`)}, want: []int{201}}.at(a.adjusting()))
}

// dripping gives a byte each tenth of a second.
type dripping struct{ rest []byte }

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	time.Sleep(100 * time.Millisecond)
	n := copy(p[:1], d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil { // it is made of strings and numbers
		panic(err)
	}
	return raw
}

// json sends bodies that are none.
func (a *attacker) json() []demand {
	var all []demand
	for _, t := range []target{a.placing(), a.pricing(), a.adjusting()} {
		whole := string(mustJSON(t.body))
		for name, body := range map[string]string{
			"key twice":      `{"note":"a",` + `"note":"b"}`,
			"deep key twice": strings.TrimSuffix(whole, "}") + `,"x":{"a":1,"a":2}}`,
		} {
			all = append(all, demand{name: name, body: strings.NewReader(body), want: []int{400}, code: []string{"duplicate_key"}}.at(t))
		}
		for name, body := range map[string]string{
			"trailing JSON": whole + whole, "trailing byte": whole + "x", "cut": whole[:len(whole)-1-a.r.IntN(len(whole)-2)], "empty": "",
			"not UTF-8": "{\"a\":\"\xff\xfe\"}", "deep": strings.Repeat("[", 30_000), "NaN": `{"quantity":NaN}`, "zeros": strings.Repeat("\x00", 100),
			"half a surrogate": `{"reason":"\ud800"}`,
		} {
			all = append(all, demand{name: name, body: strings.NewReader(body), want: []int{400}, code: []string{"malformed_json"}}.at(t))
		}
		for name, body := range map[string]string{"array": "[]", "string": `"x"`, "unknown field": strings.TrimSuffix(whole, "}") + `,"_id":1}`} {
			all = append(all, demand{name: name, body: strings.NewReader(body), want: []int{422}, code: []string{"wrong_type", "unknown_field"}}.at(t))
		}
		all = append(all, demand{name: "null", body: strings.NewReader("null"), want: []int{422}}.at(t),
			demand{
				name: "another media type", body: strings.NewReader(whole), header: http.Header{"Content-Type": {"text/plain"}},
				want: []int{415}, code: []string{"unsupported_media_type"},
			}.at(t))
	}
	return all
}

// operators puts an operator of the database in the place of each field, in queries and in paths.
func (a *attacker) operators(ctx context.Context) []demand {
	targets := []target{a.placing(), a.pricing(), a.adjusting()}
	if id := a.place(ctx, "victim", a.victim); id != "" {
		targets = append(targets, a.carrying(id)...)
	}
	var all []demand
	for _, t := range targets {
		for _, with := range []any{map[string]any{"$gt": ""}, map[string]any{"$ne": nil}, []any{map[string]any{"$where": "1"}}} {
			for _, body := range replaced(t.body, with) {
				d := demand{name: "operator", body: bytes.NewReader(mustJSON(body)), want: []int{422}, code: []string{"wrong_type", "unknown_field"}}.at(t)
				if t.service == stack.Shipping { // whose shipment may not have been made yet
					d.want, d.code = append(d.want, 404), append(d.code, "shipment_not_found")
				}
				all = append(all, d)
			}
		}
	}
	for _, query := range []string{"status[$gt]=", "customer[$ne]=x", "%24where=1", "status=%FF", "customer=%FF", "after=%7B%22%24gt%22%3A%22%22%7D", "status=%7B%22%24gt%22%3A%22%22%7D"} {
		for _, list := range []target{
			{service: stack.OrderAPI, path: "/v1/orders"},
			{service: stack.Inventory, path: "/v1/stock"},
			{service: stack.Shipping, path: "/v1/shipments"},
			{service: stack.Notifier, path: "/v1/events"},
		} {
			list.method, list.token = http.MethodGet, a.mallory
			list.path += "?" + query
			all = append(all, demand{name: "operator in a query", want: []int{400}}.at(list))
		}
	}
	for service, path := range map[string]string{stack.OrderAPI: "/v1/orders/", stack.Inventory: "/v1/stock/", stack.Shipping: "/v1/shipments/"} {
		for _, id := range []string{"$gt", "%7B%22%24gt%22%3A%22%22%7D", "[$ne]", "%00", "%FF", "..%2f..%2fv1", strings.Repeat("a", 5000)} {
			all = append(all, demand{name: "operator in a path", service: service, method: http.MethodGet, path: path + id, token: a.operator, want: []int{400, 404}})
		}
	}
	return all
}

// replaced gives copies of an object in which one member each, at any depth, is another value.
func replaced(object map[string]any, with any) []map[string]any {
	var all []map[string]any
	for key, v := range object {
		put := func(v any) {
			other := map[string]any{}
			for k, old := range object {
				other[k] = old
			}
			other[key] = v
			all = append(all, other)
		}
		if _, list := with.([]any); !list || key != "items" { // a list of items with a wrong one is among those below
			put(with)
		}
		switch inner := v.(type) {
		case map[string]any:
			for _, o := range replaced(inner, with) {
				put(o)
			}
		case []any:
			for _, o := range replaced(inner[0].(map[string]any), with) {
				put([]any{o})
			}
		}
	}
	return all
}

// numbers sends quantities and amounts that are none.
func (a *attacker) numbers() []demand {
	var all []demand
	for _, n := range []string{"-1", "0", "9223372036854775808", "1.5", "1e400", "-9223372036854775809", "1001", "1e3", `"7"`, "true", "null"} {
		body := strings.Replace(string(mustJSON(a.order())), `"quantity":1`, `"quantity":`+n, 1)
		all = append(all, demand{
			name: "quantity " + n, body: strings.NewReader(body), want: []int{422},
			code: []string{"quantity", "out_of_range", "not_an_integer", "wrong_type"},
		}.at(a.placing()))
	}
	for _, n := range []string{"0", "1000001", "-1000001", "9223372036854775808", "1.5", "1e400", `"7"`, "null"} {
		all = append(all, demand{
			name: "adjustment " + n, body: strings.NewReader(`{"quantity":` + n + `,"reason":"x"}`), want: []int{422},
			code: []string{"out_of_range", "not_an_integer", "wrong_type"},
		}.at(a.adjusting()))
	}
	many := make([]any, 101)
	for n := range many {
		many[n] = map[string]any{"sku": fmt.Sprintf("plenty-%d", n), "quantity": 1}
	}
	order := a.order()
	order["items"] = many
	all = append(all, demand{name: "101 items", body: bytes.NewReader(mustJSON(order)), want: []int{422}, code: []string{"items"}}.at(a.placing()))
	order = a.order()
	order["total"] = map[string]any{"amount": 1, "currency": "EUR"}
	return append(all, demand{name: "a total of one's own", body: bytes.NewReader(mustJSON(order)), want: []int{422}, code: []string{"total_mismatch"}}.at(a.placing()))
}

// stranger asks for what belongs to another customer.
func (a *attacker) stranger(ctx context.Context) []demand {
	get := func(service, path string, want int, code string) demand {
		d := demand{name: "stranger's " + path, service: service, method: http.MethodGet, path: path, token: a.mallory, want: []int{want}}
		if code != "" {
			d.code = []string{code}
		}
		return d
	}
	send := func(service, method, path string, body any, want int, code string) demand {
		d := get(service, path, want, code)
		d.method, d.body = method, bytes.NewReader(mustJSON(body))
		return d
	}
	order := a.order()
	order["customerId"] = "victim"
	all := []demand{
		get(stack.OrderAPI, "/v1/orders?customer=victim", 403, "forbidden"),
		get(stack.Notifier, "/v1/events?customer=victim", 403, ""),
		send(stack.OrderAPI, http.MethodPost, "/v1/orders", order, 403, "forbidden"),
		send(stack.OrderAPI, http.MethodPut, "/v1/products/plenty-0", a.pricing().body, 403, "forbidden"),
		send(stack.OrderAPI, http.MethodDelete, "/v1/products/plenty-0", nil, 403, "forbidden"),
		send(stack.Inventory, http.MethodPost, "/v1/stock/plenty-0/adjustments", a.adjusting().body, 403, "forbidden"),
	}
	id := a.place(ctx, "victim", a.victim)
	if id == "" {
		return all
	}
	patch := send(stack.OrderAPI, http.MethodPatch, "/v1/orders/"+id, map[string]any{"note": "mine"}, 404, "order_not_found")
	patch.header = http.Header{"If-Match": {"*"}}
	all = append(all, patch,
		get(stack.OrderAPI, "/v1/orders/"+id, 404, "order_not_found"),
		get(stack.OrderAPI, "/v1/orders/"+id+"/history", 404, "order_not_found"),
		get(stack.Shipping, "/v1/shipments/"+id, 404, "shipment_not_found"),
		send(stack.OrderAPI, http.MethodPost, "/v1/orders/"+id+"/cancel", nil, 404, "order_not_found"))
	for _, t := range a.carrying(id) {
		all = append(all, send(t.service, t.method, t.path, t.body, 403, "forbidden"))
	}
	return all
}

// tokens sends tokens that do not count, to each service.
func (a *attacker) tokens() []demand {
	var all []demand
	for name, token := range a.badTokens() {
		for _, t := range []target{
			{service: stack.OrderAPI, method: http.MethodGet, path: "/v1/orders"},
			{service: stack.OrderAPI, method: http.MethodGet, path: "/v1/products"},
			{service: stack.Inventory, method: http.MethodGet, path: "/v1/stock"},
			{service: stack.Shipping, method: http.MethodGet, path: "/v1/shipments"},
			{service: stack.Notifier, method: http.MethodPost, path: "/v1/tickets"},
			{service: stack.Notifier, method: http.MethodGet, path: "/v1/events"},
		} {
			t.token = token
			all = append(all, demand{name: "token: " + name, want: []int{401}, code: []string{"invalid_token"}}.at(t))
		}
	}
	for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/heap"} {
		for _, service := range stack.Services() {
			all = append(all, demand{
				name: "admin on the public port", service: service, method: http.MethodGet, path: path, token: a.operator,
				header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}, want: []int{404}, code: []string{"not_found"},
			})
		}
	}
	return all
}

func (a *attacker) badTokens() map[string]string {
	issuer, audience := a.sys.stack.TokenNames()
	secret := []byte(a.sys.stack.Secret())
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{"sub": "victim", "iss": issuer, "aud": audience, "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"operator"}}
		change(c)
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil { // the keys are those of the methods
			panic(err)
		}
		return token
	}
	same := func(jwt.MapClaims) {}
	good := sign(jwt.SigningMethodHS256, secret, same)
	parts := strings.Split(good, ".")
	return map[string]string{
		"none":             sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"none, signed":     strings.Split(sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same), ".")[0] + "." + parts[1] + "." + parts[2],
		"wrong algorithm":  sign(jwt.SigningMethodHS512, secret, same),
		"another secret":   sign(jwt.SigningMethodHS256, bytes.Repeat([]byte("x"), 32), same),
		"expired":          sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"no exp":           sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":          sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"another audience": sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["aud"] = "others" }),
		"no sub":           sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "sub") }),
		"sub with CRLF":    sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sub"] = "a\r\nX-Injected: 1" }),
		"sub an operator":  sign(jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { c["sub"] = map[string]any{"$gt": ""} }),
		"cut":              good[:len(good)-1-a.r.IntN(20)],
		"garbage":          "a.b.c",
	}
}

// wire sends what is no HTTP, and line breaks where they would end a header.
func (a *attacker) wire() []demand {
	var all []demand
	for _, service := range stack.Services() {
		for name, bytes := range map[string]string{
			"a bare CR in a header":  "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\nX: a\rX-Injected: 1\r\n\r\n",
			"no Host":                "GET /openapi.yaml HTTP/1.1\r\n\r\n",
			"two lengths":            "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
			"a negative length":      "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
			"a space in a name":      "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\nX Y: 1\r\n\r\n",
			"a NUL in a value":       "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n",
			"TLS":                    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
			"headers of 100 KB":      "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n",
			"a line of 100 KB":       "GET /" + strings.Repeat("x", 100_000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
			"a CR in the first line": "GET /open\rapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			all = append(all, demand{name: name, service: service, wire: bytes, want: []int{400, 404, 431}, plain: true})
		}
		for name, bytes := range map[string]string{
			"CRLF in the path":  "GET /v1/%0d%0aX-Injected:%201 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"CRLF in a query":   "GET /v1/none?a=%0d%0aX-Injected:%201 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"CRLF in an id":     "GET /v1/none HTTP/1.1\r\nHost: x\r\nX-Request-Id: a%0d%0aX-Injected: 1\r\nConnection: close\r\n\r\n",
			"a folded header":   "GET /v1/none HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\n X-Injected: 1\r\nConnection: close\r\n\r\n",
			"an invented verb":  "BREW /v1/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			"a spoofed address": "GET /v1/none HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 127.0.0.1, $gt, \t,,\r\nForwarded: for=127.0.0.1\r\nConnection: close\r\n\r\n",
		} {
			all = append(all, demand{name: name, service: service, wire: bytes, want: []int{404}, code: []string{"not_found"}})
		}
	}
	return all
}

// url is where the first instance of a service listens.
func (a *attacker) url(service string) string { return a.sys.stack.Instances(service)[0].URL }

// ask sends a demand and gives its answer.
func (a *attacker) ask(ctx context.Context, d demand) probe {
	p := probe{demand: d}
	p.Begin = duration(a.sys.since())
	resp, err := a.send(ctx, d)
	if err == nil {
		err = p.read(resp)
	}
	p.End = duration(a.sys.since())
	if err != nil {
		p.Error = err.Error()
	}
	return p
}

// try sends a demand and notes what came of it.
func (a *attacker) try(ctx context.Context, d demand) {
	p := a.ask(ctx, d)
	if ctx.Err() != nil {
		return
	}
	a.sys.probed(p)
}

func (a *attacker) send(ctx context.Context, d demand) (*http.Response, error) {
	if d.wire != "" {
		return sendRaw(ctx, strings.TrimPrefix(a.url(d.service), "http://"), d.wire)
	}
	return a.sendTo(ctx, a.url(d.service), d)
}

func (a *attacker) sendTo(ctx context.Context, base string, d demand) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, d.method, base+d.path, d.body)
	if err != nil {
		return nil, err
	}
	if s, ok := d.body.(sized); ok {
		req.ContentLength = s.n
	}
	req.Header.Set("Content-Type", "application/json")
	for name, values := range d.header {
		req.Header[name] = values
	}
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	return a.http.Do(req)
}

// sendRaw writes bytes to a connection of its own and reads the answer, while it writes.
func sendRaw(ctx context.Context, addr, bytes string) (*http.Response, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go io.WriteString(conn, bytes) //nolint:errcheck // the other side may refuse before it has read all
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	resp.Body = bodyOf{resp.Body, conn}
	return resp, nil
}

// bodyOf closes the connection, too.
type bodyOf struct {
	io.ReadCloser
	conn net.Conn
}

func (b bodyOf) Close() error { return errors.Join(b.ReadCloser.Close(), b.conn.Close()) }

// read takes in an answer.
func (p *probe) read(resp *http.Response) error {
	defer resp.Body.Close() // only read
	p.Status, p.RetryAfter = resp.StatusCode, resp.Header.Get("Retry-After") != ""
	p.ContentType, p.Challenge = resp.Header.Get("Content-Type"), resp.Header.Get("WWW-Authenticate") != ""
	p.Injected = resp.Header.Get("X-Injected") != ""
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var problem struct {
		Code string `json:"code"`
		ID   string `json:"id"`
	}
	if json.Unmarshal(raw, &problem) == nil {
		p.Code, p.Order = problem.Code, problem.ID
	}
	return nil
}

// place places an honest order, that the checks know of, and gives its id; "" where that is not possible now.
func (a *attacker) place(ctx context.Context, customer, token string) string {
	return a.placeWith(ctx, customer, token, 1)
}

// sameKey sends one order many times at once with one key: all answers are one and the same order. The key with another
// body is refused.
func (a *attacker) sameKey(ctx context.Context) {
	if a.placeWith(ctx, "mallory", a.mallory, 100) == "" {
		return
	}
	other := a.order()
	other["note"] = "another body"
	delete(other, "total")
	a.try(ctx, demand{
		name: "a key once more with another body", body: bytes.NewReader(mustJSON(other)), want: []int{422},
		header: http.Header{"Idempotency-Key": {a.key()}}, code: []string{"idempotency_key_reused"},
	}.at(a.placing()))
}

func (a *attacker) key() string { return fmt.Sprintf("hostile-%d", a.seed) }

// placeWith sends an order so many times at once.
func (a *attacker) placeWith(ctx context.Context, customer, token string, times int) string {
	body := newOrder{
		Items: []item{{"plenty-0", 1}}, Note: fmt.Sprintf("%s %s", customer, a.key()),
		ShippingAddress: address{"M", "1 Long Lane", "Dublin", "D02", "IE"},
	}
	p := &placed{
		customer: customer, key: a.key(), body: body, notes: map[string]bool{body.Note: true}, streets: map[string]bool{body.ShippingAddress.Street: true},
	}
	d := demand{name: fmt.Sprintf("an order %d times with one key", times), want: []int{201}, header: http.Header{"Idempotency-Key": {p.key}}}.at(a.placing())
	d.token = token
	raw := mustJSON(body)
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range times {
		all.Go(func() {
			d := d
			d.body = bytes.NewReader(raw)
			answer := a.ask(ctx, d)
			a.sys.probed(answer)
			if answer.Status == http.StatusCreated && answer.Error == "" {
				mu.Lock()
				defer mu.Unlock()
				ids[answer.Order] = true
			}
		})
	}
	all.Wait()
	for id := range ids {
		p.id = id
	}
	if len(ids) > 1 {
		a.sys.probed(probe{demand: demand{name: fmt.Sprintf("key %s has made %d orders", p.key, len(ids))}})
	}
	a.sys.placedBy(p)
	return p.id
}

// forwardedFor starts an instance that limits how often an address may ask, and trusts no proxy. It is asked by a client
// that says each time that it is another one.
func (a *attacker) forwardedFor(ctx context.Context) error {
	i, err := a.sys.stack.Prepare(stack.Inventory, "TRUSTED_PROXIES=", "RATE_LIMIT=10", fmt.Sprintf("RATE_BURST=%d", burst))
	if err != nil {
		return err
	}
	if i.Start(ctx) != nil {
		return nil // something that it needs is being broken
	}
	defer i.Stop(context.WithoutCancel(ctx))
	var refused atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		addresses := rand.New(rand.NewPCG(a.r.Uint64(), 0)) //nolint:gosec // it must be repeatable
		all.Go(func() {
			for range burst {
				d := demand{method: http.MethodGet, path: "/v1/stock", header: http.Header{
					"X-Forwarded-For": {fmt.Sprintf("10.%d.%d.%d", addresses.IntN(256), addresses.IntN(256), addresses.IntN(256))},
				}}
				resp, err := a.sendTo(ctx, i.URL, d)
				if err != nil {
					continue
				}
				resp.Body.Close() // nobody reads it
				if resp.StatusCode == http.StatusTooManyRequests {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	if refused.Load() == 0 && ctx.Err() == nil {
		a.sys.probed(probe{demand: demand{name: "a client that names another address each time is not limited"}})
	}
	return nil
}

// burst is how many requests that instance takes at once.
const burst = 100

// probed notes what became of a demand.
func (s *system) probed(p probe) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	s.probes = append(s.probes, p)
}

// placedBy notes an order that a fault has placed.
func (s *system) placedBy(p *placed) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	s.placed = append(s.placed, p)
}

// checkHostile wants of each hostile request its documented refusal (I11). While something is broken, it may also get no
// answer, or 503 with Retry-After; never any other 5xx, and never more than it was due.
func checkHostile(v *verdict, probes []probe, windows []window) {
	for _, p := range probes {
		broken := during(windows, p.entry, breaks)
		what := fmt.Sprintf("%s at %s", p.name, time.Duration(p.End))
		if p.service != "" {
			what = fmt.Sprintf("%s %s %s of %s", what, p.method, p.path, p.service)
		}
		switch {
		case p.want == nil:
			v.say("I11", "", "%s", p.name)
		case p.Error != "":
			if !broken {
				v.say("I11", "", "%s: no answer: %s", what, p.Error)
			}
		case p.Status == http.StatusServiceUnavailable:
			if !broken || !p.RetryAfter {
				v.say("I11", "", "%s: 503 %s while nothing was broken, or without Retry-After", what, p.Code)
			}
		case p.Injected:
			v.say("I11", "", "%s: a header of the client's making is in the answer", what)
		case !slices.Contains(p.want, p.Status):
			v.say("I11", "", "%s: %d %s; want %v", what, p.Status, p.Code, p.want)
		case p.Status >= http.StatusBadRequest && !p.plain && (p.ContentType != "application/problem+json" || p.Code == ""):
			v.say("I11", "", "%s: %d is no problem+json with a code: %s", what, p.Status, p.ContentType)
		case p.code != nil && p.Status >= http.StatusBadRequest && !slices.Contains(p.code, p.Code):
			v.say("I11", "", "%s: %d %s; want the code %v", what, p.Status, p.Code, p.code)
		case p.Status == http.StatusUnauthorized && !p.Challenge:
			v.say("I11", "", "%s: 401 without WWW-Authenticate", what)
		}
	}
}
