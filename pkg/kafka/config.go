package kafka

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// Config says how to reach the brokers, and how topics are created.
type Config struct {
	Brokers          []string `env:"KAFKA_BROKERS,required"`
	TLS              bool     `env:"KAFKA_TLS"`
	TLSCAFile        string   `env:"KAFKA_TLS_CA_FILE"`
	SASLMechanism    string   `env:"KAFKA_SASL_MECHANISM"` // SCRAM-SHA-256 or SCRAM-SHA-512; empty: none
	SASLUsername     string   `env:"KAFKA_SASL_USERNAME"`
	SASLPassword     string   `env:"KAFKA_SASL_PASSWORD"`
	SASLPasswordFile string   `env:"KAFKA_SASL_PASSWORD_FILE"`
	// GroupInstanceID makes a consumer group member a static one (KIP-345): started again within the session time-out,
	// after a crash, it has its partitions at once. It must be unique in the group; empty: a dynamic member.
	GroupInstanceID  string        `env:"KAFKA_GROUP_INSTANCE_ID"`
	TopicPartitions  int32         `env:"KAFKA_TOPIC_PARTITIONS" envDefault:"12"`
	TopicReplication int16         `env:"KAFKA_TOPIC_REPLICATION" envDefault:"1"`
	TopicMinISR      int16         `env:"KAFKA_TOPIC_MIN_ISR" envDefault:"1"`
	TopicRetention   time.Duration `env:"KAFKA_TOPIC_RETENTION" envDefault:"168h"`
}

// instanceID is what brokers and sarama take.
var instanceID = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,249}$`)

// Validate tells everything that is wrong, each with its variable and what is allowed.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Brokers) == 0 {
		wrong("KAFKA_BROKERS is empty: want host:port, comma separated")
	}
	for _, b := range c.Brokers {
		if !strings.Contains(b, ":") {
			wrong("KAFKA_BROKERS holds %q: want host:port, comma separated", b)
		}
	}
	if c.TLSCAFile != "" && !c.TLS {
		wrong("KAFKA_TLS_CA_FILE is set and KAFKA_TLS is not true: a connection without TLS would be made")
	}
	switch c.SASLMechanism {
	case "":
		if c.SASLUsername != "" || c.SASLPassword != "" || c.SASLPasswordFile != "" {
			wrong("KAFKA_SASL_MECHANISM is empty and a user or password is set: want SCRAM-SHA-256 or SCRAM-SHA-512")
		}
	case scramSHA256, scramSHA512:
		if c.SASLUsername == "" {
			wrong("KAFKA_SASL_USERNAME is empty: %s wants one", c.SASLMechanism)
		}
		if (c.SASLPassword == "") == (c.SASLPasswordFile == "") {
			wrong("KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE: want exactly one of them")
		}
	default:
		wrong("KAFKA_SASL_MECHANISM is %q: want SCRAM-SHA-256 or SCRAM-SHA-512", c.SASLMechanism)
	}
	if !instanceID.MatchString(c.GroupInstanceID) {
		wrong("KAFKA_GROUP_INSTANCE_ID is %q: want up to 249 of a-z A-Z 0-9 . _ -", c.GroupInstanceID)
	}
	if c.TopicPartitions < 1 {
		wrong("KAFKA_TOPIC_PARTITIONS is %d: want 1 or more", c.TopicPartitions)
	}
	if c.TopicReplication < 1 {
		wrong("KAFKA_TOPIC_REPLICATION is %d: want 1 or more", c.TopicReplication)
	}
	if c.TopicMinISR < 1 || c.TopicMinISR > c.TopicReplication {
		wrong("KAFKA_TOPIC_MIN_ISR is %d: want 1 to KAFKA_TOPIC_REPLICATION (%d)", c.TopicMinISR, c.TopicReplication)
	}
	if c.TopicRetention < time.Minute {
		wrong("KAFKA_TOPIC_RETENTION is %s: want a minute or more", c.TopicRetention)
	}
	return errors.Join(errs...)
}

func (c Config) password() (string, error) {
	if c.SASLPasswordFile == "" {
		return c.SASLPassword, nil
	}
	raw, err := os.ReadFile(c.SASLPasswordFile)
	if err != nil {
		return "", fmt.Errorf("KAFKA_SASL_PASSWORD_FILE: %w", err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}
