package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/proto-events/eventspb"
)

// partitions is how many each topic of events has unless told otherwise.
const partitions = 12

// F11: duplicates. What is in the log is written once more: a single old event, or the first N of a partition; or with
// the same id and another body; or a consumer is stopped and starts again at the first record.
func drawDuplicates(d *drawer) {
	d.every(time.Second, 5*time.Second, func(at time.Duration) {
		switch n := d.r.IntN(10); {
		case n == 0:
			d.add(at, d.between(0, time.Second), "reset", 0, d.one(consumers...))
		case n < 4:
			d.add(at, 0, "other-body", 1+d.r.IntN(20), d.one(topicOrders, topicShipping), fmt.Sprint(d.r.IntN(partitions)))
		default:
			d.add(at, 0, "replay", 1+d.r.IntN(100), d.one(topicOrders, topicShipping), fmt.Sprint(d.r.IntN(partitions)))
		}
	})
}

func doDuplicates(ctx context.Context, b *breaker, i Injection) (healer, error) {
	if i.Variant == "reset" {
		return resetOffsets(ctx, b, i.Target[0])
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	p := partitionOf(i)
	kafka, err := b.writer(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{i.Target[0]: {p: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	polling, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	read := kafka.PollRecords(polling, i.N).Records()
	var again []*kgo.Record
	for _, r := range read {
		switch copied := (&kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}); {
		case b.sys.wrote(r.Topic, r.Partition, r.Offset) || header(r, ownHeader) != "": // no event of the services
		case i.Variant == "replay":
			again = append(again, copied)
		case otherBody(copied):
			again = append(again, copied)
		}
	}
	if len(again) == 0 {
		return nil, errNothingToBreak
	}
	if i.Variant == "replay" {
		return nil, kafka.ProduceSync(ctx, again...).FirstErr()
	}
	return nil, b.writeOwn(ctx, kafka, again, nil)
}

// otherBody gives a copy of an event another content. It says false of those that need not have changed the document of
// their reader: such a reader has not noted their sequence, and takes the copy for news, as it may.
func otherBody(r *kgo.Record) bool {
	e, err := events.Decode(func(name string) string { return header(r, name) }, r.Key, r.Value)
	if err != nil {
		return false
	}
	switch data := e.Data.(type) {
	case *eventspb.Order:
		if e.Type != events.OrderCreated {
			return false
		}
		for _, i := range data.GetItems() {
			i.Quantity += 7
		}
	case *eventspb.Reservation:
		if e.Type != events.ShipmentRequested {
			return false
		}
		data.Request = &eventspb.ShippingRequest{Address: &eventspb.Address{Name: "somebody else", Country: "IE"}, CancelRequested: true}
	default:
		return false
	}
	_, r.Value, err = events.Encode(e)
	r.Headers = append(slices.Clone(r.Headers), kgo.RecordHeader{Key: ownHeader, Value: []byte("other-body")})
	return err == nil
}

// resetOffsets stops all instances of a service and lets them read everything again when they come back.
func resetOffsets(ctx context.Context, b *breaker, service string) (healer, error) {
	targets := []string{service}
	for n := range spareInstances {
		targets = append(targets, fmt.Sprintf("%s-%d", service, n+2))
	}
	heal, err := b.downAll(ctx, targets, true)
	if err != nil && !errors.Is(err, errNothingToBreak) {
		return heal, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kafka, err := b.writer()
	if err != nil {
		return heal, err
	}
	defer kafka.Close()
	for {
		err := commitStart(ctx, kafka, service)
		if err == nil {
			return heal, nil
		}
		select {
		case <-ctx.Done(): // another fault killed a member, which counts as one for a while
			return heal, fmt.Errorf("the offsets of %s are not reset: %w", service, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// commitStart commits the first offset of every partition, in the name of nobody: the group must have no members.
func commitStart(ctx context.Context, kafka *kgo.Client, group string) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	for _, name := range []string{topicOrders, topicShipping} {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = name
		for p := range int32(partitions) {
			at := kmsg.NewOffsetCommitRequestTopicPartition()
			at.Partition, at.Offset = p, 0
			t.Partitions = append(t.Partitions, at)
		}
		req.Topics = append(req.Topics, t)
	}
	answer, err := req.RequestWith(ctx, kafka)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// F12: poison. A burst of records that nobody can read, that say what cannot be, or that are nobody's business.
func drawPoison(d *drawer) {
	d.every(2*time.Second, 6*time.Second, func(at time.Duration) {
		n := 1 + d.r.IntN(5)
		how := d.one("undecodable", "empty", "unknown-type", "no-headers", "header-bomb", "wrong-key", "impossible", "at-limit", "over-limit")
		if d.r.IntN(10) == 0 && !strings.HasSuffix(how, "-limit") { // those are as large as a record can be
			n = 1000
		}
		d.add(at, 0, how, n, d.one(topicOrders, topicShipping), fmt.Sprint(d.r.IntN(partitions)))
	})
}

func doPoison(ctx context.Context, b *breaker, i Injection) (healer, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var opts []kgo.Opt
	if strings.HasSuffix(i.Variant, "-limit") { // each in a batch of its own, as it is
		opts = append(opts, kgo.ProducerBatchMaxBytes(maxRecordBytes+1024), kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	kafka, err := b.writer(opts...)
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	r := rand.New(rand.NewPCG(uint64(i.At), uint64(i.N))) //nolint:gosec // it must be repeatable
	var all []*kgo.Record
	for n := range i.N {
		bad, err := poison(i, partitionOf(i), fmt.Sprintf("poison-%s-%d-%d", time.Duration(i.At), r.Uint32(), n), r)
		if err != nil {
			return nil, err
		}
		all = append(all, bad)
	}
	if i.Variant == "over-limit" {
		return nil, b.wantRefused(ctx, kafka, all)
	}
	return nil, b.writeOwn(ctx, kafka, all, buriedBy(i))
}

// wantRefused writes what the topic's limit forbids. If the broker took it, the limits that keep dead letters and events
// below what every consumer can read would not hold.
func (b *breaker) wantRefused(ctx context.Context, kafka *kgo.Client, all []*kgo.Record) error {
	var errs error
	for _, res := range kafka.ProduceSync(ctx, all...) {
		switch {
		case res.Err == nil:
			b.sys.say("I10", res.Record.Topic+" took a record of one byte more than its limit")
		case !errors.Is(res.Err, kerr.MessageTooLarge):
			errs = errors.Join(errs, res.Err)
		}
	}
	return errs
}

// buriedBy gives the dead-letter topics in which each of the records must be found.
func buriedBy(i Injection) []string {
	ofOrders := i.Target[0] == topicOrders
	switch i.Variant {
	case "undecodable", "header-bomb", "wrong-key", "at-limit":
		if ofOrders {
			return []string{"order-events.inventory.dlq"}
		}
		return []string{"shipping-events.shipping.dlq"}
	case "impossible":
		if ofOrders {
			return []string{"order-events.order-api.dlq"}
		}
		return []string{"shipping-events.order-api.dlq", "shipping-events.inventory.dlq"}
	default:
		return nil
	}
}

// maxRecordBytes is the limit of the topics, for a batch as it is written.
const maxRecordBytes = 1 << 20

// ownHeader marks what the harness made up, as far as that has headers.
const ownHeader = "chaos"

// poison makes one record of the variant.
func poison(i Injection, partition int32, key string, random *rand.Rand) (*kgo.Record, error) {
	typ, source := "order-created", "order-api"
	if i.Target[0] == topicShipping {
		typ, source = "shipment-requested", "inventory"
	}
	r := &kgo.Record{Topic: i.Target[0], Partition: partition, Key: []byte(key), Value: []byte{0xff, 0x00, 0xff}}
	r.Headers = []kgo.RecordHeader{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte(key)},
		{Key: "ce_type", Value: []byte(typ)},
		{Key: "ce_source", Value: []byte(source)},
		{Key: "ce_subject", Value: []byte(key)},
		{Key: "ce_time", Value: []byte("2026-01-01T00:00:00Z")},
		{Key: "ce_sequence", Value: []byte("0000000001")},
		{Key: "ce_customerid", Value: []byte("nobody")},
		{Key: "content-type", Value: []byte("application/protobuf")},
		{Key: ownHeader, Value: []byte(i.Variant)},
	}
	switch i.Variant {
	case "empty":
		r.Key, r.Value, r.Headers = []byte{}, []byte{}, nil
	case "no-headers":
		r.Key, r.Headers = nil, nil
	case "unknown-type":
		r.Headers[2].Value, r.Headers[3].Value = []byte("invoice-created"), []byte("billing")
	case "header-bomb":
		for n := range 500 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: fmt.Sprintf("x-%d", n), Value: make([]byte, 200)})
		}
	case "wrong-key":
		r.Key = nil // and if it had another one, it would be in the wrong partition as well
		if random.IntN(2) == 0 {
			r.Key = []byte("another")
		}
	case "impossible": // news from downstream of an order that was never placed
		typ, data := events.StockReserved, events.Snapshot(&eventspb.Reservation{
			Id: key, CustomerId: "nobody", Status: eventspb.ReservationStatus_RESERVATION_STATUS_HELD,
		})
		if r.Topic == topicShipping {
			typ, data = events.ShipmentDispatched, &eventspb.Shipment{
				Id: key, OrderId: key, CustomerId: "nobody", Status: eventspb.ShipmentStatus_SHIPMENT_STATUS_DISPATCHED,
			}
		}
		headers, body, err := events.Encode(&events.Event{
			ID: key, Type: typ, Subject: key, Time: time.Now(), Sequence: 1, Customer: "nobody", Data: data,
		})
		if err != nil {
			return nil, err
		}
		r.Value, r.Headers = body, r.Headers[len(r.Headers)-1:]
		for _, h := range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
		}
	case "at-limit":
		fill(r, maxRecordBytes, random)
	case "over-limit":
		fill(r, maxRecordBytes+1, random)
	}
	return r, nil
}

// fill gives the record a value of noise with which it makes a batch of so many bytes, when it is alone in it and not
// compressed.
func fill(r *kgo.Record, bytes int, random *rand.Rand) {
	r.Value = make([]byte, bytes-batchBytes(r))
	for over := batchBytes(r) - bytes; over > 0; over = batchBytes(r) - bytes {
		r.Value = r.Value[:len(r.Value)-over] // the lengths before it take bytes, too
	}
	for n := range r.Value {
		r.Value[n] = byte(random.Uint32()) | 0x80 // no protobuf starts so
	}
}

// batchHeaderBytes is what stands before the records of a batch (KIP-98).
const batchHeaderBytes = 61

// batchBytes is the size of a batch of only r.
func batchBytes(r *kgo.Record) int {
	k := kmsg.NewRecord()
	k.Key, k.Value = r.Key, r.Value
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	body := len(k.AppendTo(nil)) - len(binary.AppendVarint(nil, 0)) // its own length comes first, and is not set
	return batchHeaderBytes + len(binary.AppendVarint(nil, int64(body))) + body
}

// writer is a client that places records by hand. It speaks the protocol of brokers that know topics by name only.
func (b *breaker) writer(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(b.sys.stack.Broker.Brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(ourProduceTimeout), kgo.MaxVersions(kversion.V3_0_0()))...)
}

// writeOwn writes records that are no events of the services; each must be found in the given dead-letter topics.
func (b *breaker) writeOwn(ctx context.Context, kafka *kgo.Client, all []*kgo.Record, buried []string) error {
	var errs error
	for _, res := range kafka.ProduceSync(ctx, all...) {
		errs = errors.Join(errs, res.Err)
		if res.Err == nil {
			b.sys.own(res.Record, buried)
		}
	}
	return errors.Join(errs, b.sys.writeOwn(filepath.Join(b.dir, "ignore.jsonl")))
}

func partitionOf(i Injection) int32 {
	var p int32
	fmt.Sscan(i.Target[1], &p) //nolint:errcheck // it was printed from a number
	return p
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// coordinates name a record.
type coordinates struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// own notes a record that the harness made up: the checks leave it out. One that a consumer cannot handle must be found
// in its dead-letter topic.
func (s *system) own(r *kgo.Record, buried []string) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	c := coordinates{r.Topic, r.Partition, r.Offset}
	for _, topic := range buried {
		s.poison = append(s.poison, grave{c, topic})
	}
	s.ownRecords[c] = true
	if header(r, ownHeader) == "impossible" { // watchers are pushed it: it is an event like any other
		s.ownOrders[string(r.Key)] = true
	}
}

// grave is where a record must be found that a consumer cannot handle.
type grave struct {
	coordinates
	letters string // the dead-letter topic
}

// graveyards are all dead-letter topics.
var graveyards = []string{
	"order-events.inventory.dlq", "order-events.order-api.dlq",
	"shipping-events.inventory.dlq", "shipping-events.order-api.dlq", "shipping-events.shipping.dlq",
}

// checkLetters wants a dead letter of each record that cannot be handled, and none of any other (I9): audit and replay take
// a service's word for it that what it has buried cannot be handled. Whatever the harness made up may be buried: also what
// it does not know to be in the log, since the answer was lost.
func (s *system) checkLetters(ctx context.Context, v *verdict) error {
	letters, err := s.deadLetters(ctx)
	if err != nil {
		return err
	}
	say := func(g grave, format string) {
		v.say("I9", "", format, g.Topic, g.Partition, g.Offset, g.letters)
		v.found[len(v.found)-1].record = &g.coordinates
	}
	for _, g := range s.poison {
		if _, there := letters[g]; !there {
			say(g, "%s/%d@%d cannot be handled, and %s has no dead letter of it")
		}
	}
	for g, marked := range letters {
		if !marked && !s.wrote(g.Topic, g.Partition, g.Offset) {
			say(g, "%s/%d@%d is an event of the services, and %s has a dead letter of it")
		}
	}
	return nil
}

// wrote tells whether the record is one of those.
func (s *system) wrote(topic string, partition int32, offset int64) bool {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	return s.ownRecords[coordinates{topic, partition, offset}]
}

// writeOwn writes them for `orderctl audit --ignore`.
func (s *system) writeOwn(path string) error {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := json.NewEncoder(f)
	for c := range s.ownRecords {
		if err := out.Encode(c); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}
