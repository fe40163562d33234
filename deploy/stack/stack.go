package stack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/ports"
)

// Config says what to start.
type Config struct {
	// Environ is handed to the services; in it KAFKA_BROKERS, MONGODB_URI, the ports' variables and JWT_… count here too.
	Environ []string
	// BinDir holds the services' binaries.
	BinDir string
	// DataDir keeps data and logs. Empty: a temporary directory, free ports and a broker of its own whatever the
	// environment says, and nothing is left behind.
	DataDir string
	// FreePorts takes free ones whatever the environment says; without a DataDir that is so in any case.
	FreePorts bool
	// Kafka is KafkaFake, KafkaApache or KafkaCluster, unless KAFKA_BROKERS names a cluster.
	Kafka string
	// Link, where set, may put something between two parts: it hears of a link (see LinkBroker and LinkDatabase) and where
	// its upstream listens, and gives the address that the other side is told.
	Link func(name, upstream string) (string, error)
	// Volume, where set, hears of each new data directory of a part, "database" or "broker-1" and on, before the part has
	// written there: it may put a file system of its own there. kfake has none.
	Volume func(part, dir string) error
	// Build builds the fast database where it is missing and can be built.
	Build bool
	// Say hears of each step that takes a while; may be nil.
	Say Progress
}

// The links that Config.Link hears of: LinkBroker-1 and on, a node each, and LinkDatabase-<service>.
const (
	LinkBroker   = "broker"
	LinkDatabase = "database"
)

// Stack is a running Orderwire.
type Stack struct {
	GatewayURL string
	Broker     *Broker
	Database   *Database
	Dir        string // data and logs

	backends  *backends
	binDir    string
	directory *directory
	env       environment // of every service
	// databaseURI of each service that has a database.
	databaseURI map[string]string
	gateway     *gateway
	serving     sync.WaitGroup
	logFile     *os.File
	suffix      string // of database names, when they must be this run's own

	mu        sync.Mutex
	instances []*Instance
	failed    chan error
	stop      sync.Once
}

// Start starts everything and waits until it is ready. On an error nothing is left running. When ctx ends, the start
// is given up; a stack that runs is ended by Stop.
func Start(ctx context.Context, c Config) (*Stack, error) {
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	for _, s := range services {
		if !exists(filepath.Join(c.BinDir, s.name)) {
			return nil, fmt.Errorf("%s is missing: the services' binaries must lie beside each other (make build puts them in bin/)",
				filepath.Join(c.BinDir, s.name))
		}
	}
	s := &Stack{binDir: c.BinDir, failed: make(chan error, 1)}
	if err := s.open(c); err != nil {
		return nil, err
	}
	if err := s.start(ctx, c); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// open takes the data directory.
func (s *Stack) open(c Config) error {
	ephemeral := c.DataDir == ""
	env := environment(c.Environ)
	var ended []string
	var err error
	if ephemeral {
		env = env.without("KAFKA_BROKERS")
		s.suffix = "-" + randomHex(4)
		s.directory, err = temporaryDirectory()
	} else {
		s.directory, ended, err = openDirectory(c.DataDir, lockGrace)
	}
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%w: it is running already", err)
	}
	if err != nil {
		return err
	}
	if len(ended) > 0 {
		c.Say("ended what an earlier run has left: %s", strings.Join(ended, ", "))
	}
	s.Dir = s.directory.path
	s.backends = &backends{
		env: env, dir: s.Dir, kafka: c.Kafka, ephemeral: ephemeral, freePorts: ephemeral || c.FreePorts, build: c.Build,
		pids: s.directory.pids, say: c.Say, onEnd: s.fail, link: c.Link,
		volume: c.Volume,
	}
	return nil
}

func (s *Stack) start(ctx context.Context, c Config) error {
	if err := os.MkdirAll(s.backends.logDir(), 0o755); err != nil {
		return err
	}
	var err error
	s.logFile, err = os.OpenFile(filepath.Join(s.backends.logDir(), "gateway.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	s.gateway = newGateway(slog.New(slog.NewJSONHandler(s.logFile, nil)), pageHandler(builtPage()))

	// All ports first: those that are taken are told at once, not after the slow steps.
	if !s.backends.freePorts {
		if err := ports.Check(s.backends.env.get, ports.Needed(s.backends.env.get, c.Kafka != KafkaFake)); err != nil {
			return err
		}
	}
	gatewayPort, err := s.backends.ports.take(ports.Gateway, s.backends.env, s.backends.freePorts)
	if err != nil {
		return err
	}
	for _, svc := range services {
		if _, err := s.instance(svc, svc.name); err != nil {
			return err
		}
	}
	if s.Broker, s.Database, err = s.backends.start(ctx); err != nil {
		return err
	}
	if !s.Database.Fast() {
		c.Say("the database is SecantusDB's Python edition: fine for a look, some twenty times slower than the fast one (make mongodb builds that once)")
	}
	if err := s.settings(c); err != nil {
		return err
	}
	c.Say("starting the services")
	if err := s.startAll(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", loopback(gatewayPort)) //nolint:noctx // it never blocks
	if err != nil {
		return fmt.Errorf("gateway: %w (set %s to move it)", err, ports.Gateway.Variable)
	}
	s.GatewayURL = "http://" + loopback(gatewayPort)
	s.serving.Go(func() {
		if err := s.gateway.serve(listener); err != nil {
			s.fail(err)
		}
	})
	return nil
}

// instance notes one more instance of the service, with ports of its own.
func (s *Stack) instance(svc service, name string) (*Instance, error) {
	extra := name != svc.name
	http, err := s.backends.ports.take(svc.ports.HTTP, s.backends.env, s.backends.freePorts || extra)
	if err != nil {
		return nil, err
	}
	admin, err := s.backends.ports.take(svc.ports.Admin, s.backends.env, s.backends.freePorts || extra)
	if err != nil {
		return nil, err
	}
	i := &Instance{
		Name: name, Service: svc.name, stack: s, binDir: s.binDir, addr: loopback(http),
		URL: "http://" + loopback(http), AdminURL: "http://" + loopback(admin),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instances = append(s.instances, i)
	return i, nil
}

// Add starts one more instance of a service on free ports, with more environment for it.
func (s *Stack) Add(ctx context.Context, name string, env ...string) (*Instance, error) {
	i, err := s.Prepare(name, env...)
	if err != nil {
		return nil, err
	}
	return i, i.Start(ctx)
}

// Prepare makes one more instance of a service as Add does, and leaves it to the caller to start it.
func (s *Stack) Prepare(name string, env ...string) (*Instance, error) {
	return s.PrepareFrom(s.binDir, name, env...)
}

// PrepareFrom is Prepare with the service's binary of another directory.
func (s *Stack) PrepareFrom(binDir, name string, env ...string) (*Instance, error) {
	for _, svc := range services {
		if svc.name != name {
			continue
		}
		i, err := s.instance(svc, fmt.Sprintf("%s-%d", name, len(s.Instances(name))+1))
		if err != nil {
			return nil, err
		}
		i.binDir, i.env = binDir, s.environmentOf(svc, i).with(env...)
		return i, nil
	}
	return nil, fmt.Errorf("no service is called %q", name)
}

// Instances gives those of a service, in the order in which they were first started; the first is the stack's own.
func (s *Stack) Instances(name string) []*Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []*Instance
	for _, i := range s.instances {
		if i.Service == name {
			of = append(of, i)
		}
	}
	return of
}

// startAll starts the services at once and waits for all.
func (s *Stack) startAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make([]error, len(services))
	for n, svc := range services {
		i := s.Instances(svc.name)[0]
		i.env = s.environmentOf(svc, i)
		all.Go(func() {
			if errs[n] = i.Start(ctx); errs[n] != nil {
				cancel() // the others wait in vain
			}
		})
	}
	all.Wait()
	var told []error
	for _, err := range errs {
		if err != nil && (len(told) == 0 || !errors.Is(err, context.Canceled)) {
			told = append(told, err)
		}
	}
	return errors.Join(told...)
}

// settings makes the environment that all services share.
func (s *Stack) settings(c Config) error {
	env := s.backends.env.without("HTTP_ADDR", "ADMIN_ADDR", "MONGODB_DATABASE", "PARENT_WATCH").with(
		"KAFKA_BROKERS="+strings.Join(s.Broker.Brokers, ","),
		"MONGODB_URI="+s.Database.URI,
		"PARENT_WATCH=stdin",
		"SHUTDOWN_TIMEOUT=2500ms",
		"DRAIN_WINDOW=1s",
		"TRUSTED_PROXIES=127.0.0.1/32",
	)
	if env.get("JWT_JWKS_URL") == "" {
		if env.get("JWT_SECRET") == "" {
			secret, err := s.secret(env.get("JWT_SECRET_FILE"))
			if err != nil {
				return err
			}
			env = env.without("JWT_SECRET_FILE").with("JWT_SECRET=" + secret)
		}
		env = env.withDefault("DEV_LOGIN", "true")
	}
	env = env.withDefault("CORS_ORIGINS", "http://localhost:3000,http://localhost:5173")
	if c.DataDir != "" {
		env = env.withDefault("CARRIER_DISPATCH_AFTER", "20s").withDefault("CARRIER_DELIVER_AFTER", "40s")
	}
	if s.Broker.Kind == KafkaCluster {
		env = env.withDefault("KAFKA_TOPIC_REPLICATION", "3").withDefault("KAFKA_TOPIC_MIN_ISR", "2")
	}
	s.env = env
	return s.linkDatabase()
}

// linkDatabase says where each service finds its database. With something in between, the driver must not ask the
// server where it is: it would go there past it.
func (s *Stack) linkDatabase() error {
	s.databaseURI = map[string]string{}
	for _, svc := range services {
		if svc.database == "" {
			continue
		}
		s.databaseURI[svc.name] = s.Database.URI
		if s.backends.link == nil || s.Database.Kind == "external" {
			continue
		}
		addr, err := s.backends.linked(LinkDatabase+"-"+svc.name, loopback(s.Database.port))
		if err != nil {
			return err
		}
		s.databaseURI[svc.name] = "mongodb://" + addr + "/?directConnection=true"
	}
	return nil
}

func (s *Stack) environmentOf(svc service, i *Instance) environment {
	env := s.env.with("HTTP_ADDR="+i.addr, "ADMIN_ADDR="+strings.TrimPrefix(i.AdminURL, "http://"),
		"KAFKA_GROUP_INSTANCE_ID="+i.Name)
	if svc.database != "" {
		env = env.with("MONGODB_DATABASE="+svc.database+s.suffix, "MONGODB_URI="+s.databaseURI[svc.name])
	}
	return env
}

// secret gives the key that tokens are signed with, of a file; without one it is made once per data directory.
func (s *Stack) secret(file string) (string, error) {
	given := file != ""
	if !given {
		file = filepath.Join(s.Dir, "jwt-secret")
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && !given {
		raw = []byte(randomHex(32))
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("the key for tokens: %w", err)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// Secret is the HS256 key of this stack's tokens; "" when JWT_JWKS_URL is set.
func (s *Stack) Secret() string { return s.env.get("JWT_SECRET") }

// TokenNames are the issuer and the audience that tokens carry.
func (s *Stack) TokenNames() (issuer, audience string) {
	const standard = "orderwire"
	env := s.env.withDefault("JWT_ISSUER", standard).withDefault("JWT_AUDIENCE", standard)
	return env.get("JWT_ISSUER"), env.get("JWT_AUDIENCE")
}

// Environ is what the services got in common.
func (s *Stack) Environ() []string { return s.env.with() }

// DatabaseName of a service; "" for one that has none.
func (s *Stack) DatabaseName(name string) string {
	for _, svc := range services {
		if svc.name == name && svc.database != "" {
			return svc.database + s.suffix
		}
	}
	return ""
}

// Failed gives an error when a part has ended by itself. Whoever sees it still calls Stop.
func (s *Stack) Failed() <-chan error { return s.failed }

func (s *Stack) fail(err error) {
	select {
	case s.failed <- err:
	default: // one is told already
	}
}

// Stop ends everything in order: the gateway takes nothing new, the services drain what is there, then broker and
// database end. It takes less than five seconds; when ctx ends, what is left is killed.
func (s *Stack) Stop(ctx context.Context) {
	s.stop.Do(func() {
		draining, drained := context.WithCancel(ctx)
		s.serving.Go(func() { s.gateway.shutdown(draining) })
		var all sync.WaitGroup
		for _, i := range s.all() {
			all.Go(func() { i.Stop(ctx) })
		}
		all.Wait()
		drained()
		s.gateway.close()
		if s.suffix != "" && s.Database.Kind == "external" {
			s.dropDatabases(ctx)
		}
		s.Broker.Stop(ctx)
		if s.suffix != "" {
			s.Database.Kill() // its data is thrown away
		} else {
			s.Database.Stop(ctx)
		}
		s.release()
	})
}

// Kill ends everything at once.
func (s *Stack) Kill() {
	s.stop.Do(func() {
		for _, i := range s.all() {
			i.Kill()
		}
		if s.gateway != nil {
			s.gateway.close()
		}
		if s.Broker != nil {
			s.Broker.Kill()
		}
		if s.Database != nil {
			s.Database.Kill()
		}
		s.release()
	})
}

func (s *Stack) all() []*Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Instance(nil), s.instances...)
}

func (s *Stack) release() {
	s.serving.Wait()
	s.backends.ports.Close()
	if s.logFile != nil {
		s.logFile.Close() // nobody writes any more
	}
	if err := s.directory.release(s.suffix != ""); err != nil {
		s.backends.say("give back %s: %v", s.Dir, err)
	}
}

// dropDatabases removes an ephemeral run's databases from a server that was there before.
func (s *Stack) dropDatabases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, svc := range services {
		if name := s.DatabaseName(svc.name); name != "" {
			if err := dropDatabase(ctx, s.Database.URI, name); err != nil {
				s.backends.say("the database %s stays behind: %v", name, err)
			}
		}
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // it never fails, see crypto/rand
	return hex.EncodeToString(b)
}
