package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/orderwire/orderwire/deploy/stack"
)

// What the broker is asked for while it answers with an error.
const (
	askProduce     = "produce"
	askFetch       = "fetch"
	askGroup       = "group"       // heartbeats and commits of offsets
	askCommit      = "commit"      // commits of offsets
	askCoordinator = "coordinator" // and who coordinates a group
)

// kafkaErrors are the answers of a broker that clients must live with. The broker does nothing of what it was asked for,
// but for REQUEST_TIMED_OUT and NOT_ENOUGH_REPLICAS_AFTER_APPEND, which it says after it has done it.
var kafkaErrors = map[string][]*kerr.Error{
	askProduce: {
		kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.OutOfOrderSequenceNumber,
		kerr.InvalidProducerEpoch, kerr.UnknownProducerID, kerr.MessageTooLarge, kerr.TopicAuthorizationFailed,
	},
	askFetch:       {kerr.OffsetOutOfRange, kerr.NotLeaderForPartition},
	askGroup:       {kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID},
	askCommit:      {kerr.RequestTimedOut},
	askCoordinator: {kerr.CoordinatorNotAvailable},
}

// onlyKfake tells whether the broker can be told what to answer.
func onlyKfake(t terrain) bool { return t.kafka == stack.KafkaFake }

// F9: the broker answers with an error, to so many requests, about one partition or all of a topic, or about one group.
func drawKafkaError(d *drawer) {
	asks := slices.Sorted(maps.Keys(kafkaErrors))
	d.every(500*time.Millisecond, 4*time.Second, func(at time.Duration) {
		ask := askProduce
		if d.r.IntN(2) == 0 {
			ask = d.one(asks...)
		}
		of := kafkaErrors[ask]
		answer := of[d.r.IntN(len(of))].Message
		lasts, n := d.between(500*time.Millisecond, 4*time.Second), 1+d.r.IntN(20)
		switch ask {
		case askProduce, askFetch:
			which := "all"
			if d.r.IntN(2) == 0 {
				which = strconv.Itoa(d.r.IntN(partitions))
			}
			d.add(at, lasts, answer, n, ask, d.one(topicOrders, topicShipping), which)
		default:
			d.add(at, lasts, answer, n, ask, d.one(consumers...))
		}
	})
}

func doKafkaError(ctx context.Context, b *breaker, i Injection) (healer, error) {
	broker := b.sys.stack.Broker.Fake()
	if broker == nil {
		return nil, errNothingToBreak // it answers nothing at all
	}
	return answerWith(ctx, broker, i)
}

// answerWith waits for the first such answer as long as there shall be any, and lets them go on for as long after it.
func answerWith(ctx context.Context, broker *kfake.Cluster, i Injection) (healer, error) {
	faults, err := kafkaFaults(i)
	if err != nil {
		return nil, err
	}
	var all []*kfake.FaultHandle
	for _, f := range faults {
		all = append(all, broker.Fault(f))
	}
	heal := func(context.Context) {
		for _, h := range all {
			h.Remove()
		}
	}
	if err := hit(ctx, all[len(all)-1], time.Duration(i.For)); err != nil {
		heal(ctx)
		return heal, err
	}
	return heal, nil
}

// hit waits until a request was answered so.
func hit(ctx context.Context, h *kfake.FaultHandle, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if h.Wait(ctx, 1) != nil {
		return errNothingToBreak
	}
	return nil
}

// kafkaFaults is the injection as kfake wants it; the answer itself is the last of them.
func kafkaFaults(i Injection) ([]kfake.Fault, error) {
	ask, of := i.Target[0], i.Target[1]
	n := slices.IndexFunc(kafkaErrors[ask], func(e *kerr.Error) bool { return e.Message == i.Variant })
	if n < 0 {
		return nil, fmt.Errorf("a broker does not answer %s to %s", i.Variant, ask)
	}
	f := kfake.Fault{Err: kafkaErrors[ask][n], Count: i.N}
	switch ask {
	case askProduce, askFetch:
		f.Keys, f.Topic, f.When = []kmsg.Key{kmsg.Fetch}, of, notOurs
		if ask == askProduce {
			f.Keys = []kmsg.Key{kmsg.Produce}
		}
		if which, err := strconv.ParseInt(i.Target[2], 10, 32); err == nil {
			f.Partitions = []int32{int32(which)}
		}
	case askGroup: // a heartbeat has one error code for all of it
		f.Keys, f.Group = []kmsg.Key{kmsg.OffsetCommit, kmsg.Heartbeat}, of
	case askCommit:
		f.Keys, f.Group = []kmsg.Key{kmsg.OffsetCommit}, of
	case askCoordinator: // it is asked for only when the one that was known is none any more
		f.Keys, f.Group = []kmsg.Key{kmsg.FindCoordinator}, of
		lost := kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit, kmsg.Heartbeat}, Group: of, Err: kerr.NotCoordinator}
		return []kfake.Fault{lost, f}, nil
	}
	return []kfake.Fault{f}, nil
}

// ourProduceTimeout marks what the harness itself writes: what a broker answers to that is not what is tested, and the
// harness must know what it wrote.
const ourProduceTimeout = 9 * time.Second

// notOurs leaves out the harness's own requests.
func notOurs(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return !ok || p.TimeoutMillis != int32(ourProduceTimeout.Milliseconds())
}
