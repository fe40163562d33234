package kafka

import (
	"fmt"

	"github.com/IBM/sarama"
)

// Reach asks one of the brokers once and says why none answers. A client itself is made without a broker at hand, and
// is patient later on: too patient for somebody who may be told to stop meanwhile.
func Reach(brokers []string, s *sarama.Config) error {
	once := *s
	once.Metadata.Retry.Max = 0
	once.Metadata.Full = true
	client, err := sarama.NewClient(brokers, &once)
	if err != nil {
		return fmt.Errorf("reach Kafka at %v: %w", brokers, err)
	}
	return client.Close()
}

// LeaveGroup takes a static member out of its group, so that its partitions move on at once: sarama leaves it in. A
// member that was replaced meanwhile is fenced and stays.
func LeaveGroup(brokers []string, s *sarama.Config, group, memberID string) error {
	once := *s
	once.Metadata.Retry.Max = 0
	client, err := sarama.NewClient(brokers, &once)
	if err != nil {
		return fmt.Errorf("reach Kafka at %v: %w", brokers, err)
	}
	defer client.Close()
	coordinator, err := client.Coordinator(group)
	if err != nil {
		return fmt.Errorf("find the coordinator of group %s: %w", group, err)
	}
	instance := s.Consumer.Group.InstanceId
	answer, err := coordinator.LeaveGroup(&sarama.LeaveGroupRequest{
		Version: 3, GroupId: group, Members: []sarama.MemberIdentity{{MemberId: memberID, GroupInstanceId: &instance}},
	})
	if err != nil {
		return fmt.Errorf("leave group %s: %w", group, err)
	}
	for _, m := range answer.Members {
		if m.Err != sarama.ErrNoError {
			return fmt.Errorf("leave group %s: %w", group, m.Err)
		}
	}
	if answer.Err != sarama.ErrNoError {
		return fmt.Errorf("leave group %s: %w", group, answer.Err)
	}
	return nil
}

// NewClient gives a client for readers without a group and for tools; it sees committed records only.
func NewClient(c Config, clientID string) (sarama.Client, error) {
	s, err := ReaderConfig(c, clientID)
	if err != nil {
		return nil, err
	}
	client, err := sarama.NewClient(c.Brokers, s)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka at %v: %w", c.Brokers, err)
	}
	return client, nil
}
