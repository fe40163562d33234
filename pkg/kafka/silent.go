package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// dialer makes the connections of a client and can end all that go to one broker.
type dialer struct {
	dial net.Dialer

	mu     sync.Mutex
	open   map[string]map[net.Conn]bool // by address
	silent map[string]bool              // addresses that are not dialed
	ended  bool                         // none is
}

// errSilent is what a client is told of a broker that the others do not count any more.
var errSilent = errors.New("the broker answers nobody, and the cluster goes on without it")

func newDialer(timeout time.Duration) *dialer {
	return &dialer{dial: net.Dialer{Timeout: timeout}, open: map[string]map[net.Conn]bool{}}
}

// Dial is what sarama calls. It gives the connection as it is: sarama looks into it for what the peer has closed.
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	if err := d.refusal(addr); err != nil {
		return nil, err
	}
	conn, err := d.dial.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent[addr] || d.ended { // since it was asked for
		conn.Close() // nothing was said on it
		return nil, errSilent
	}
	if d.open[addr] == nil {
		d.open[addr] = map[net.Conn]bool{}
	}
	d.open[addr][conn] = true
	return conn, nil
}

func (d *dialer) refusal(addr string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ended:
		return net.ErrClosed
	case d.silent[addr]:
		return errSilent
	default:
		return nil
	}
}

// addresses are those that connections are open to, and those that are refused.
func (d *dialer) addresses() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(d.silent)
	if all == nil {
		all = map[string]bool{}
	}
	for addr, conns := range d.open {
		maps.DeleteFunc(conns, func(c net.Conn, _ bool) bool { return isClosed(c) })
		if len(conns) == 0 {
			delete(d.open, addr)
			continue
		}
		all[addr] = true
	}
	return all
}

// isClosed tells whether this side has closed a connection.
func isClosed(c net.Conn) bool {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// refuse says which addresses are not dialed from now on, and gives those that were before.
func (d *dialer) refuse(silent map[string]bool) (news []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for addr := range silent {
		if !d.silent[addr] {
			news = append(news, addr)
		}
	}
	d.silent = silent
	slices.Sort(news)
	return news
}

// hangUp ends the connections to what is not dialed any more: whatever was asked there fails at once.
func (d *dialer) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for addr, conns := range d.open {
		if !d.silent[addr] && !d.ended {
			continue
		}
		for conn := range conns {
			conn.Close() // whoever reads from it hears of that
		}
		delete(d.open, addr)
	}
}

// end ends all connections and makes no more.
func (d *dialer) end() {
	d.mu.Lock()
	d.ended = true
	d.mu.Unlock()
	d.hangUp()
}

func (d *dialer) isEnded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

const (
	// pulseEvery is how often each broker of a cluster is asked whether it is there, and pulseWithin how long it may take.
	pulseEvery  = 3 * time.Second
	pulseWithin = 2 * time.Second
	// moveWithin is how long a client may take to learn of new leaders before it loses the connections to the old one.
	moveWithin = 500 * time.Millisecond
)

// Client is a sarama client that stays away from brokers that answer nothing and that the others do not count as alive,
// and that ends in time.
//
// A broker that is stopped in its tracks, or that a network has parted from the others, leaves its connections open. Its
// partitions and groups have new owners after broker.session.timeout.ms, but sarama waits Net.ReadTimeout for each answer,
// and a group's heartbeat asks the same broker again, Metadata.Retry.Max times: a service would stand still for minutes.
type Client struct {
	sarama.Client
	dialer *dialer
	stop   context.CancelFunc // of what watches the brokers
}

// Open connects with a copy of a configuration of this package, which is the client's alone; a broker must be there. Close
// the client.
func Open(brokers []string, s *sarama.Config, log *slog.Logger) (*Client, error) {
	own, d := *s, newDialer(s.Net.DialTimeout)
	own.Net.Proxy.Enable, own.Net.Proxy.Dialer = true, d // no proxy: it is what sarama lets dial
	patience := s.Metadata.Retry.BackoffFunc
	own.Metadata.Retry.BackoffFunc = func(retries, most int) time.Duration {
		if d.isEnded() { // a refresh goes on after its client is closed, as often as it may try
			return 0
		}
		return patience(retries, most)
	}
	client, err := sarama.NewClient(brokers, &own)
	if err != nil {
		return nil, fmt.Errorf("connect to Kafka at %v: %w", brokers, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go avoidSilent(ctx, client, d, log)
	return &Client{Client: client, dialer: d, stop: stop}, nil
}

// Close ends its connections as End does, and lets nobody make more: sarama would, for what is under way.
func (c *Client) Close() error {
	defer c.stop() // until then what hangs is given up
	defer c.dialer.end()
	return c.End(c.Client, abandon)
}

// End closes what works with the client. sarama waits for answers that are under way, half a minute where a broker hangs:
// where that takes longer than within, the client loses its connections.
func (c *Client) End(what io.Closer, within time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- what.Close() }()
	for range 2 {
		timer := time.NewTimer(within)
		defer timer.Stop()
		select {
		case err := <-done:
			return err
		case <-timer.C:
		}
		c.dialer.end()
	}
	return errors.New("it does not close, and is left behind")
}

func avoidSilent(ctx context.Context, client sarama.Client, d *dialer, log *slog.Logger) {
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
		if seen, ok := within(moveWithin, func() seen { return look(client) }); ok {
			p.seen = seen
		}
		known := d.addresses()
		for _, addr := range p.brokers {
			known[addr] = true
		}
		silent := p.silent(known)
		news := d.refuse(silent)
		if len(news) == 0 {
			continue
		}
		log.Warn("brokers answer nothing, and the cluster goes on without them", "brokers", news)
		// It forgets who is not there and who leads what, or else it asks one of those that do not answer.
		if err, _ := within(moveWithin, func() error { return client.RefreshMetadata(p.topic) }); err != nil {
			log.Debug("refresh metadata", "error", err)
		}
		d.hangUp()
	}
}

// within gives what do gives, or false where that takes longer; do goes on by itself then.
func within[T any](d time.Duration, do func() T) (T, bool) {
	done := make(chan T, 1)
	go func() { done <- do() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case v := <-done:
		return v, true
	case <-timer.C:
		var none T
		return none, false
	}
}

// pulse asks brokers whether they are there, with connections of its own.
type pulse struct {
	config *sarama.Config
	probes map[string]*sarama.Broker // by address

	seen // last: the client's locks may be held by a request to the very broker that hangs
}

// seen is what a client knows of its cluster: one of the topics, and the addresses of the brokers.
type seen struct {
	topic   string
	brokers []string
}

func look(client sarama.Client) (s seen) {
	if topics, err := client.Topics(); err == nil && len(topics) > 0 {
		s.topic = topics[0]
	}
	for _, b := range client.Brokers() {
		s.brokers = append(s.brokers, b.Addr())
	}
	return s
}

func newPulse(s *sarama.Config) *pulse {
	own := *s
	own.Net.Proxy.Enable = false
	own.ApiVersionsRequest = false // each broker is asked one thing, and waited for once
	own.Net.DialTimeout, own.Net.ReadTimeout, own.Net.WriteTimeout = pulseWithin, pulseWithin, pulseWithin
	return &pulse{config: &own, probes: map[string]*sarama.Broker{}}
}

// silent gives those of the known addresses that do not answer, and that no answer counts as alive. One broker alone is
// never silent: there is nobody to go on with.
func (p *pulse) silent(known map[string]bool) map[string]bool {
	if len(known) < 2 || p.topic == "" {
		return nil
	}
	answers := map[string][]*sarama.Broker{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for addr := range known {
		probe := p.probes[addr]
		if probe == nil {
			probe = sarama.NewBroker(addr)
			p.probes[addr] = probe
		}
		all.Go(func() {
			_ = probe.Open(p.config) // it may be open already
			answer, err := probe.GetMetadata(sarama.NewMetadataRequest(p.config.Version, []string{p.topic}))
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
			_ = probe.Close() // nobody needs it
			delete(p.probes, addr)
		}
	}
	return without(known, answers)
}

// without gives the known addresses that did not answer and are in no answer; none where nobody says who is alive.
func without(known map[string]bool, answers map[string][]*sarama.Broker) map[string]bool {
	alive := map[string]bool{}
	for addr, listed := range answers {
		for _, b := range listed {
			alive[addr], alive[b.Addr()] = true, true
		}
	}
	if len(alive) == 0 { // a broker that has just started lists nobody
		return nil
	}
	silent := map[string]bool{}
	for addr := range known {
		if _, answered := answers[addr]; !answered && !alive[addr] {
			silent[addr] = true
		}
	}
	return silent
}

func (p *pulse) close() {
	for _, probe := range p.probes {
		_ = probe.Close() // it may never have been open
	}
}
