package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The roles that one broker of a cluster has at a time.
const (
	roleLeader      = "leader"      // of the first partition of orders
	roleCoordinator = "coordinator" // of inventory's group
	roleController  = "controller"  // the one that is active
	roleFollower    = "follower"    // of that partition, and, where there is one, without any role of the above
)

var roles = []string{roleLeader, roleCoordinator, roleController, roleFollower}

// roleWait is how long somebody may take to say who has a role: while a broker is away, that is until an election is over.
const roleWait = 10 * time.Second

// role gives the broker that has it. It asks past the links, which may be broken, and again until one can say.
func (s *system) role(ctx context.Context, role string) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, roleWait)
	defer cancel()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.stack.Broker.Direct()...))
	if err != nil {
		return 0, err
	}
	defer kafka.Close()
	for {
		id, err := holder(ctx, kafka, role)
		if err == nil {
			return id, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("who is %s: %w", role, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func holder(ctx context.Context, kafka *kgo.Client, role string) (int32, error) {
	switch role {
	case roleCoordinator:
		return coordinator(ctx, kafka, "inventory")
	case roleController:
		return controller(ctx, kafka)
	case roleLeader:
		p, err := firstPartition(ctx, kafka)
		return p.Leader, err
	case roleFollower:
		p, err := firstPartition(ctx, kafka)
		if err != nil {
			return 0, err
		}
		return follower(ctx, kafka, p)
	default:
		return 0, fmt.Errorf("there is no role %q", role)
	}
}

// firstPartition describes the one that stands for all; an error where nobody leads it.
func firstPartition(ctx context.Context, kafka *kgo.Client) (kmsg.MetadataResponseTopicPartition, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(topicOrders)
	req.Topics = append(req.Topics, topic)
	answer, err := req.RequestWith(ctx, kafka)
	if err != nil {
		return kmsg.MetadataResponseTopicPartition{}, err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.Partition == 0 && p.Leader >= 0 {
				return p, nil
			}
		}
	}
	return kmsg.MetadataResponseTopicPartition{}, errors.New("nobody leads")
}

func coordinator(ctx context.Context, kafka *kgo.Client, group string) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	answer, err := req.RequestWith(ctx, kafka)
	if err != nil {
		return 0, err
	}
	if len(answer.Coordinators) > 0 {
		return answer.Coordinators[0].NodeID, kerr.ErrorForCode(answer.Coordinators[0].ErrorCode)
	}
	return answer.NodeID, kerr.ErrorForCode(answer.ErrorCode)
}

// controller asks the quorum: the controller in a broker's metadata is any broker that is alive, since clients have no
// business with the active one (KIP-590).
func controller(ctx context.Context, kafka *kgo.Client) (int32, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	answer, err := req.RequestWith(ctx, kafka)
	if err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return 0, err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			return p.LeaderID, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return 0, errors.New("the quorum does not describe itself")
}

// follower prefers one without another role, so that nothing but its replicas is missed.
func follower(ctx context.Context, kafka *kgo.Client, p kmsg.MetadataResponseTopicPartition) (int32, error) {
	followers := slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == p.Leader })
	if len(followers) == 0 {
		return 0, errors.New("nobody follows")
	}
	busy := map[int32]bool{}
	if id, err := coordinator(ctx, kafka, "inventory"); err == nil {
		busy[id] = true
	}
	if id, err := controller(ctx, kafka); err == nil {
		busy[id] = true
	}
	for _, id := range followers {
		if !busy[id] {
			return id, nil
		}
	}
	return followers[0], nil
}
