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
