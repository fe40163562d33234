package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/orderwire/orderwire/deploy/stack"
)

const (
	// stuckOrders are placed while the broker refuses their events, raceOrders while two relays wait for the same ones.
	stuckOrders = 1000
	raceOrders  = 200
	// maxUnsent is how many unpublished events an order may have before its client is refused.
	maxUnsent = 32
)

// outboxes says which collection of a service has outboxes, and where their events go.
var outboxes = map[string]struct{ collection, topic string }{
	stack.OrderAPI:  {"orders", topicOrders},
	stack.Inventory: {"reservations", topicShipping},
	stack.Shipping:  {"shipments", topicShipping},
}

// F16: what outboxes can suffer. A topic, or some of its partitions, is refused while a thousand orders are placed
// (stuck); two instances find the same entries in a sweep and both publish them (race); an order is changed more often
// than its outbox may hold (bound); an event can never be published, and others stand beside it (poison).
func drawOutbox(d *drawer) {
	at := d.from + d.between(0, (d.to-d.from)/4)
	hows := []string{"poison"}
	if onlyKfake(d.t) {
		hows = append(hows, "stuck", "race", "bound")
	}
	switch how := d.one(hows...); how {
	case "stuck":
		d.add(at, d.between(6*time.Second, 10*time.Second), how, stuckOrders, d.one(topicOrders, topicShipping), d.one("some", "all"))
	case "race": // longer than a sweep lets an entry be
		service := d.one(consumers...)
		d.add(at, d.between(10*time.Second, 14*time.Second), how, raceOrders, outboxes[service].topic, "all", service)
	case "bound":
		d.add(at, d.between(0, 3*time.Second), how, 0, topicOrders, "all")
	case "poison":
		d.add(at, d.between(8*time.Second, 12*time.Second), how, []int{1, 4, 20}[d.r.IntN(3)], d.one(consumers...))
	}
}

func doOutbox(ctx context.Context, b *breaker, i Injection) (healer, error) {
	switch i.Variant {
	case "poison":
		return poisonOutbox(ctx, b, i)
	case "race":
		return race(ctx, b, i)
	default:
		return stuck(ctx, b, i)
	}
}

// refusedWithin is how long it may take until the broker is asked to take an event of orders that were just placed.
const refusedWithin = 10 * time.Second

// stuck fills outboxes while the broker takes nothing of what is in them.
func stuck(ctx context.Context, b *breaker, i Injection) (healer, error) {
	broker := b.sys.stack.Broker.Fake()
	if broker == nil {
		return nil, errNothingToBreak // it takes nothing at all
	}
	refused := refuse(broker, i.Target[0], i.Target[1])
	accept := func(context.Context) { refused.Remove() }
	if i.Variant == "bound" {
		return accept, b.fillOutbox(ctx, broker)
	}
	if err := b.placeMany(ctx, i.N); err != nil {
		return accept, err
	}
	return accept, hit(ctx, refused, refusedWithin)
}

// refuse lets the broker take nothing for a topic, or for some of its partitions.
func refuse(broker *kfake.Cluster, topic, which string) *kfake.FaultHandle {
	f := kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, When: notOurs, Err: kerr.TopicAuthorizationFailed, Count: -1}
	if which == "some" {
		f.Partitions = []int32{0, 1, 2, 3}
	}
	return broker.Fault(f)
}

// race lets a second instance find what the first one cannot publish; both are at it when it can be published again.
func race(ctx context.Context, b *breaker, i Injection) (healer, error) {
	spare, joinErr := b.join(ctx, i.Target[2]+"-2")
	if spare == nil {
		return nil, joinErr
	}
	accept, err := stuck(ctx, b, i)
	return func(ctx context.Context) {
		if accept != nil {
			accept(ctx)
			sleep(ctx, 3*time.Second)
		}
		spare.down(ctx, true)
	}, errors.Join(joinErr, err)
}

// guests do something beside the load, each with a client of its own; the checks know of what they have placed.
func (b *breaker) guests(n int, do func(*worker)) error {
	var all sync.WaitGroup
	defer all.Wait()
	for range n {
		w, err := b.load.guest()
		if err != nil {
			return err
		}
		all.Go(func() {
			do(w)
			for _, p := range w.orders {
				b.sys.placedBy(p)
			}
		})
	}
	return nil
}

// placeMany places so many orders, as fast as twenty clients can; some of them must be taken.
func (b *breaker) placeMany(ctx context.Context, n int) error {
	const clients = 20
	var taken atomic.Int64
	err := b.guests(clients, func(w *worker) {
		for range n / clients {
			if ctx.Err() == nil {
				w.place(ctx)
			}
		}
		for _, p := range w.orders {
			if p.id != "" {
				taken.Add(1)
			}
		}
	})
	if err == nil && taken.Load() == 0 {
		return errNothingToBreak
	}
	return err
}

// fillOutbox changes an order until that is refused because its outbox is full, which must be before it holds more than
// it may. Where another fault has replaced the broker, it has published what was there, and nothing was shown.
func (b *breaker) fillOutbox(ctx context.Context, broker *kfake.Cluster) error {
	full := false
	err := b.guests(1, func(w *worker) {
		w.place(ctx)
		p := w.orders[0]
		if p.id == "" {
			return
		}
		changed, busy := 0, false
		for range 2 * maxUnsent {
			e := w.change(ctx, p, true)
			if busy = e.Code == "order_busy"; busy || ctx.Err() != nil {
				break
			}
			if e.Outcome == outcomeOK {
				changed++
			}
		}
		if b.sys.stack.Broker.Fake() != broker {
			return
		}
		full = busy || changed >= maxUnsent
		switch {
		case changed >= maxUnsent:
			b.sys.say("I10", fmt.Sprintf("order %s took %d changes while nothing was published", p.id, changed))
		case busy && changed < maxUnsent/2: // some may have been taken without an answer
			b.sys.say("I11", fmt.Sprintf("order %s was busy after %d changes", p.id, changed))
		}
	})
	if err == nil && !full {
		return errNothingToBreak
	}
	return err
}

// besideWithin is how long an order may be pending beside events that cannot be published, which stay until then: on a
// machine with more to do than it can, all orders may be pending for longer than the fault was to last.
const besideWithin = 30 * time.Second

// poisonOutbox stores events that can never be published, because they are too large: every second one for the broker,
// the others for the client already. They are taken away again at the end, as an operator would. An order that is placed
// beside them must move on all the same.
func poisonOutbox(ctx context.Context, b *breaker, i Injection) (healer, error) {
	service := i.Target[0]
	client, err := mongo.Connect(options.Client().ApplyURI(b.sys.stack.Database.URI).SetTimeout(5 * time.Second))
	if err != nil {
		return nil, err
	}
	in := client.Database(b.sys.stack.DatabaseName(service)).Collection(outboxes[service].collection)
	prefix := fmt.Sprintf("poison-%d-", time.Duration(i.At).Milliseconds())
	var docs []any
	var ids []string
	for n := range i.N {
		id := fmt.Sprint(prefix, n)
		ids = append(ids, id)
		docs = append(docs, tooLarge(id, outboxes[service].topic, maxRecordBytes+1024+n%2*maxRecordBytes, rand.New(rand.NewPCG(uint64(i.At), uint64(n))))) //nolint:gosec // it must be repeatable
	}
	_, insertErr := in.InsertMany(ctx, docs)
	from := b.sys.since()
	beside := ""
	guestErr := b.guests(1, func(w *worker) {
		w.place(ctx)
		beside = w.orders[0].id
	})
	return func(ctx context.Context) {
		if insertErr == nil && beside != "" {
			moved := b.moves(ctx, beside, from+besideWithin)
			b.sys.stoodBeside(passage{order: beside, from: from, to: b.sys.since(), moved: moved})
		}
		b.takeAway(ctx, in, ids)
		client.Disconnect(ctx) //nolint:errcheck // nothing more is asked of it
	}, errors.Join(insertErr, guestErr)
}

// tooLarge is a document with nothing but an event of so many bytes of noise.
func tooLarge(id, topic string, bytes int, random *rand.Rand) bson.D {
	body := make([]byte, bytes)
	for n := range body {
		body[n] = byte(random.Uint32())
	}
	return bson.D{
		{Key: "_id", Value: id},
		{Key: "version", Value: int64(1)},
		{Key: "sequences", Value: bson.D{{Key: topic, Value: int64(1)}}},
		{Key: "seen", Value: bson.D{}},
		{Key: "customerId", Value: "nobody"},
		{Key: "outbox", Value: bson.A{bson.D{
			{Key: "id", Value: id},
			{Key: "topic", Value: topic},
			{Key: "key", Value: id},
			{Key: "sequence", Value: int64(1)},
			{Key: "at", Value: time.Now().Add(-time.Minute)},
			{Key: "headers", Value: bson.A{}},
			{Key: "body", Value: body},
		}}},
	}
}

// moves waits until an order has left its first state, or that time has come.
func (b *breaker) moves(ctx context.Context, id string, by time.Duration) (moved bool) {
	err := b.guests(1, func(w *worker) {
		for {
			var o order
			w.run(ctx, entry{Kind: "operator-get", Order: id}, http.MethodGet, "/v1/orders/"+id, true, nil, &o, true)
			moved = o.Status != "" && o.Status != "pending"
			if moved || ctx.Err() != nil || b.sys.since() >= by {
				return
			}
			sleep(ctx, 500*time.Millisecond)
		}
	})
	return moved && err == nil
}

// takeAway removes documents, until ctx ends: the database may be away.
func (b *breaker) takeAway(ctx context.Context, from *mongo.Collection, ids []string) {
	for {
		_, err := from.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			b.sys.note("%d documents that cannot be published stay behind: %v", len(ids), err)
			return
		}
		sleep(ctx, 300*time.Millisecond)
	}
}

// passage is an order that was placed while something beside it could not be published.
type passage struct {
	order    string
	from, to time.Duration
	moved    bool
}

func (s *system) stoodBeside(p passage) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	s.passages = append(s.passages, p)
}

// checkPassages wants that an event which cannot be published holds up nobody (I8), unless something else did.
func checkPassages(v *verdict, passages []passage, windows []window) {
	for _, p := range passages {
		e := entry{Begin: duration(p.from), End: duration(p.to)}
		other := during(windows, e, func(w window) bool { return breaks(w) && (w.Fault != "F16" || w.Variant != "poison") })
		if !p.moved && !other {
			v.say("I8", p.order, "it was pending for %s beside an event that cannot be published", (p.to - p.from).Round(time.Millisecond))
		}
	}
}
