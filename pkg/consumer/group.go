package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// Config of a group.
type Config struct {
	Group  string
	Topics []string
	// Wants tells by the headers whether a record is of any interest; nil: all are. What is not wanted is counted.
	Wants func(*Record) bool
	// MaxRecords and MaxBytes limit a batch; 1000 and 8 MiB unless set.
	MaxRecords, MaxBytes int
	// HandlerTimeout is the time a batch may take; 8 s unless set. It must stay below half of the rebalance time-out:
	// after that a partition has two owners.
	HandlerTimeout time.Duration
	// Within is the time that the process has to end. A batch in flight goes on for a quarter of it when its session ends,
	// at a rebalance as well, and for 2 s at most, which it has unless this is set.
	Within time.Duration
}

// maxGrace is what a batch in flight gets at most when its session ends: most are done in far less, and are not done again
// then. After it the batch is cancelled, and ends its transaction.
const maxGrace = 2 * time.Second

func (c Config) grace() time.Duration {
	if c.Within == 0 {
		return maxGrace
	}
	return min(maxGrace, c.Within/4)
}

func (c Config) withDefaults() Config {
	if c.MaxRecords == 0 {
		c.MaxRecords = 1000
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 8 << 20
	}
	if c.HandlerTimeout == 0 {
		c.HandlerTimeout = 8 * time.Second
	}
	if c.Wants == nil {
		c.Wants = func(*Record) bool { return true }
	}
	return c
}

// sender writes dead letters.
type sender interface {
	SendAll(ctx context.Context, ms []*kafka.Message) []error
}

// Group is one member of a consumer group.
type Group struct {
	config   Config
	kafka    kafka.Config
	sarama   *sarama.Config
	handler  Handler
	producer sender
	log      *slog.Logger
	metrics  *metrics
	session  atomic.Pointer[session] // nil between two: there is one at a time
	memberID atomic.Pointer[string]  // the last one
}

// New gives a member; Run joins. p must place the records of the group's dead-letter and retry topics by hand
// (ManualTopics).
func New(k kafka.Config, c Config, h Handler, p *kafka.Producer, log *slog.Logger, reg prometheus.Registerer) (*Group, error) {
	s, err := kafka.GroupConfig(k, c.Group)
	if err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if c.HandlerTimeout >= kafka.RebalanceTimeout/2 {
		return nil, fmt.Errorf("handler time-out %s: want less than %s, half of the rebalance time-out", c.HandlerTimeout, kafka.RebalanceTimeout/2)
	}
	return &Group{
		config: c, kafka: k, sarama: s, handler: h, producer: p,
		log: log.With("group", c.Group), metrics: newMetrics(reg),
	}, nil
}

// ErrNotJoined says that this member has no assignment at the moment.
var ErrNotJoined = errors.New("not a member of the consumer group")

// Reachable tells whether a broker answers.
func (g *Group) Reachable(ctx context.Context) error {
	return kafka.Ping(ctx, g.kafka.Brokers, g.sarama)
}

// Joined tells whether this member takes part; an assignment without partitions counts. While others come, go or have
// crashed it may take no part for as long as the session and the rebalance time-out together: that is no reason to
// answer no requests.
func (g *Group) Joined(context.Context) error {
	if g.session.Load() == nil {
		return ErrNotJoined
	}
	return nil
}

// Run creates the topics that are missing, those of the group (AllTopics) and those that it reads, joins, and handles
// records until ctx ends; then it finishes the batch in flight, commits and leaves, all in a few seconds. It waits for
// brokers for as long as it takes; a topic of another number of partitions is an error (kafka.PartitionsError).
func (g *Group) Run(ctx context.Context) error {
	wanted := append(g.kafka.Topics(g.config.Topics...), AllTopics(g.kafka, g.config)...)
	if err := kafka.EnsureTopics(ctx, g.kafka, g.config.Group, g.log, wanted...); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // told to stop while waiting
		}
		return fmt.Errorf("ensure topics: %w", err)
	}
	for try := 0; ctx.Err() == nil; try++ {
		err := kafka.Reach(g.kafka.Brokers, g.sarama)
		if err == nil {
			var client *kafka.Client
			if client, err = kafka.Open(g.kafka.Brokers, g.sarama, g.log); err == nil {
				if err = g.member(ctx, client); err == nil {
					continue
				}
			}
		}
		if try%10 == 0 {
			g.log.Warn("no broker yet", "brokers", g.kafka.Brokers, "error", err)
		}
		sleep(ctx, wait(try))
	}
	return nil
}

// member consumes with a client until ctx ends, and closes it.
func (g *Group) member(ctx context.Context, client *kafka.Client) error {
	group, err := sarama.NewConsumerGroupFromClient(g.config.Group, client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	watching, stop := context.WithCancel(ctx)
	go g.watchEnds(watching, client) // it may be in a request still when the client is closed
	g.consume(ctx, client, group)
	stop()
	if err := client.Close(); err != nil {
		g.log.Warn("close the consumer group's client", "error", err)
	}
	return nil
}

// consume stays in the group until ctx ends. sarama's Consume returns at every rebalance.
func (g *Group) consume(ctx context.Context, client *kafka.Client, group sarama.ConsumerGroup) {
	errs := make(chan struct{})
	go func() {
		defer close(errs)
		for err := range group.Errors() {
			g.metrics.clientErrors.Inc()
			g.log.Warn("the consumer group's client has an error", "error", err)
		}
	}()
	topics := append([]string{RetryTopic(g.config.Group)}, g.config.Topics...)
	for try := 0; ctx.Err() == nil; try++ {
		begun := time.Now()
		err := g.stay(ctx, group, topics)
		if errors.Is(err, errAbandoned) {
			g.log.Warn("ends without leaving the consumer group, which is rebalancing or has a broker that hangs; others have its partitions after the session time-out")
			return
		}
		if time.Since(begun) > time.Second {
			try = 0
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			g.log.Warn("left the consumer group and will join again", "error", err)
		}
		if err != nil || time.Since(begun) <= time.Second {
			sleep(ctx, wait(try))
		}
	}
	if err := client.End(group, closing); err != nil {
		g.log.Warn("close the consumer group", "error", err)
		return
	}
	<-errs
	if id := g.memberID.Load(); id != nil && g.sarama.Consumer.Group.InstanceId != "" {
		if err := kafka.LeaveGroup(g.kafka.Brokers, g.sarama, g.config.Group, *id); err != nil {
			g.log.Warn("leave the consumer group", "error", err)
		}
	}
}

// closing is how long a group may take to say that it leaves.
const closing = 2 * time.Second

// leaving is how long a member that ends waits for its batch in flight, which has its grace, and for the last commit.
const leaving = maxGrace + 3*time.Second

var errAbandoned = errors.New("the client does not come back")

// stay is one time in the group. sarama cannot be called back from a rebalance, which waits for a member that has crashed
// until the session time-out: the parts that end after this one need that time, so it is left behind then.
func (g *Group) stay(ctx context.Context, group sarama.ConsumerGroup, topics []string) error {
	done := make(chan error, 1)
	go func() { done <- group.Consume(ctx, topics, &members{g}) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(leaving)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errAbandoned
	}
}

// wait doubles from 100 ms to 5 s with jitter.
func wait(failures int) time.Duration {
	d := min(100*time.Millisecond<<min(failures, 10), 5*time.Second)
	return d/2 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
