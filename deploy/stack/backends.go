package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/ports"
)

// backends is what a broker and a database need to be started.
type backends struct {
	env       environment
	dir       string
	kafka     string
	ephemeral bool // data not kept
	freePorts bool
	link      func(name, upstream string) (string, error) // Config.Link
	volume    func(part, dir string) error                // Config.Volume
	build     bool                                        // build the fast database where it is missing and can be built
	pids      *pidFile
	ports     Ports
	// The ports that are needed.
	brokers  []brokerPorts
	database int

	say   Progress
	onEnd func(error) // hears of one that has ended by itself
}

func (b *backends) logDir() string { return filepath.Join(b.dir, "logs") }

// takePorts is done before anything is started: a child that is being started has copies of all our sockets for a
// moment, so a port that was only tried could still be taken when it is needed.
func (b *backends) takePorts() error {
	var err error
	if b.env.get("KAFKA_BROKERS") == "" {
		if err = b.takeBrokerPorts(); err != nil {
			return err
		}
	}
	if b.env.get("MONGODB_URI") == "" {
		b.database, err = b.ports.take(ports.MongoDB, b.env, b.freePorts)
	}
	return err
}

// takeBrokerPorts gives the first node the ports that people know, the others any.
func (b *backends) takeBrokerPorts() error {
	nodes := 1
	if b.kafka == KafkaCluster {
		nodes = clusterSize
	}
	for n := range nodes {
		var p brokerPorts
		var err error
		if p.client, err = b.ports.take(ports.Kafka, b.env, b.freePorts || n > 0); err != nil {
			return err
		}
		if b.kafka != KafkaFake {
			if p.controller, err = b.ports.take(ports.KafkaController, b.env, b.freePorts || n > 0); err != nil {
				return err
			}
			if p.internal, err = b.ports.Free(); err != nil {
				return err
			}
		}
		b.brokers = append(b.brokers, p)
	}
	return nil
}

// linked gives the address at which others are to find the part that listens at upstream.
func (b *backends) linked(name, upstream string) (string, error) {
	if b.link == nil {
		return upstream, nil
	}
	addr, err := b.link(name, upstream)
	if err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	return addr, nil
}

// provide makes the directory of a part.
func (b *backends) provide(part, dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if err == nil && b.volume != nil {
		err = b.volume(part, dir)
	}
	if err != nil {
		return fmt.Errorf("directory of %s: %w", part, err)
	}
	return nil
}

// start starts both at once: a JVM and a database take seconds each.
func (b *backends) start(ctx context.Context) (*Broker, *Database, error) {
	if err := b.takePorts(); err != nil {
		return nil, nil, err
	}
	var broker *Broker
	var database *Database
	var brokerErr, databaseErr error
	var both sync.WaitGroup
	both.Go(func() { broker, brokerErr = b.startBroker(ctx) })
	both.Go(func() { database, databaseErr = b.startDatabase(ctx) })
	both.Wait()
	if err := errors.Join(brokerErr, databaseErr); err != nil {
		if broker != nil {
			broker.Kill()
		}
		if database != nil {
			database.Kill()
		}
		return nil, nil, err
	}
	return broker, database, nil
}

// BackendsConfig says which broker and database tests want.
type BackendsConfig struct {
	Environ []string
	Kafka   string // KafkaFake, KafkaApache or KafkaCluster; KAFKA_BROKERS in Environ wins
	Fast    bool   // build the fast database where it is missing and can be built; MONGODB_URI in Environ wins
	Say     Progress
}

// Backends is one broker and one database with free ports and data in a temporary directory.
type Backends struct {
	Broker   *Broker
	Database *Database
	backends *backends
	dir      *directory
}

// StartBackends starts a broker and a database for tests.
func StartBackends(ctx context.Context, c BackendsConfig) (*Backends, error) {
	dir, err := temporaryDirectory()
	if err != nil {
		return nil, err
	}
	b := &backends{
		env: c.Environ, dir: dir.path, kafka: c.Kafka, ephemeral: true, freePorts: true, build: c.Fast, pids: dir.pids, say: c.Say,
		onEnd: func(err error) { c.Say("%v", err) },
	}
	broker, database, err := b.start(ctx)
	if err != nil {
		b.ports.Close()
		return nil, errors.Join(err, dir.release(true))
	}
	return &Backends{Broker: broker, Database: database, backends: b, dir: dir}, nil
}

// Close ends both and removes their data.
func (b *Backends) Close() error {
	b.Broker.Kill()
	b.Database.Kill()
	b.backends.ports.Close()
	return b.dir.release(true)
}

// directory is a data directory that this process has to itself.
type directory struct {
	path string
	lock *os.File
	pids *pidFile
}

// openDirectory takes the directory and ends what a crashed run has left there; ended names it.
func openDirectory(path string, grace time.Duration) (d *directory, ended []string, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(path, grace)
	if err != nil {
		return nil, nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	d = &directory{path: path, lock: lock, pids: newPidFile(path)}
	if ended, err = d.pids.endLeftovers(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("end what an earlier run has left: %w", err), lock.Close())
	}
	return d, ended, nil
}

// temporaryPrefix begins the names of temporary data directories.
const temporaryPrefix = "orderwire-stack-"

// temporaryDirectory makes a directory of its own, and removes those that killed runs have left.
func temporaryDirectory() (*directory, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), temporaryPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range old {
		// One without a lock file is being made this very moment, or is not ours.
		if info, err := os.Stat(filepath.Join(path, "lock")); err != nil || time.Since(info.ModTime()) < time.Second {
			continue
		}
		if d, _, err := openDirectory(path, 0); err == nil { // an error means that it is in use, or somebody else's
			_ = d.release(true)
		}
	}
	path, err := os.MkdirTemp("", temporaryPrefix)
	if err != nil {
		return nil, err
	}
	d, _, err := openDirectory(path, 0)
	return d, err
}

// release gives the directory back, and removes it when it is temporary.
func (d *directory) release(remove bool) error {
	var err error
	if remove {
		err = os.RemoveAll(d.path)
	}
	return errors.Join(err, d.lock.Close())
}
