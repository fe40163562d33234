package feed

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// of makes an event without a place.
func of(typ events.Type, id, order, customer string) *Event {
	body := events.NewBody(typ)
	m := body.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("id"), protoreflect.ValueOfString(order))
	m.Set(m.Descriptor().Fields().ByName("customer_id"), protoreflect.ValueOfString(customer))
	info, _ := events.Lookup(typ)
	return &Event{Type: typ, Order: order, Customer: customer, Internal: info.Internal, event: &events.Event{
		ID: id, Type: typ, Subject: order, Customer: customer, Sequence: 1, Time: time.Unix(0, 0), Data: body,
	}}
}

// The model: a log, two instances that read it at their own pace, and clients that come, are cut off anywhere, and go
// to the other instance.
type model struct {
	log       [2][modelPartitions][]*Event // in order of their offsets, which have holes
	ends      [2][modelPartitions]int64
	instances [2]*Sequencer
	clients   []*modelClient
}

const modelPartitions = 2

type modelClient struct {
	filter Filter
	cursor string // of the last message: all that it keeps
	got    [2][modelPartitions][]string

	seq    *Sequencer // nil: not connected
	sub    *Subscription
	at     cursor.Cursor
	target *cursor.Cursor // of a read that is under way
	live   bool           // attached
}

func newModel(t *rapid.T) *model {
	m := &model{}
	lineage := cursor.Lineage{1, 2}
	for i := range m.instances {
		m.instances[i] = NewSequencer(NewMetrics(nil))
		m.instances[i].Start(cursor.Cursor{Lineage: lineage, Next: cursor.Position{make([]int64, modelPartitions), make([]int64, modelPartitions)}}, nil)
	}
	begin, err := m.instances[0].Now()
	require.NoError(t, err)
	filters := []Filter{
		{Viewer: "alice"},
		{Viewer: "bob", Types: []string{"order-*"}},
		{Viewer: "boss", Operator: true},
		{Viewer: "boss", Operator: true, Customers: []string{"alice"}},
		{Viewer: "alice", Orders: []string{"o1", "o2"}},
	}
	for range 2 { // few: each of them shall meet much
		f := rapid.SampledFrom(filters).Draw(t, "filter")
		f.prepare()
		m.clients = append(m.clients, &modelClient{filter: f, cursor: begin.String()})
	}
	return m
}

// produce appends an event, with a hole before it now and then.
func (m *model) produce(t *rapid.T) {
	typ := rapid.SampledFrom(events.Types()).Draw(t, "type")
	info, _ := events.Lookup(typ)
	topic := cursor.Index(info.Topic)
	p := rapid.IntRange(0, modelPartitions-1).Draw(t, "partition")
	offset := m.ends[topic][p] + rapid.SampledFrom([]int64{0, 0, 0, 1, 3}).Draw(t, "hole")
	e := of(typ, fmt.Sprintf("%d/%d/%d", topic, p, offset), rapid.SampledFrom([]string{"o1", "o2", "o3"}).Draw(t, "order"),
		rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "customer"))
	e.place = place{topic, p, offset}
	m.log[topic][p] = append(m.log[topic][p], e)
	m.ends[topic][p] = offset + 1
}

// between gives the events of a partition with offsets of [from, to).
func (m *model) between(topic, p int, from, to int64) []*Event {
	var found []*Event
	for _, e := range m.log[topic][p] {
		if e.place.offset >= from && e.place.offset < to {
			copied := *e // each reader decodes for itself
			found = append(found, &copied)
		}
	}
	return found
}

// advance lets an instance read some of a partition.
func (m *model) advance(t *rapid.T) {
	seq := m.instances[rapid.IntRange(0, 1).Draw(t, "instance")]
	topic, p := rapid.IntRange(0, 1).Draw(t, "topic"), rapid.IntRange(0, modelPartitions-1).Draw(t, "partition")
	now, _ := seq.Now()
	from := now.Next[topic][p]
	next := rapid.Int64Range(from, m.ends[topic][p]).Draw(t, "next")
	seq.publish(topic, p, m.between(topic, p, from, next), next)
}

func (m *model) client(t *rapid.T) *modelClient {
	return rapid.SampledFrom(m.clients).Draw(t, "client")
}

// connect comes back with the cursor, to any instance.
func (m *model) connect(t *rapid.T, c *modelClient, instance int) {
	c.disconnect()
	at, err := cursor.Parse(c.cursor)
	require.NoError(t, err)
	c.seq, c.sub, c.at = m.instances[instance], NewSubscription(c.filter), at
	c.sub.most = 3 // overflows are frequent
}

func (c *modelClient) disconnect() {
	if c.seq != nil {
		c.seq.Detach(c.sub)
	}
	c.seq, c.sub, c.target, c.live = nil, nil, nil, false
}

// step goes on: a piece of a read, an attempt to attach, or what the queue holds. It delivers at most most messages, and
// is cut off behind them.
func (m *model) step(t *rapid.T, c *modelClient, most int) {
	switch {
	case c.seq == nil:
		return
	case c.target != nil:
		if !m.read(t, c, &most) {
			c.disconnect()
		}
	case !c.live:
		target, attached, err := c.seq.Attach(c.sub, c.at, 2)
		require.NoError(t, err)
		c.target, c.live = &target, attached
	default:
		queue, overflowed := c.sub.Take()
		for _, message := range queue {
			if most--; most < 0 {
				c.disconnect()
				return
			}
			c.receive(t, message)
		}
		if overflowed {
			at, err := cursor.Parse(c.cursor)
			require.NoError(t, err)
			c.at, c.live = at, false
		}
	}
}

// read sends what lies between, partition by partition; false when it was cut off.
func (m *model) read(t *rapid.T, c *modelClient, most *int) bool {
	for topic := range c.target.Next {
		for p, end := range c.target.Next[topic] {
			for _, e := range m.between(topic, p, c.at.Next[topic][p], end) {
				c.at.Next[topic][p] = e.place.offset + 1
				if !c.sub.Filter().Passes(e) {
					continue
				}
				if *most--; *most < 0 {
					return false
				}
				c.receive(t, e.Message(c.at.String()))
			}
			c.at.Next[topic][p] = max(c.at.Next[topic][p], end)
		}
	}
	c.target = nil
	if c.live {
		c.cursor = c.at.String() // caught-up
	}
	return true
}

func (c *modelClient) receive(t *rapid.T, m *Message) {
	var got struct {
		ID     string `json:"id"`
		Cursor string `json:"cursor"`
	}
	require.NoError(t, json.Unmarshal(m.JSON, &got))
	require.Equal(t, m.Cursor, got.Cursor)
	c.cursor = got.Cursor
	if strings.HasPrefix(m.Type, "notifier.") {
		return
	}
	var topic, p int
	var offset int64
	_, err := fmt.Sscanf(got.ID, "%d/%d/%d", &topic, &p, &offset)
	require.NoError(t, err)
	c.got[topic][p] = append(c.got[topic][p], got.ID)
}

// want is the oracle: the log, filtered.
func (m *model) want(c *modelClient, topic, p int) []string {
	var ids []string
	for _, e := range m.log[topic][p] {
		if c.filter.Passes(e) {
			ids = append(ids, e.event.ID)
		}
	}
	return ids
}

// At every moment a client has a beginning of what it may see, in order and without a hole or a repeat, and in the end
// it has all.
func TestSequencer_EachClientSeesTheLogExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"produce": m.produce,
			"advance": m.advance,
			"connect": func(t *rapid.T) { m.connect(t, m.client(t), rapid.IntRange(0, 1).Draw(t, "instance")) },
			"step":    func(t *rapid.T) { m.step(t, m.client(t), 1<<20) },
			"cut":     func(t *rapid.T) { m.step(t, m.client(t), rapid.IntRange(0, 2).Draw(t, "most")) },
			"beat": func(t *rapid.T) {
				if c := m.client(t); c.live && c.target == nil {
					c.seq.Mark(c.sub, Heartbeat)
				}
			},
			"": func(t *rapid.T) {
				for i, c := range m.clients {
					for topic := range c.got {
						for p, got := range c.got[topic] {
							want := m.want(c, topic, p)
							require.LessOrEqual(t, len(got), len(want))
							require.True(t, slices.Equal(want[:len(got)], got), "client %d: want a beginning of %v, got %v", i, want, got)
						}
					}
				}
			},
		})
		for instance, seq := range m.instances {
			for topic := range m.ends {
				for p, end := range m.ends[topic] {
					now, _ := seq.Now()
					seq.publish(topic, p, m.between(topic, p, now.Next[topic][p], end), end)
				}
			}
			for i, c := range m.clients {
				m.connect(t, c, instance)
				for range 6 {
					m.step(t, c, 1<<20)
				}
				for topic := range c.got {
					for p, got := range c.got[topic] {
						require.True(t, slices.Equal(m.want(c, topic, p), got), "client %d, %d/%d: want %v, got %v", i, topic, p, m.want(c, topic, p), got)
					}
				}
			}
		}
	})
}

// Whatever a client asks for, it gets nothing that is not its own, and no talk between services.
func TestFilter_NeverShowsWhatIsNotToBeSeen(t *testing.T) {
	names := []string{"alice", "bob", "carol"}
	rapid.Check(t, func(t *rapid.T) {
		seq := NewSequencer(NewMetrics(nil))
		seq.Start(cursor.Cursor{Next: cursor.Position{{0}, {0}}}, nil)
		f := Filter{
			Viewer: rapid.SampledFrom(names).Draw(t, "viewer"), Operator: rapid.Bool().Draw(t, "operator"),
			Types:     rapid.SliceOfN(rapid.SampledFrom([]string{"order-*", "*", "shipment-*", "shipment-requested", "stock-reserved"}), 0, 3).Draw(t, "types"),
			Orders:    rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"o1", "o2"}), 0, 2, rapid.ID[string]).Draw(t, "orders"),
			Customers: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 3, rapid.ID[string]).Draw(t, "customers"), // a customer's are refused before
		}
		sub := NewSubscription(f)
		_, err := seq.AttachNow(sub)
		require.NoError(t, err)
		var want []string
		for i := range rapid.IntRange(1, 30).Draw(t, "events") {
			typ := rapid.SampledFrom(events.Types()).Draw(t, "type")
			e := of(typ, fmt.Sprint(i), rapid.SampledFrom([]string{"o1", "o2", "o3"}).Draw(t, "order"), rapid.SampledFrom(names).Draw(t, "customer"))
			e.place = place{0, 0, int64(i)}
			internal := []events.Type{events.ShipmentRequested, events.ShipmentUpdateRequested, events.ShipmentCancelRequested}
			allowed := f.Operator || e.Customer == f.Viewer && !slices.Contains(internal, typ)
			wanted := (len(f.Orders) == 0 || slices.Contains(f.Orders, e.Order)) && (len(f.Customers) == 0 || slices.Contains(f.Customers, e.Customer)) &&
				(len(f.Types) == 0 || slices.ContainsFunc(f.Types, func(p string) bool { return slices.Contains(Match(p), typ) }))
			if allowed && wanted {
				want = append(want, e.event.ID)
			}
			seq.publish(0, 0, []*Event{e}, int64(i)+1)
		}
		queue, _ := sub.Take()
		var got []string
		for _, m := range queue {
			var seen struct{ ID string }
			require.NoError(t, json.Unmarshal(m.JSON, &seen))
			got = append(got, seen.ID)
		}
		require.Equal(t, want, got)
		seq.Detach(sub)
		require.Empty(t, seq.index.members)
		require.Empty(t, seq.index.byCustomer)
		require.Empty(t, seq.index.byOrder)
		require.Empty(t, seq.index.all)
	})
}

// A client comes from a faster instance: what it has seen there is held back, and its cursor never goes back.
func TestAttach_HoldsBackWhatWasSeenElsewhere(t *testing.T) {
	seq := NewSequencer(NewMetrics(nil))
	seq.Start(cursor.Cursor{Next: cursor.Position{{3, 7}, {}}}, nil)
	sub := NewSubscription(Filter{Operator: true})
	ahead := cursor.Cursor{Next: cursor.Position{{5, 7}, {}}}
	target, attached, err := seq.Attach(sub, ahead, 0)
	require.NoError(t, err)
	require.True(t, attached)
	require.Zero(t, ahead.Next.Distance(target.Next), "nothing has to be read before")

	next := func(partition int, offset int64) (ids []string, at []cursor.Position) {
		e := of(events.OrderCreated, fmt.Sprint(offset), "o", "alice")
		e.place = place{0, partition, offset}
		seq.publish(0, partition, []*Event{e}, offset+1)
		queue, _ := sub.Take()
		for _, m := range queue {
			c, err := cursor.Parse(m.Cursor)
			require.NoError(t, err)
			at = append(at, c.Next)
			ids = append(ids, m.Type)
		}
		return ids, at
	}
	_, at := next(1, 7)
	require.Equal(t, []cursor.Position{{{5, 8}, {}}}, at, "the cursor keeps what the client has seen")
	seq.Mark(sub, Heartbeat)
	queue, _ := sub.Take()
	require.Equal(t, cursor.Cursor{Next: cursor.Position{{5, 8}, {}}}.String(), queue[0].Cursor, "that of a heartbeat, too")
	for _, offset := range []int64{3, 4} {
		ids, _ := next(0, offset)
		require.Empty(t, ids, "offset %d was seen already", offset)
	}
	ids, at := next(0, 5)
	require.Len(t, ids, 1)
	require.Equal(t, []cursor.Position{{{6, 8}, {}}}, at)
	require.False(t, sub.holding, "from here on it is like all others")
}
