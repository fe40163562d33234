package kafka

import (
	"fmt"

	"github.com/IBM/sarama"
)

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
