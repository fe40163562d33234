package stack

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaVersion is the Apache Kafka that Orderwire is tested with.
const kafkaVersion = "4.3.0"

// The kinds of brokers that can be started.
const (
	KafkaFake   = "kfake"  // inside this process, nothing to install
	KafkaApache = "apache" // Apache Kafka in a JVM
)

//go:embed kafka/pom.xml
var kafkaPom []byte

// Broker is a running Kafka: one that the stack has started, or one that was there.
type Broker struct {
	Brokers []string
	Kind    string // kfake, apache or external

	port, controller int
	dir              string
	logDir           string
	libs             string
	ephemeral        bool
	pids             *pidFile
	onEnd            func(error)
	process          *process       // apache
	cluster          *kfake.Cluster // kfake
}

// String names the broker for people.
func (k *Broker) String() string {
	switch k.Kind {
	case KafkaApache:
		return "Apache Kafka " + kafkaVersion
	case KafkaFake:
		return "kfake"
	default:
		return "at " + strings.Join(k.Brokers, ",")
	}
}

// Pid of the process, 0 of a broker that lives in this one or was there.
func (k *Broker) Pid() int { return k.process.pid() }

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
		Kind: b.kafka, Brokers: []string{loopback(b.broker)}, port: b.broker, controller: b.controller,
		dir: filepath.Join(b.dir, "kafka-"+b.kafka), logDir: b.logDir(), ephemeral: b.ephemeral, pids: b.pids, onEnd: b.onEnd,
	}
	if k.Kind == KafkaApache {
		var err error
		if k.libs, err = PrepareKafka(ctx, b.env, b.say); err != nil {
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
		cluster, err := kfake.NewCluster(kfake.Ports(k.port), kfake.ClusterID("orderwire-local"), kfake.DataDir(k.dir), kfake.SyncWrites())
		if err != nil {
			return fmt.Errorf("start the broker: %w", err)
		}
		k.cluster = cluster
		return nil
	case KafkaApache:
		return k.startApache(ctx)
	default:
		return errors.New("the broker was not started here")
	}
}

// Stop ends the broker in good order; one that was not started here stays.
func (k *Broker) Stop(ctx context.Context) {
	switch {
	case k.cluster != nil:
		k.cluster.Close()
		k.cluster = nil
	case k.process != nil && k.ephemeral:
		k.Kill() // its data is thrown away: no need to wait for a clean shutdown
	case k.process != nil:
		k.process.stop(ctx, 5*time.Second)
	}
}

// Kill ends the broker as a crash does; kfake, which lives in this process, can only be closed.
func (k *Broker) Kill() {
	switch {
	case k.cluster != nil:
		k.cluster.Close()
		k.cluster = nil
	case k.process != nil:
		k.process.kill()
	}
}

// startApache formats the data directory the first time and starts a combined broker and controller.
func (k *Broker) startApache(ctx context.Context) error {
	properties := filepath.Join(k.dir, "server.properties")
	if err := os.WriteFile(properties, []byte(k.properties()), 0o644); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	classpath := filepath.Join(k.libs, "*")
	if !exists(filepath.Join(k.dir, "data", "meta.properties")) {
		format := exec.CommandContext(ctx, "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", classpath,
			"kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)
		if out, err := format.CombinedOutput(); err != nil {
			return fmt.Errorf("format the broker's directory: %w\n%s", err, out)
		}
	}
	p, err := startProcess(command{
		name: "kafka", path: "java", dir: k.dir, env: os.Environ(),
		args:  []string{"-Xmx512m", "-XX:+UseSerialGC", "-cp", classpath, "kafka.Kafka", properties},
		onEnd: k.onEnd,
	}, k.logDir, k.pids)
	if err != nil {
		return err
	}
	k.process = p
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := p.awaitReady(ctx, func(ctx context.Context) error { return askBroker(ctx, k.Brokers) }); err != nil {
		k.Kill()
		return err
	}
	return nil
}

// clusterID is any UUID in URL-safe base64; the log of a cluster with another one is refused.
const clusterID = "b3JkZXJ3aXJlLWxvY2Fs0A"

func (k *Broker) properties() string {
	broker, controller := loopback(k.port), loopback(k.controller)
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + broker + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + broker,
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs=" + filepath.Join(k.dir, "data"),
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"",
	}, "\n")
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
	err = locked(cache, func() error {
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
