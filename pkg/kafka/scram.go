package kafka

import (
	"fmt"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

const (
	scramSHA256 = sarama.SASLTypeSCRAMSHA256
	scramSHA512 = sarama.SASLTypeSCRAMSHA512
)

// newSCRAM gives what sarama needs for SCRAM (RFC 5802, RFC 7677) and does not bring itself.
func newSCRAM(mechanism string) func() sarama.SCRAMClient {
	hash := scram.SHA256
	if mechanism == scramSHA512 {
		hash = scram.SHA512
	}
	return func() sarama.SCRAMClient { return &scramClient{hash: hash} }
}

type scramClient struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (s *scramClient) Begin(user, password, authzID string) error {
	client, err := s.hash.NewClient(user, password, authzID)
	if err != nil {
		return fmt.Errorf("SCRAM for %s: %w", user, err)
	}
	s.ClientConversation = client.NewConversation()
	return nil
}
