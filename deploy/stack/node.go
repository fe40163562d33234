package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// clusterID is any UUID in URL-safe base64; the log of a cluster with another one is refused.
const clusterID = "b3JkZXJ3aXJlLWxvY2Fs0A"

// clusterSize is how many nodes a cluster has: the fewest that survive the loss of one.
const clusterSize = 3

// nodesGrace is how long all nodes together may take to become ready. It is seconds; the rest is for a busy machine.
const nodesGrace = 2 * time.Minute

// Node is one process of Apache Kafka, broker and controller at once.
type Node struct {
	// ID is its number in the cluster, from 1.
	ID int

	name       string
	broker     *Broker
	ports      brokerPorts
	advertised string
	dir        string
	libs       string

	mu      sync.Mutex
	process *process
}

func (k *Broker) makeNodes(libs string) {
	for i, ports := range k.ports {
		n := &Node{ID: i + 1, name: "kafka", broker: k, ports: ports, advertised: k.Brokers[i], dir: k.dir, libs: libs}
		if k.Kind == KafkaCluster {
			n.name = fmt.Sprintf("kafka-%d", n.ID)
			n.dir = filepath.Join(k.dir, strconv.Itoa(n.ID))
		}
		k.nodes = append(k.nodes, n)
	}
}

// startNodes starts all at once: one of three does not get ready by itself.
func (k *Broker) startNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, nodesGrace)
	defer cancel()
	errs := make([]error, len(k.nodes))
	var all sync.WaitGroup
	for i, n := range k.nodes {
		all.Go(func() { errs[i] = n.Start(ctx) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			k.Kill()
			return err
		}
	}
	return nil
}

// Start starts the node, also again after Stop or Kill, on the same ports and data, and waits until it answers, which it
// does once the cluster's controller has let it in. So one that stands alone waits for others of its cluster, and for as
// long as ctx allows: nodes that are ended because they wait for one another never meet.
func (n *Node) Start(ctx context.Context) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	properties := filepath.Join(n.dir, "server.properties")
	if err := os.WriteFile(properties, []byte(n.properties()), 0o644); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	classpath := filepath.Join(n.libs, "*")
	if !exists(filepath.Join(n.dir, "data", "meta.properties")) {
		format := exec.CommandContext(ctx, "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", classpath,
			"kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)
		if out, err := format.CombinedOutput(); err != nil {
			return fmt.Errorf("format the broker's directory: %w\n%s", err, out)
		}
	}
	jvm := []string{"-Xmx512m", "-XX:+UseSerialGC"}
	if len(n.broker.nodes) > 1 {
		// Three share a machine, and how soon one is back counts for more than its best throughput: with the first
		// compiler alone a start takes half of the CPU time.
		jvm = []string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	}
	p, err := startProcess(command{
		name: n.name, path: "java", dir: n.dir, env: os.Environ(),
		args:  append(jvm, "-cp", classpath, "kafka.Kafka", properties),
		onEnd: n.broker.onEnd,
	}, n.broker.logDir, n.broker.pids)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	if err := p.awaitReady(ctx, func(ctx context.Context) error { return askBroker(ctx, []string{loopback(n.ports.client)}) }); err != nil {
		p.kill()
		return err
	}
	return nil
}

// Stop ends the node in good order: it hands its partitions over first.
func (n *Node) Stop(ctx context.Context) {
	if p := n.current(); p != nil {
		p.stop(ctx, 5*time.Second)
	}
}

// Kill ends the node as a crash does.
func (n *Node) Kill() {
	if p := n.current(); p != nil {
		p.kill()
	}
}

// Pause stops the process in its tracks (SIGSTOP); it keeps its connections. Resume lets it go on.
func (n *Node) Pause() { n.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (n *Node) Resume() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) {
	if p := n.current(); p != nil {
		p.signal(s)
	}
}

// Pid of the process, 0 when there is none.
func (n *Node) Pid() int { return n.current().pid() }

func (n *Node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

func (n *Node) properties() string {
	size := len(n.broker.nodes)
	minISR := 1
	if size > 1 {
		minISR = 2
	}
	var voters []string
	for _, o := range n.broker.nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", o.ID, loopback(o.ports.controller)))
	}
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(n.ID),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		// Nodes speak to each other past whatever stands between them and their clients.
		"listeners=PLAINTEXT://" + loopback(n.ports.client) + ",INTERNAL://" + loopback(n.ports.internal) +
			",CONTROLLER://" + loopback(n.ports.controller),
		"advertised.listeners=PLAINTEXT://" + n.advertised + ",INTERNAL://" + loopback(n.ports.internal),
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=INTERNAL",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT",
		"log.dirs=" + filepath.Join(n.dir, "data"),
		"auto.create.topics.enable=false",
		fmt.Sprintf("default.replication.factor=%d", size),
		fmt.Sprintf("min.insync.replicas=%d", minISR),
		"unclean.leader.election.enable=false",
		"broker.session.timeout.ms=6000",
		// A node that nobody lets in, because the others are down, waits for them instead of ending after a minute.
		"initial.broker.registration.timeout.ms=3600000",
		fmt.Sprintf("offsets.topic.replication.factor=%d", size),
		"offsets.topic.num.partitions=4",
		fmt.Sprintf("transaction.state.log.replication.factor=%d", size),
		fmt.Sprintf("transaction.state.log.min.isr=%d", minISR),
		"group.initial.rebalance.delay.ms=0",
		"",
	}, "\n")
}
