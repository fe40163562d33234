package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/orderwire/orderwire/pkg/kafka"
)

// cable is a network between a client and a broker that can be cut.
type cable struct {
	broker kfake.VirtualNetwork

	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

var errCut = errors.New("the cable is cut")

func (c *cable) Dial(network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isCut {
		return nil, errCut
	}
	conn, err := c.broker.DialContext(context.Background(), network, addr)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for _, conn := range c.conns {
		conn.Close() // that is the point
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = false
}

// TestProducer_ABacklogGoesOutSoonAfterAnOutage: with the broker away for however long, forty records a second wait in the
// client or are sent again by who handed them over; soon after it is back all are in the log. What a relay waits between
// two tries is not in the way. The clock is a fake one.
func TestProducer_ABacklogGoesOutSoonAfterAnOutage(t *testing.T) {
	for _, outage := range []time.Duration{5 * time.Second, 32 * time.Second, 47 * time.Second, time.Minute, 72 * time.Second, 3 * time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := &cable{}
				cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(19092), kfake.ListenFn(wire.broker.Listen), kfake.SeedTopics(12, "orders"))
				require.NoError(t, err)
				defer cluster.Close()
				p := newBacklog(t, wire)
				defer p.close(t)

				p.fill(2 * time.Second)
				wire.cut()
				p.fill(outage)
				wire.mend()
				mended := time.Now()
				p.acked.Wait()
				require.Less(t, time.Since(mended), 4*time.Second)
				require.NotContains(t, p.causes, "circuit breaker is open", "it refuses what the broker would take")
			})
		})
	}
}

// backlog is a producer with somebody behind it who sends again what is not acknowledged.
type backlog struct {
	client  sarama.Client
	async   sarama.AsyncProducer
	n       int
	acked   sync.WaitGroup // all that was handed over
	answers sync.WaitGroup
	causes  map[string]int // of failures
}

func newBacklog(t *testing.T, wire *cable) *backlog {
	t.Helper()
	config, err := kafka.ProducerConfig(kafka.Config{}, "test", nil)
	require.NoError(t, err)
	config.Net.Proxy.Enable, config.Net.Proxy.Dialer = true, wire
	b := &backlog{causes: map[string]int{}}
	b.client, err = sarama.NewClient([]string{"localhost:19092"}, config)
	require.NoError(t, err)
	b.async, err = sarama.NewAsyncProducerFromClient(b.client)
	require.NoError(t, err)
	b.answers.Go(func() {
		for range b.async.Successes() {
			b.acked.Done()
		}
	})
	b.answers.Go(func() {
		for failed := range b.async.Errors() {
			b.causes[failed.Err.Error()]++
			again := *failed.Msg
			time.AfterFunc(time.Second, func() {
				b.async.Input() <- &sarama.ProducerMessage{Topic: again.Topic, Key: again.Key, Value: again.Value}
			})
		}
	})
	return b
}

// fill hands records over for a while. Who hands one over may have to wait.
func (b *backlog) fill(lasts time.Duration) {
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		b.n++
		key := sarama.StringEncoder(fmt.Sprint(b.n))
		b.acked.Add(1)
		go func() { b.async.Input() <- &sarama.ProducerMessage{Topic: "orders", Key: key, Value: key} }()
	}
}

func (b *backlog) close(t *testing.T) {
	t.Helper()
	b.async.AsyncClose()
	b.answers.Wait()
	require.NoError(t, b.client.Close())
}
