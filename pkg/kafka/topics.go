package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
// ends, logs now and then what it waits for, and says in the end if one has another number of partitions (PartitionsError).
func EnsureTopics(ctx context.Context, c Config, clientID string, log *slog.Logger, topics ...Topic) error {
	for try := 0; ; try++ {
		err := ensureTopics(c, clientID, topics)
		var wrong *PartitionsError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		if try%10 == 0 && !errors.Is(err, errTopicsNotThere) {
			log.Warn("waiting for topics", "brokers", c.Brokers, "error", err)
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
		return 20 * time.Millisecond
	}
	return backoff(try, 0)
}

var errTopicsNotThere = errors.New("topics are not there yet")

// ensureTopics looks once, and asks for all that is missing in one request: a broker takes about as long for many
// topics as for one.
func ensureTopics(c Config, clientID string, topics []Topic) error {
	s, err := base(c, clientID)
	if err != nil {
		return err
	}
	s.Metadata.Retry.Max = 1 // the loop above is patient, and ends with its context
	client, err := sarama.NewClient(c.Brokers, s)
	if err != nil {
		return fmt.Errorf("connect to Kafka at %v: %w", c.Brokers, err)
	}
	defer client.Close()
	controller, err := client.Controller()
	if err != nil {
		return fmt.Errorf("find Kafka's controller: %w", err)
	}
	missing, wrong, err := missingTopics(controller, s.Version, topics)
	if err != nil {
		return err
	}
	if len(missing) == 0 { // what is missing is made first: a reader lives with another number of partitions
		return wrong
	}
	made, err := controller.CreateTopics(sarama.NewCreateTopicsRequest(s.Version, missing, s.Admin.Timeout, false))
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for name := range missing {
		answer := made.TopicErrors[name]
		switch {
		case answer == nil:
			return fmt.Errorf("create topic %s: %w", name, sarama.ErrIncompleteResponse)
		case answer.Err != sarama.ErrNoError && answer.Err != sarama.ErrTopicAlreadyExists:
			return fmt.Errorf("create topic %s: %w", name, answer)
		}
	}
	return errTopicsNotThere // look again: creation is not finished when it is answered, and a twin may have been faster
}

// missingTopics gives those that are not there, and says if one is there otherwise.
func missingTopics(controller *sarama.Broker, version sarama.KafkaVersion, topics []Topic) (missing map[string]*sarama.TopicDetail, wrong, err error) {
	wanted, names := map[string]Topic{}, make([]string, 0, len(topics))
	for _, t := range topics {
		wanted[t.Name] = t
		names = append(names, t.Name)
	}
	request := sarama.NewMetadataRequest(version, names)
	request.AllowAutoTopicCreation = false
	answer, err := controller.GetMetadata(request)
	if err != nil {
		return nil, nil, fmt.Errorf("look up topics: %w", err)
	}
	missing = map[string]*sarama.TopicDetail{}
	for _, have := range answer.Topics {
		t := wanted[have.Name]
		switch partitions := int32(len(have.Partitions)); { //nolint:gosec // a broker's own count
		case have.Err == sarama.ErrUnknownTopicOrPartition:
			missing[t.Name] = t.detail()
		case have.Err != sarama.ErrNoError && have.Err != sarama.ErrLeaderNotAvailable:
			return nil, nil, fmt.Errorf("look up topic %s: %w", t.Name, have.Err)
		case partitions != t.Partitions:
			wrong = &PartitionsError{t.Name, t.Partitions, partitions}
		}
	}
	return missing, wrong, nil
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
