package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// Topic is a topic as it shall be.
type Topic struct {
	Name            string
	Partitions      int32
	Replication     int16
	MinISR          int16
	Retention       time.Duration
	MaxMessageBytes int
}

// Topics gives topics of these names as the configuration wants them.
func (c Config) Topics(names ...string) []Topic {
	topics := make([]Topic, 0, len(names))
	for _, name := range names {
		topics = append(topics, Topic{
			Name: name, Partitions: c.TopicPartitions, Replication: c.TopicReplication, MinISR: c.TopicMinISR,
			Retention: c.TopicRetention, MaxMessageBytes: MaxMessageBytes,
		})
	}
	return topics
}

// PartitionsError says that a topic exists with another number of partitions. Keys would move to other partitions and
// lose their order, so nothing is changed.
type PartitionsError struct {
	Topic      string
	Want, Have int32
}

func (e *PartitionsError) Error() string {
	return fmt.Sprintf("topic %s has %d partitions and KAFKA_TOPIC_PARTITIONS asks for %d: a keyed topic is never repartitioned", e.Topic, e.Have, e.Want)
}

// EnsureTopics creates the topics that are missing and waits until all are there. It waits for a broker until ctx
// ends, and refuses a topic with another number of partitions (PartitionsError).
func EnsureTopics(ctx context.Context, c Config, clientID string, topics ...Topic) error {
	for try := 0; ; try++ {
		err := ensureTopics(c, clientID, topics)
		var wrong *PartitionsError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ensure topics: %w", errors.Join(ctx.Err(), err))
		case <-time.After(pause(err, try)):
		}
	}
}

// pause is short while topics are being made, which takes a broker a fraction of a second: a first start waits for it.
func pause(err error, try int) time.Duration {
	if errors.Is(err, errTopicsNotThere) {
		try = 0
	}
	return backoff(try, 0)
}

var errTopicsNotThere = errors.New("topics are not there yet")

func ensureTopics(c Config, clientID string, topics []Topic) error {
	s, err := base(c, clientID)
	if err != nil {
		return err
	}
	s.Metadata.Retry.Max = 1 // the loop above is patient, and ends with its context
	admin, err := sarama.NewClusterAdmin(c.Brokers, s)
	if err != nil {
		return fmt.Errorf("connect to Kafka at %v: %w", c.Brokers, err)
	}
	defer admin.Close()
	have, err := admin.ListTopics()
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	created := false
	for _, t := range topics {
		if h, ok := have[t.Name]; ok {
			if h.NumPartitions != t.Partitions {
				return &PartitionsError{t.Name, t.Partitions, h.NumPartitions}
			}
			continue
		}
		if err := admin.CreateTopic(t.Name, t.detail(), false); err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.Name, err)
		}
		created = true
	}
	if created { // look again: creation is not finished when it is answered, and a twin may have been faster
		return errTopicsNotThere
	}
	return nil
}

func (t Topic) detail() *sarama.TopicDetail {
	entry := func(v string) *string { return &v }
	return &sarama.TopicDetail{
		NumPartitions: t.Partitions, ReplicationFactor: t.Replication,
		ConfigEntries: map[string]*string{
			// Never compacted: compaction by order id would drop other sources' events.
			"cleanup.policy":                 entry("delete"),
			"retention.ms":                   entry(strconv.FormatInt(t.Retention.Milliseconds(), 10)),
			"max.message.bytes":              entry(strconv.Itoa(t.MaxMessageBytes)),
			"min.insync.replicas":            entry(strconv.Itoa(int(t.MinISR))),
			"unclean.leader.election.enable": entry("false"),
		},
	}
}
