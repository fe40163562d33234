package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// role gives the broker that has it: the leader of the first partition of orders, the coordinator of inventory's group,
// or the controller.
func (s *system) role(ctx context.Context, role string) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(s.stack.Broker.Brokers...))
	if err != nil {
		return 0, err
	}
	defer kafka.Close()
	if role == "coordinator" {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys = "inventory", []string{"inventory"}
		answer, err := req.RequestWith(ctx, kafka)
		if err != nil {
			return 0, err
		}
		if len(answer.Coordinators) > 0 {
			return answer.Coordinators[0].NodeID, nil
		}
		return answer.NodeID, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(topicOrders)
	req.Topics = append(req.Topics, topic)
	answer, err := req.RequestWith(ctx, kafka)
	if err != nil {
		return 0, fmt.Errorf("who is %s: %w", role, err)
	}
	if role == "controller" {
		return answer.ControllerID, nil
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if p.Partition == 0 {
				return p.Leader, nil
			}
		}
	}
	return 0, errors.New("nobody leads")
}
