package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Log says which log it is: a topic that was deleted and created again has another ID.
type Log struct {
	ClusterID  string
	TopicID    [16]byte
	Partitions int32
}

var errNoBroker = errors.New("no broker answers")

// Describe asks a broker about topics, every time anew. A topic that is not there is an error.
func (r *Reader) Describe(ctx context.Context, topics ...string) (map[string]Log, error) {
	return await(ctx, func() (map[string]Log, error) {
		broker := r.client.LeastLoadedBroker()
		if broker == nil {
			return nil, errNoBroker
		}
		answer, err := broker.GetMetadata(sarama.NewMetadataRequest(r.client.Config().Version, topics))
		if err != nil {
			_ = broker.Close() // it is opened again when it is asked again
			return nil, fmt.Errorf("ask %s about topics: %w", broker.Addr(), err)
		}
		logs := make(map[string]Log, len(topics))
		for _, t := range answer.Topics {
			if !errors.Is(t.Err, sarama.ErrNoError) {
				return nil, fmt.Errorf("ask about topic %s: %w", t.Name, t.Err)
			}
			l := Log{TopicID: t.Uuid, Partitions: int32(len(t.Partitions))}
			if answer.ClusterID != nil {
				l.ClusterID = *answer.ClusterID
			}
			logs[t.Name] = l
		}
		if len(logs) != len(topics) {
			return nil, fmt.Errorf("ask about topics %v: %w", topics, sarama.ErrIncompleteResponse)
		}
		return logs, nil
	})
}

// Oldest and Newest stand for the ends of a partition where an offset is asked for.
const (
	Oldest = sarama.OffsetOldest
	Newest = sarama.OffsetNewest
)

// Offsets gives the offset at one of the ends of each partition: the first that is there, or the next that will be.
func (r *Reader) Offsets(ctx context.Context, partitions []Partition, end int64) (map[Partition]int64, error) {
	return r.offsets(ctx, partitions, end)
}

// OffsetsAt gives the offset of the first record of each partition that is not older than t; -1 where there is none.
func (r *Reader) OffsetsAt(ctx context.Context, partitions []Partition, t time.Time) (map[Partition]int64, error) {
	return r.offsets(ctx, partitions, max(t.UnixMilli(), 0))
}

// offsets asks each leader, and once more where that fails: a connection that was idle for long may have been closed, or
// the partition has another leader.
func (r *Reader) offsets(ctx context.Context, partitions []Partition, at int64) (map[Partition]int64, error) {
	found, err := r.ask(ctx, partitions, at)
	if err != nil && ctx.Err() == nil {
		return r.ask(ctx, partitions, at)
	}
	return found, err
}

func (r *Reader) ask(ctx context.Context, partitions []Partition, at int64) (map[Partition]int64, error) {
	return await(ctx, func() (map[Partition]int64, error) {
		requests := map[*sarama.Broker]*sarama.OffsetRequest{}
		for _, p := range partitions {
			leader, err := r.client.Leader(p.Topic, p.Number)
			if err != nil {
				return nil, fmt.Errorf("find the leader of %s/%d: %w", p.Topic, p.Number, err)
			}
			if requests[leader] == nil {
				requests[leader] = sarama.NewOffsetRequest(r.client.Config().Version)
			}
			requests[leader].AddBlock(p.Topic, p.Number, at, 1)
		}
		answers := make([]*sarama.OffsetResponse, 0, len(requests))
		for leader, request := range requests {
			answer, err := leader.GetAvailableOffsets(request)
			if err != nil {
				_ = leader.Close() // it is opened again when it is asked again
				return nil, fmt.Errorf("ask %s for offsets: %w", leader.Addr(), err)
			}
			answers = append(answers, answer)
		}
		found := make(map[Partition]int64, len(partitions))
		for _, p := range partitions {
			for _, answer := range answers {
				block := answer.GetBlock(p.Topic, p.Number)
				if block == nil {
					continue
				}
				if !errors.Is(block.Err, sarama.ErrNoError) {
					_ = r.client.RefreshMetadata(p.Topic) // it may have another leader
					return nil, fmt.Errorf("ask for offsets of %s/%d: %w", p.Topic, p.Number, block.Err)
				}
				found[p] = block.Offset
			}
			if _, ok := found[p]; !ok {
				return nil, fmt.Errorf("ask for offsets of %s/%d: %w", p.Topic, p.Number, sarama.ErrIncompleteResponse)
			}
		}
		return found, nil
	})
}
