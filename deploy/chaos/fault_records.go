package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partitions is how many each topic of events has unless told otherwise.
const partitions = 12

// F11: duplicates. What is in the log is written once more: a single old event, or the first N of a partition.
func drawDuplicates(d *drawer) {
	d.every(time.Second, 5*time.Second, func(at time.Duration) {
		d.add(at, 0, "replay", 1+d.r.IntN(100), d.one(topicOrders, topicShipping), fmt.Sprint(d.r.IntN(partitions)))
	})
}

func doDuplicates(ctx context.Context, b *breaker, i Injection) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var p int32
	fmt.Sscan(i.Target[1], &p) //nolint:errcheck // it was printed from a number
	kafka, err := kgo.NewClient(kgo.SeedBrokers(b.sys.stack.Broker.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProduceRequestTimeout(ourProduceTimeout), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{i.Target[0]: {p: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	polling, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	read := kafka.PollRecords(polling, i.N).Records()
	var again []*kgo.Record
	for _, r := range read {
		again = append(again, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	return nil, kafka.ProduceSync(ctx, again...).FirstErr()
}

// F12: poison. A burst of records that nobody can read, or that are nobody's business.
func drawPoison(d *drawer) {
	d.every(2*time.Second, 6*time.Second, func(at time.Duration) {
		n := 1 + d.r.IntN(5)
		if d.r.IntN(10) == 0 {
			n = 1000
		}
		how := d.one("undecodable", "empty", "unknown-type", "no-headers", "header-bomb")
		d.add(at, 0, how, n, d.one(topicOrders, topicShipping), fmt.Sprint(d.r.IntN(partitions)))
	})
}

func doPoison(ctx context.Context, b *breaker, i Injection) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var p int32
	fmt.Sscan(i.Target[1], &p) //nolint:errcheck // it was printed from a number
	kafka, err := kgo.NewClient(kgo.SeedBrokers(b.sys.stack.Broker.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProduceRequestTimeout(ourProduceTimeout))
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	r := rand.New(rand.NewPCG(uint64(i.At), uint64(i.N))) //nolint:gosec // it must be repeatable
	var all []*kgo.Record
	for n := range i.N {
		all = append(all, poison(i, p, fmt.Sprintf("poison-%s-%d-%d", time.Duration(i.At), r.Uint32(), n)))
	}
	var errs error
	for _, res := range kafka.ProduceSync(ctx, all...) {
		errs = errors.Join(errs, res.Err)
		if res.Err == nil {
			b.sys.own(res.Record, i.Variant == "undecodable" || i.Variant == "header-bomb")
		}
	}
	return nil, errors.Join(errs, b.sys.writeOwn(filepath.Join(b.dir, "ignore.jsonl")))
}

// poison makes one record of the variant.
func poison(i Injection, partition int32, key string) *kgo.Record {
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
	}
	return r
}

// coordinates name a record.
type coordinates struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// own notes a record that the harness made up: the checks leave it out. One that is of a known type, and cannot be read,
// must become a dead letter.
func (s *system) own(r *kgo.Record, unreadable bool) {
	s.ownMu.Lock()
	defer s.ownMu.Unlock()
	if unreadable {
		s.poison = append(s.poison, coordinates{r.Topic, r.Partition, r.Offset})
	}
	s.ownRecords[coordinates{r.Topic, r.Partition, r.Offset}] = true
}

// readers are those whose dead-letter topics the poison must reach: that of a type which this service reads.
var readers = map[string]string{topicOrders: "order-events.inventory.dlq", topicShipping: "shipping-events.shipping.dlq"}

// checkPoison wants a dead letter of each unreadable record (I9).
func checkPoison(v *verdict, poison []coordinates, letters map[coordinates]bool) {
	for _, c := range poison {
		if !letters[c] {
			v.say("I9", "", "%s/%d@%d cannot be read, and %s has no dead letter of it", c.Topic, c.Partition, c.Offset, readers[c.Topic])
			v.found[len(v.found)-1].record = &c
		}
	}
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
