package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// Ping tells whether one of the brokers answers before ctx ends. A client's own connections do not tell: with all of them
// gone sarama keeps a consumer's session for a minute and more, trying again.
func Ping(ctx context.Context, brokers []string, s *sarama.Config) error {
	once := *s
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline), time.Millisecond)
		once.Net.DialTimeout, once.Net.ReadTimeout, once.Net.WriteTimeout = left, left, left
	}
	answers := make(chan error, len(brokers))
	for _, addr := range brokers {
		go func() { answers <- ping(addr, &once) }()
	}
	var errs []error
	for range brokers {
		select {
		case err := <-answers:
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		case <-ctx.Done():
			return fmt.Errorf("no broker has answered: %w", ctx.Err())
		}
	}
	return errors.Join(errs...)
}

func ping(addr string, s *sarama.Config) error {
	b := sarama.NewBroker(addr)
	if err := b.Open(s); err != nil {
		return fmt.Errorf("broker %s: %w", addr, err)
	}
	defer b.Close() // nothing is on its way
	if _, err := b.ApiVersions(&sarama.ApiVersionsRequest{}); err != nil {
		return fmt.Errorf("broker %s: %w", addr, err)
	}
	return nil
}

// leaveWithin is how long each answer may take when a group is left: others wait for this end, too.
const leaveWithin = 2 * time.Second

// LeaveGroup takes a static member out of its group, so that its partitions move on at once: sarama leaves it in. A
// member that was replaced meanwhile is fenced and stays.
func LeaveGroup(brokers []string, s *sarama.Config, group, memberID string) error {
	once := *s
	once.Metadata.Retry.Max = 0
	once.Net.DialTimeout, once.Net.ReadTimeout, once.Net.WriteTimeout = leaveWithin, leaveWithin, leaveWithin
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
