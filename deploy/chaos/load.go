package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	plentySKUs  = 4  // with more stock than anybody orders
	scarceSKUs  = 2  // of which orders compete for the last ones
	scarceStock = 30 // that there is of each at first
	plenty      = 1_000_000
	patience    = 10 * time.Second // of a client, for one answer
)

// load is a number of clients, each with a random stream of its own.
type load struct {
	sys      *system
	history  *history
	http     *http.Client
	workers  []*worker
	stop     chan struct{}
	giveUp   context.CancelFunc // of all that is still asked
	wait     sync.WaitGroup
	pause    time.Duration // between two operations of a client
	rush     bool          // every order wants some of one scarce row, of which a little comes and goes all the time
	oversold sync.Map      // rows of which it is told already
	seed     uint64
	guests   atomic.Int64 // that there were
}

// worker is one client: a customer who places, changes and cancels its own orders, and an operator who does what
// carriers and warehouses do.
type worker struct {
	*load
	name            string
	token, operator string
	r               *rand.Rand
	orders          []*placed
	n               int
}

// placed is what a client knows of an order that it was told is placed, or may be placed.
type placed struct {
	id       string // "": it was never told
	customer string
	key      string
	body     newOrder
	version  int64
	cancel   bool            // a cancellation was taken
	notes    map[string]bool // that may stand there at the end
	streets  map[string]bool // the same of the address
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

type address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

type newOrder struct {
	Items           []item  `json:"items"`
	ShippingAddress address `json:"shippingAddress"`
	Note            string  `json:"note"`
}

// order is what the API says of one.
type order struct {
	ID              string  `json:"id"`
	CustomerID      string  `json:"customerId"`
	Status          string  `json:"status"`
	Version         int64   `json:"version"`
	Items           []item  `json:"items"`
	ShippingAddress address `json:"shippingAddress"`
	Note            string  `json:"note"`
	Cancellation    *struct {
		Outcome string `json:"outcome"`
	} `json:"cancellation"`
	Failure *struct {
		Reason string `json:"reason"`
	} `json:"failure"`
}

type stockRow struct {
	SKU        string `json:"sku"`
	Available  int64  `json:"available"`
	Reserved   int64  `json:"reserved"`
	Shipped    int64  `json:"shipped"`
	WrittenOff int64  `json:"writtenOff"`
}

func skus() []string {
	var all []string
	for n := range plentySKUs {
		all = append(all, fmt.Sprintf("plenty-%d", n))
	}
	for n := range scarceSKUs {
		all = append(all, fmt.Sprintf("scarce-%d", n))
	}
	return all
}

func newLoad(sys *system, h *history, seed uint64, clients int, rate float64) (*load, error) {
	l := &load{
		sys: sys, history: h, seed: seed, stop: make(chan struct{}), pause: time.Duration(float64(clients) / rate * float64(time.Second)),
		http: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: clients}},
	}
	for n := range clients {
		w, err := l.client(n)
		if err != nil {
			return nil, err
		}
		l.workers = append(l.workers, w)
	}
	return l, nil
}

func (l *load) client(n int) (*worker, error) {
	w := &worker{
		load: l, name: fmt.Sprintf("client-%d", n),
		r: rand.New(rand.NewPCG(l.seed, uint64(n)+1)), //nolint:gosec // it must be repeatable
	}
	var err error
	if w.operator, err = l.sys.token("operator", true); err != nil {
		return nil, err
	}
	w.token, err = l.sys.token(w.customer(), false)
	return w, err
}

// firstGuest is the number of the first guest; clients of the load have lower ones.
const firstGuest = 10_000

// guest is one more client, which does nothing by itself.
func (l *load) guest() (*worker, error) { return l.client(firstGuest + int(l.guests.Add(1))) }

// customer gives its name; two clients share one, as the tabs of a browser do.
func (w *worker) customer() string { return customerOf(w.name) }

func customerOf(client string) string {
	var n int
	fmt.Sscanf(client, "client-%d", &n) //nolint:errcheck // it was printed so
	return fmt.Sprintf("customer-%d", n/2)
}

// prepare puts in products and stock.
func (l *load) prepare(ctx context.Context) error {
	w := l.workers[0]
	for n, sku := range skus() {
		q := int64(plenty)
		if n >= plentySKUs {
			q = scarceStock
		}
		price := map[string]any{"name": sku, "unitPrice": money{100 + int64(n), "EUR"}}
		e := w.run(ctx, entry{Kind: "price", SKU: sku}, http.MethodPut, "/v1/products/"+sku, true, price, nil, true)
		if e.Outcome != outcomeOK {
			return fmt.Errorf("product %s: %d %s %s", sku, e.Status, e.Code, e.Error)
		}
		if e = w.adjust(ctx, sku, q); e.Outcome != outcomeOK {
			return fmt.Errorf("stock of %s: %d %s %s", sku, e.Status, e.Code, e.Error)
		}
	}
	return nil
}

// start lets all clients go; they go on until finish. ctx bounds the whole.
func (l *load) start(ctx context.Context) {
	ctx, l.giveUp = context.WithCancel(ctx)
	for _, w := range l.workers {
		l.wait.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-ctx.Done():
					return
				case <-time.After(l.pause/2 + w.jitter(l.pause)):
				}
				w.act(ctx)
			}
		})
	}
}

// finish lets every client end the operation that it is at, which it repeats until it knows the outcome, but no longer
// than within: everything is healed, and who gets no answer now never gets one (I11).
func (l *load) finish(within time.Duration) {
	close(l.stop)
	late := time.AfterFunc(within, func() {
		l.sys.say("I11", fmt.Sprintf("a client still has no answer, %s after everything was healed", within))
		l.giveUp()
	})
	l.wait.Wait()
	late.Stop()
	l.giveUp()
}

func (w *worker) jitter(d time.Duration) time.Duration {
	return time.Duration(w.r.Int64N(int64(d) + 1))
}

// act does one random thing.
func (w *worker) act(ctx context.Context) {
	if w.rush && w.r.IntN(4) == 0 {
		w.comeAndGo(ctx)
		return
	}
	p := w.someOrder()
	switch n := w.r.IntN(100); {
	case n < 40 || p == nil:
		w.place(ctx)
	case n < 52:
		w.read(ctx, p)
	case n < 60:
		w.change(ctx, p, true)
	case n < 65:
		w.change(ctx, p, false)
	case n < 73:
		w.cancel(ctx, p)
	case n < 77:
		w.again(ctx, p)
	case n < 80:
		w.list(ctx)
	case n < 83:
		w.run(ctx, entry{Kind: "history", Order: p.id}, http.MethodGet, "/v1/orders/"+p.id+"/history", false, nil, nil, false)
	case n < 86:
		w.shelves(ctx)
	case n < 88:
		w.look(ctx, p)
	case n < 93:
		w.carrier(ctx, p, "dispatch", map[string]any{})
	case n < 95:
		w.carrier(ctx, p, "deliver", map[string]any{})
	case n < 97:
		w.carrier(ctx, p, "fail", map[string]any{"reason": []string{"refused", "lost"}[w.r.IntN(2)]})
	default:
		w.adjust(ctx, w.scarce(), 1+w.r.Int64N(10))
	}
}

// someOrder is one of the last that it knows, nil where there is none.
func (w *worker) someOrder() *placed {
	for range 5 {
		if len(w.orders) == 0 {
			return nil
		}
		recent := w.orders[max(0, len(w.orders)-12):]
		if p := recent[w.r.IntN(len(recent))]; p.id != "" {
			return p
		}
	}
	return nil
}

func (w *worker) key() string {
	w.n++
	return fmt.Sprintf("%s-%d", w.name, w.n)
}

func (w *worker) place(ctx context.Context) {
	key := w.key()
	body := newOrder{ShippingAddress: address{w.customer(), "1 Long Lane", "Dublin", "D02 X285", "IE"}, Note: "placed " + key}
	for _, n := range w.r.Perm(plentySKUs)[:1+w.r.IntN(2)] {
		body.Items = append(body.Items, item{fmt.Sprintf("plenty-%d", n), 1 + w.r.Int64N(3)})
	}
	if w.r.IntN(5) == 0 || w.rush {
		body.Items = append(body.Items, item{w.scarce(), 1 + w.r.Int64N(3)})
	}
	p := &placed{
		customer: w.customer(), key: key, body: body,
		notes: map[string]bool{body.Note: true}, streets: map[string]bool{body.ShippingAddress.Street: true},
	}
	w.orders = append(w.orders, p)
	w.again(ctx, p)
}

// again places an order with its key: the first time, or as a client does that has lost the answer.
func (w *worker) again(ctx context.Context, p *placed) {
	var o order
	patient := p.id != "" || w.r.IntN(20) > 0 // some give up after a time-out, and never learn
	e := w.run(ctx, entry{Kind: "place", Key: p.key}, http.MethodPost, "/v1/orders", false, p.body, &o, patient)
	if e.Outcome != outcomeOK {
		return
	}
	p.id = o.ID
	w.saw(p, o)
}

// saw notes what an answer says of an order.
func (w *worker) saw(p *placed, o order) { p.version = max(p.version, o.Version) }

func (w *worker) read(ctx context.Context, p *placed) {
	var o order
	if e := w.run(ctx, entry{Kind: "get", Order: p.id}, http.MethodGet, "/v1/orders/"+p.id, false, nil, &o, false); e.Outcome == outcomeOK {
		w.saw(p, o)
	}
}

// change writes a new note, or a new street, on the order as it was read just before, and gives the last answer.
func (w *worker) change(ctx context.Context, p *placed, note bool) entry {
	var o order
	e, header := w.send(ctx, w.history.operation(), 1, entry{Kind: "get", Order: p.id}, http.MethodGet, "/v1/orders/"+p.id, false, nil, nil, &o)
	if e.Outcome != outcomeOK {
		return e
	}
	text := w.key()
	var body any = map[string]any{"note": text}
	seen := &p.notes
	if !note {
		a := p.body.ShippingAddress
		a.Street = text
		body, seen = map[string]any{"shippingAddress": a}, &p.streets
	}
	e, _ = w.send(ctx, w.history.operation(), 1, entry{Kind: "change", Order: p.id, Note: text}, http.MethodPatch, "/v1/orders/"+p.id, false,
		http.Header{"If-Match": {header.Get("ETag")}}, body, nil)
	switch e.Outcome {
	case outcomeOK:
		*seen = map[string]bool{text: true}
	case outcomeInfo:
		(*seen)[text] = true // a later change that is taken settles it
	}
	return e
}

func (w *worker) cancel(ctx context.Context, p *placed) {
	var o order
	if e := w.run(ctx, entry{Kind: "cancel", Order: p.id}, http.MethodPost, "/v1/orders/"+p.id+"/cancel", false, struct{}{}, &o, true); e.Outcome == outcomeOK {
		p.cancel = true
		w.saw(p, o)
	}
}

func (w *worker) carrier(ctx context.Context, p *placed, step string, body any) {
	w.run(ctx, entry{Kind: step, Order: p.id}, http.MethodPost, "/v1/shipments/"+p.id+"/"+step, true, body, nil, true)
}

// list reads the customer's orders: none is anybody else's (I11).
func (w *worker) list(ctx context.Context) {
	var page struct {
		Items []order `json:"items"`
	}
	w.run(ctx, entry{Kind: "list"}, http.MethodGet, "/v1/orders?limit=20", false, nil, &page, false)
	for _, o := range page.Items {
		if o.CustomerID != w.customer() {
			w.sys.say("I11", fmt.Sprintf("%s was shown order %s of %s", w.customer(), o.ID, o.CustomerID))
		}
	}
}

// look reads something that the others do not need.
func (w *worker) look(ctx context.Context, p *placed) {
	sku := w.scarce()
	switch w.r.IntN(6) {
	case 0:
		w.run(ctx, entry{Kind: "shipments"}, http.MethodGet, "/v1/shipments?limit=20", false, nil, nil, false)
	case 1:
		w.run(ctx, entry{Kind: "shipment", Order: p.id}, http.MethodGet, "/v1/shipments/"+p.id, false, nil, nil, false)
	case 2:
		w.run(ctx, entry{Kind: "row", SKU: sku}, http.MethodGet, "/v1/stock/"+sku, true, nil, nil, false)
	case 3:
		w.run(ctx, entry{Kind: "products"}, http.MethodGet, "/v1/products", false, nil, nil, false)
	case 4:
		w.run(ctx, entry{Kind: "product", SKU: sku}, http.MethodGet, "/v1/products/"+sku, false, nil, nil, false)
	case 5:
		w.run(ctx, entry{Kind: "ticket"}, http.MethodPost, "/v1/tickets", false, struct{}{}, nil, false)
	}
}

// shelves reads the stock rows: whenever somebody looks, none is below zero (I2).
func (w *worker) shelves(ctx context.Context) {
	var page struct {
		Items []stockRow `json:"items"`
	}
	w.run(ctx, entry{Kind: "stock"}, http.MethodGet, "/v1/stock", false, nil, &page, false)
	for _, row := range page.Items {
		if row.Available >= 0 {
			continue
		}
		if _, told := w.oversold.LoadOrStore(row.SKU, true); !told {
			w.sys.say("I2", fmt.Sprintf("%s: %d available at %.1f s: oversold", row.SKU, row.Available, w.sys.since().Seconds()))
		}
	}
}

// scarce is a row of which there is little; in a rush all want the same.
func (w *worker) scarce() string {
	n := w.r.IntN(scarceSKUs)
	if w.rush {
		n = 0
	}
	return fmt.Sprintf("scarce-%d", n)
}

// comeAndGo puts some of what is scarce in, takes some out, or looks: less comes than is ordered, so it is always the
// last few.
func (w *worker) comeAndGo(ctx context.Context) {
	sku := w.scarce()
	switch w.r.IntN(4) {
	case 0:
		w.adjust(ctx, sku, -1)
	case 1:
		w.adjust(ctx, sku, 1+w.r.Int64N(3))
	default:
		w.shelves(ctx)
	}
}

func (w *worker) adjust(ctx context.Context, sku string, quantity int64) entry {
	return w.run(ctx, entry{Kind: "adjust", Key: w.key(), SKU: sku, Quantity: quantity}, http.MethodPost,
		"/v1/stock/"+sku+"/adjustments", true, map[string]any{"quantity": quantity, "reason": "chaos"}, nil, true)
}

// run does an operation; a patient client repeats it until it knows the outcome, with the same key.
func (w *worker) run(ctx context.Context, e entry, method, path string, operator bool, body, out any, patient bool) entry {
	op := w.history.operation()
	var header http.Header
	if e.Key != "" {
		header = http.Header{"Idempotency-Key": {e.Key}}
	}
	for try := 1; ; try++ {
		last, _ := w.send(ctx, op, try, e, method, path, operator, header, body, out)
		if last.Outcome != outcomeInfo || !patient || ctx.Err() != nil {
			return last
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(time.Duration(try)*100*time.Millisecond, time.Second)):
		}
	}
}

// send makes one request and notes it.
func (w *worker) send(ctx context.Context, op int64, try int, e entry, method, path string, operator bool, header http.Header,
	body, out any,
) (entry, http.Header) {
	e.Op, e.Try, e.Client, e.Begin = op, try, w.name, duration(w.sys.since())
	answer, err := w.exchange(ctx, &e, method, path, operator, header, body, out)
	e.End = duration(w.sys.since())
	switch {
	case err != nil:
		e.Outcome, e.Error = outcomeInfo, err.Error()
	case e.Status < http.StatusMultipleChoices:
		e.Outcome = outcomeOK
	case e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests:
		e.Outcome = outcomeInfo
	default:
		e.Outcome = outcomeFail
	}
	w.history.add(e)
	return e, answer
}

func (w *worker) exchange(ctx context.Context, e *entry, method, path string, operator bool, header http.Header, body, out any) (http.Header, error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.sys.api+path, reader)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+w.token)
	if operator {
		req.Header.Set("Authorization", "Bearer "+w.operator)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // only read
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	e.Status, e.RetryAfter = resp.StatusCode, resp.Header.Get("Retry-After") != ""
	if resp.StatusCode >= http.StatusMultipleChoices {
		var problem struct{ Code string }
		if json.Unmarshal(raw, &problem) == nil {
			e.Code = problem.Code
		}
		return resp.Header, nil
	}
	var seen struct {
		ID      string `json:"id"`
		Version int64  `json:"version"`
	}
	if json.Unmarshal(raw, &seen) == nil && (e.Kind == "place" || e.Kind == "get" || e.Kind == "cancel" || e.Kind == "change") {
		e.Order, e.Version = seen.ID, seen.Version
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return nil, fmt.Errorf("the answer cannot be read: %w", err)
		}
	}
	return resp.Header, nil
}
