package stack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaVersion is the Apache Kafka that Orderwire is tested with.
const kafkaVersion = "4.3.0"

// The kinds of brokers that can be started.
const (
	KafkaFake    = "kfake"   // inside this process, nothing to install
	KafkaApache  = "apache"  // Apache Kafka in a JVM
	KafkaCluster = "cluster" // Apache Kafka in three JVMs, every record in each of them
)

//go:embed kafka/pom.xml
var kafkaPom []byte

// Broker is a running Kafka: one that the stack has started, or one that was there.
type Broker struct {
	Brokers []string // as clients are told
	Kind    string   // kfake, apache, cluster or external

	ports     []brokerPorts
	dir       string
	logDir    string
	ephemeral bool
	pids      *pidFile
	onEnd     func(error)
	nodes     []*Node // apache and cluster

	mu      sync.Mutex
	cluster *kfake.Cluster // kfake
}

// brokerPorts are those of one node: for clients, for the controllers and for the other nodes.
type brokerPorts struct{ client, controller, internal int }

// String names the broker for people.
func (k *Broker) String() string {
	switch k.Kind {
	case KafkaApache:
		return "Apache Kafka " + kafkaVersion
	case KafkaCluster:
		return fmt.Sprintf("Apache Kafka %s, %d nodes", kafkaVersion, len(k.nodes))
	case KafkaFake:
		return "kfake"
	default:
		return "at " + strings.Join(k.Brokers, ",")
	}
}

// Pid of the first process, 0 of a broker that lives in this one or was there.
func (k *Broker) Pid() int {
	if len(k.nodes) == 0 {
		return 0
	}
	return k.nodes[0].Pid()
}

// Nodes are the processes of Apache Kafka; none for the other kinds.
func (k *Broker) Nodes() []*Node { return k.nodes }

// Direct gives the addresses at which the nodes speak to each other, past whatever a link has put before those for clients;
// none for the other kinds.
func (k *Broker) Direct() []string {
	var all []string
	for _, n := range k.nodes {
		all = append(all, loopback(n.ports.internal))
	}
	return all
}

// Fake gives the kfake that runs, for its faults; nil for the other kinds, and while it is down.
func (k *Broker) Fake() *kfake.Cluster {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cluster
}

// startBroker gives what KAFKA_BROKERS names, or starts a broker of the kind with its data in dir.
func (b *backends) startBroker(ctx context.Context) (*Broker, error) {
	if list := b.env.get("KAFKA_BROKERS"); list != "" {
		k := &Broker{Kind: "external", Brokers: strings.Split(list, ",")}
		if err := reachable(ctx, k.Brokers, 10*time.Second); err != nil {
			return nil, fmt.Errorf("KAFKA_BROKERS: %w", err)
		}
		return k, nil
	}
	k := &Broker{
		Kind: b.kafka, ports: b.brokers, dir: filepath.Join(b.dir, "kafka-"+b.kafka), logDir: b.logDir(),
		ephemeral: b.ephemeral, pids: b.pids, onEnd: b.onEnd,
	}
	for n, ports := range k.ports {
		advertised, err := b.linked(fmt.Sprintf("%s-%d", LinkBroker, n+1), loopback(ports.client))
		if err != nil {
			return nil, err
		}
		k.Brokers = append(k.Brokers, advertised)
	}
	if k.Kind != KafkaFake {
		libs, err := PrepareKafka(ctx, b.env, b.say)
		if err != nil {
			return nil, err
		}
		k.makeNodes(libs)
	}
	for _, n := range k.nodes {
		if err := b.provide(fmt.Sprintf("broker-%d", n.ID), n.dir); err != nil {
			return nil, err
		}
	}
	if err := k.Start(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Start starts the broker, also again after Stop or Kill, on the same port and data, and waits until it answers.
func (k *Broker) Start(ctx context.Context) error {
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	switch k.Kind {
	case KafkaFake:
		return k.startFake()
	case KafkaApache, KafkaCluster:
		return k.startNodes(ctx)
	default:
		return errors.New("the broker was not started here")
	}
}

func (k *Broker) startFake() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	listen := func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address) //nolint:noctx // it never blocks
		if err != nil {
			return nil, err
		}
		return advertisedListener{lingering{l}, k.Brokers[0]}, nil
	}
	cluster, err := kfake.NewCluster(kfake.Ports(k.ports[0].client), kfake.ListenFn(listen), kfake.ClusterID("orderwire-local"),
		kfake.DataDir(k.dir), kfake.SyncWrites())
	if err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	k.cluster = cluster
	return nil
}

// advertisedListener tells kfake, which tells its clients where its listener says that it listens, another address.
type advertisedListener struct {
	net.Listener
	addr string
}

// Addr is where clients are sent.
func (l advertisedListener) Addr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", l.addr)
	if err != nil { // a number, see loopback
		return l.Listener.Addr()
	}
	return addr
}

// Stop ends the broker in good order; one that was not started here stays.
func (k *Broker) Stop(ctx context.Context) {
	k.closeFake()
	var all sync.WaitGroup
	for _, n := range k.nodes {
		all.Go(func() {
			if k.ephemeral {
				n.Kill() // its data is thrown away: no need to wait for a clean shutdown
			} else {
				n.Stop(ctx)
			}
		})
	}
	all.Wait()
}

// Kill ends the broker as a crash does; kfake, which lives in this process, can only be closed.
func (k *Broker) Kill() {
	k.closeFake()
	for _, n := range k.nodes {
		n.Kill()
	}
}

func (k *Broker) closeFake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cluster != nil {
		k.cluster.Close()
		k.cluster = nil
	}
}

// PrepareKafka makes sure that Apache Kafka's libraries are in the cache and gives their directory.
func PrepareKafka(ctx context.Context, environ []string, say Progress) (string, error) {
	if !onPath("java") {
		return "", errors.New("java is not on the PATH: Apache Kafka needs Java 17 or newer")
	}
	cache, err := cacheDir(environ)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kafka-"+kafkaVersion)
	libs := filepath.Join(dir, "lib")
	if exists(libs) {
		return libs, nil
	}
	if !onPath("mvn") {
		return "", errors.New("mvn is not on the PATH: Maven fetches Apache Kafka")
	}
	err = locked(ctx, cache, say, func() error {
		if exists(libs) {
			return nil
		}
		say("fetching Apache Kafka %s, once", kafkaVersion)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		pom := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(pom, kafkaPom, 0o644); err != nil {
			return err
		}
		// Into a directory of another name first: a fetch cut short must not look complete.
		part := filepath.Join(dir, "part")
		if err := os.RemoveAll(part); err != nil {
			return err
		}
		if err := runTool(ctx, say, "fetching Apache Kafka", "Copying", "mvn", "--batch-mode", "--file", pom,
			"dependency:copy-dependencies", "-DoutputDirectory="+part); err != nil {
			return err
		}
		return os.Rename(part, libs)
	})
	return libs, err
}

// askBroker says nil once a broker answers and the cluster has a controller.
func askBroker(ctx context.Context, brokers []string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("ask the broker: %w", err)
	}
	if len(answer.Brokers) == 0 || answer.ControllerID < 0 {
		return errors.New("the cluster has no broker yet")
	}
	return nil
}

// reachable says nil once one of the brokers takes a connection. What it speaks, TLS and SASL, is for the services.
func reachable(ctx context.Context, brokers []string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		var errs []error
		for _, addr := range brokers {
			conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", addr)
			if err == nil {
				return conn.Close()
			}
			errs = append(errs, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no broker answers within %s: %w", within, errors.Join(errs...))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
