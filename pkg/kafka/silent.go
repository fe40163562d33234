package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// dialer makes the connections of a client's configuration and can end all that go to one broker.
type dialer struct {
	net.Dialer

	mu     sync.Mutex
	open   map[string]map[net.Conn]bool // by address
	silent map[string]bool              // addresses that are not dialed
}

// errSilent is what a client is told of a broker that the others do not count any more.
var errSilent = errors.New("the broker answers nobody, and the cluster goes on without it")

func newDialer(timeout time.Duration) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: timeout}, open: map[string]map[net.Conn]bool{}}
}

// Dial is what sarama calls.
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	d.mu.Lock()
	silent := d.silent[addr]
	d.mu.Unlock()
	if silent {
		return nil, errSilent
	}
	conn, err := d.Dialer.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[addr] == nil {
		d.open[addr] = map[net.Conn]bool{}
	}
	d.open[addr][conn] = true
	return &dialed{conn, d, addr}, nil
}

// dialed is a connection that its dialer knows of until it is closed.
type dialed struct {
	net.Conn
	dialer *dialer
	addr   string
}

// Close ends it.
func (c *dialed) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open[c.addr], c.Conn)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

// refuse says which addresses are not dialed from now on, and whether one of them was before.
func (d *dialer) refuse(silent map[string]bool) (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for addr := range silent {
		news = news || !d.silent[addr]
	}
	d.silent = silent
	return news
}

// hangUp ends the connections to what is not dialed any more: whatever was asked there fails at once.
func (d *dialer) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for addr := range d.silent {
		for conn := range d.open[addr] {
			conn.Close() // whoever reads from it hears of that
		}
		delete(d.open, addr)
	}
}

const (
	// pulseEvery is how often each broker of a cluster is asked whether it is there, and pulseWithin how long it may take.
	pulseEvery  = 3 * time.Second
	pulseWithin = 2 * time.Second
	// moveWithin is how long a client may take to learn of new leaders before it loses the connections to the old one.
	moveWithin = 500 * time.Millisecond
)

// AvoidSilent takes a client away from brokers that answer nothing and that the others do not count as alive, until ctx
// ends.
//
// A broker that is stopped in its tracks, or that a network has parted from the others, leaves its connections open. Its
// partitions and groups have new owners after broker.session.timeout.ms, but sarama waits Net.ReadTimeout for each answer,
// and a group's heartbeat asks the same broker again, Metadata.Retry.Max times: a service would stand still for minutes.
func AvoidSilent(ctx context.Context, client sarama.Client, log *slog.Logger) {
	d, ok := client.Config().Net.Proxy.Dialer.(*dialer)
	if !ok {
		return
	}
	p := newPulse(client.Config())
	defer p.close()
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		topics, err := client.Topics()
		if err != nil || len(topics) == 0 {
			continue
		}
		silent := p.silent(client.Brokers(), topics[0])
		if !d.refuse(silent) {
			continue
		}
		log.Warn("brokers answer nothing, and the cluster goes on without them", "silent", len(silent))
		moved := make(chan struct{})
		go func() {
			defer close(moved)
			if err := client.RefreshMetadata(topics[0]); err != nil { // forgets who is not there, and who leads what
				log.Debug("refresh metadata", "error", err)
			}
		}()
		select {
		case <-moved:
		case <-time.After(moveWithin): // it asks one of those that do not answer
		}
		d.hangUp()
	}
}

// pulse asks brokers whether they are there, with connections of its own.
type pulse struct {
	config *sarama.Config
	probes map[string]*sarama.Broker // by address
}

func newPulse(s *sarama.Config) *pulse {
	own := *s
	own.Net.Proxy.Enable = false
	own.ApiVersionsRequest = false // each broker is asked one thing, and waited for once
	own.Net.DialTimeout, own.Net.ReadTimeout, own.Net.WriteTimeout = pulseWithin, pulseWithin, pulseWithin
	return &pulse{config: &own, probes: map[string]*sarama.Broker{}}
}

// silent gives the addresses of those brokers that do not answer, and that none who answers counts as alive. One broker
// alone is never silent: there is nobody to go on with.
func (p *pulse) silent(brokers []*sarama.Broker, topic string) map[string]bool {
	if len(brokers) < 2 {
		return nil
	}
	known := map[string]bool{}
	answers := map[string][]*sarama.Broker{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, b := range brokers {
		addr := b.Addr()
		known[addr] = true
		probe := p.probes[addr]
		if probe == nil {
			probe = sarama.NewBroker(addr)
			p.probes[addr] = probe
		}
		all.Go(func() {
			_ = probe.Open(p.config) // it may be open already
			answer, err := probe.GetMetadata(sarama.NewMetadataRequest(p.config.Version, []string{topic}))
			if err != nil {
				_ = probe.Close() // it is opened again when it is asked again
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers[addr] = answer.Brokers
		})
	}
	all.Wait()
	for addr, probe := range p.probes {
		if !known[addr] {
			_ = probe.Close() // it has left the cluster
			delete(p.probes, addr)
		}
	}
	return without(known, answers)
}

// without gives the known addresses that did not answer and are in no answer; none where nobody answers.
func without(known map[string]bool, answers map[string][]*sarama.Broker) map[string]bool {
	if len(answers) == 0 {
		return nil
	}
	silent := map[string]bool{}
	for addr := range known {
		silent[addr] = answers[addr] == nil
	}
	for _, alive := range answers {
		for _, b := range alive {
			delete(silent, b.Addr())
		}
	}
	for addr, is := range silent {
		if !is {
			delete(silent, addr)
		}
	}
	return silent
}

func (p *pulse) close() {
	for _, probe := range p.probes {
		_ = probe.Close() // it may never have been open
	}
}
