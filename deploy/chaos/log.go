package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The topics of events.
const (
	topicOrders   = "order-events"
	topicShipping = "shipping-events"
)

// record is what the check needs of one record of the log.
type record struct {
	lane
	Partition int32
	Offset    int64
	Sequence  string
	Type      string
	Customer  string
}

// readLog reads both topics from their start to their present end, each partition in order.
func (s *system) readLog(ctx context.Context) ([]record, error) {
	var all []record
	err := s.readTopics(ctx, []string{topicOrders, topicShipping}, func(r *kgo.Record) { all = append(all, recordOf(r)) })
	return all, err
}

// deadLetters gives all there are, and of each whether its record had the mark of what the harness makes up.
func (s *system) deadLetters(ctx context.Context) (map[grave]bool, error) {
	letters := map[grave]bool{}
	return letters, s.readTopics(ctx, graveyards, func(r *kgo.Record) {
		if header(r, "dlq-decision") != "" {
			return // of orderctl dlq, behind a letter
		}
		g := grave{coordinates{header(r, "dlq-topic"), -1, -1}, r.Topic}
		fmt.Sscan(header(r, "dlq-partition"), &g.Partition) //nolint:errcheck // what is no number matches nothing
		fmt.Sscan(header(r, "dlq-offset"), &g.Offset)       //nolint:errcheck // what is no number matches nothing
		letters[g] = letters[g] || header(r, ownHeader) != ""
	})
}

// readTopics reads topics from their start to their present end, each partition in order.
func (s *system) readTopics(ctx context.Context, names []string, take func(*kgo.Record)) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.stack.Broker.Brokers...), kgo.ConsumeTopics(names...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer kafka.Close()
	left, err := ends(ctx, kafka, names)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := kafka.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("read the log: %w; %d partitions are not read to their end", ctx.Err(), len(left))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p := partition{r.Topic, r.Partition}
			if end, ok := left[p]; ok && r.Offset >= end-1 {
				delete(left, p)
			}
			take(r)
		})
	}
	return nil
}

type partition struct {
	topic string
	n     int32
}

// ends gives the end offset of each partition that has a record.
func ends(ctx context.Context, kafka *kgo.Client, names []string) (map[partition]int64, error) {
	meta := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		meta.Topics = append(meta.Topics, t)
	}
	answer, err := meta.RequestWith(ctx, kafka)
	if err != nil {
		return nil, fmt.Errorf("ask for the partitions: %w", err)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	for _, t := range answer.Topics {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = *t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = p.Partition, -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	left := map[partition]int64{}
	for _, shard := range kafka.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, fmt.Errorf("ask for the ends: %w", shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					return nil, fmt.Errorf("ask for the end of %s/%d: error %d", t.Topic, p.Partition, p.ErrorCode)
				}
				if p.Offset > 0 {
					left[partition{t.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	return left, nil
}

func recordOf(r *kgo.Record) record {
	out := record{lane: lane{Topic: r.Topic}, Partition: r.Partition, Offset: r.Offset}
	for _, h := range r.Headers {
		v := string(h.Value)
		switch h.Key {
		case "ce_source":
			out.Source = v
		case "ce_subject":
			out.Order = v
		case "ce_sequence":
			out.Sequence = v
		case "ce_type":
			out.Type = v
		case "ce_customerid":
			out.Customer = v
		}
	}
	return out
}

// shownTo tells whether a watcher may see the event: a customer its own, and not what services say to each other.
func (r record) shownTo(customer string) bool {
	if customer == "" {
		return true
	}
	return r.Customer == customer && (!strings.HasPrefix(r.Type, "shipment-") || !strings.HasSuffix(r.Type, "-requested"))
}
