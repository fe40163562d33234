package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"
)

// Database is a running MongoDB: one that the stack has started, or one that was there.
type Database struct {
	URI  string
	Kind string // mongod, secantusd-rs, secantusd-py or external
	// Path of the program; "" for one that was there.
	Path string

	program mongoProgram
	port    int
	dir     string
	logDir  string
	pids    *pidFile
	onEnd   func(error)

	mu      sync.Mutex
	process *process
}

// String names the database for people; of one that was there, not where it is: its URI may hold a password.
func (d *Database) String() string {
	switch d.program.kind {
	case kindSecantus:
		return "SecantusDB (secantusd-rs --sync-on-commit)"
	case kindSecantusPython:
		return "SecantusDB, Python edition"
	case kindMongod:
		return "mongod"
	default:
		return "external"
	}
}

// Pid of the process, 0 of a database that was there.
func (d *Database) Pid() int { return d.current().pid() }

func (d *Database) current() *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.process
}

// Fast tells whether it is durable and fast enough for load; the Python edition is for a look.
func (d *Database) Fast() bool { return d.program.kind != kindSecantusPython }

// startDatabase gives what MONGODB_URI names, or starts the best program that is here with its data in dir.
func (b *backends) startDatabase(ctx context.Context) (*Database, error) {
	if uri := b.env.get("MONGODB_URI"); uri != "" {
		d := &Database{URI: uri, Kind: "external"}
		if err := awaitMongo(ctx, uri, 10*time.Second); err != nil {
			return nil, fmt.Errorf("MONGODB_URI: %w", err)
		}
		return d, nil
	}
	program, err := findMongo(ctx, b.env, b.build, b.say)
	if err != nil {
		return nil, err
	}
	d := &Database{
		Kind: string(program.kind), Path: program.path, program: program, port: b.database,
		dir: filepath.Join(b.dir, "mongodb-"+string(program.kind)), logDir: b.logDir(), pids: b.pids, onEnd: b.onEnd,
	}
	set := "secantus" // SecantusDB's own, fixed
	if program.kind == kindMongod {
		set = "orderwire"
	}
	d.URI = fmt.Sprintf("mongodb://%s/?replicaSet=%s", loopback(b.database), set)
	if err := b.provide("database", d.dir); err != nil {
		return nil, err
	}
	if err := d.Start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Start starts the program, also again after Stop or Kill, on the same port and data, and waits until it takes writes.
func (d *Database) Start(ctx context.Context) error {
	if d.Path == "" {
		return errors.New("the database was not started here")
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("start the database: %w", err)
	}
	c := command{name: "mongodb", path: d.Path, env: environment(os.Environ()).with(d.program.env...), onEnd: d.onEnd}
	switch d.program.kind {
	case kindMongod:
		c.args = []string{
			"--dbpath", d.dir, "--port", strconv.Itoa(d.port), "--bind_ip", "127.0.0.1", "--replSet", "orderwire",
			"--setParameter", "shutdownTimeoutMillisForSignaledShutdown=500",
		}
	case kindSecantus, kindSecantusPython:
		config := filepath.Join(d.dir, "..", "secantusd.toml") // empty: keeps it from reading one of the user's
		if err := os.WriteFile(config, nil, 0o644); err != nil {
			return fmt.Errorf("start the database: %w", err)
		}
		c.args = []string{
			"--config", config, "--host", "127.0.0.1", "--port", strconv.Itoa(d.port), "--storage-path", d.dir,
			"--sync-on-commit", // without it a kill -9 loses what was acknowledged with j: true
			"--cache-size", "256M", "--log-level", "WARNING",
		}
	}
	p, err := startProcess(c, d.logDir, d.pids)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.process = p
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + loopback(d.port)).SetDirect(true).
		SetServerSelectionTimeout(time.Second).SetAppName("orderwire-stack"))
	if err != nil {
		p.kill()
		return fmt.Errorf("start the database: %w", err)
	}
	defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // it was only asked for a ping
	if err := p.awaitReady(ctx, func(ctx context.Context) error { return d.writable(ctx, client) }); err != nil {
		p.kill()
		return err
	}
	return nil
}

// writable makes a fresh mongod a replica set, and says nil once the node is its primary.
func (d *Database) writable(ctx context.Context, client *mongo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	admin := client.Database("admin")
	var hello struct {
		Primary bool   `bson:"isWritablePrimary"`
		Set     string `bson:"setName"`
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	if hello.Primary && hello.Set != "" {
		return d.endOrphans(ctx, admin)
	}
	if d.program.kind == kindMongod && hello.Set == "" {
		member := bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: loopback(d.port)}}
		err := admin.RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: bson.D{
			{Key: "_id", Value: "orderwire"}, {Key: "members", Value: bson.A{member}},
		}}}).Err()
		const alreadyInitialized = 23
		var answer mongo.CommandError
		if err != nil && (!errors.As(err, &answer) || answer.Code != alreadyInitialized) {
			return fmt.Errorf("make the database a replica set: %w", err)
		}
	}
	return errors.New("the database is not a primary yet")
}

// transactionLifetime is how long a transaction may be open, in seconds. One whose client crashed holds its documents for
// so long, stock rows among them; MongoDB's default is a minute. Ours take milliseconds.
const transactionLifetime = 5

// endOrphans lets the server end what crashed clients have left open. The Python edition knows no such setting.
func (d *Database) endOrphans(ctx context.Context, admin *mongo.Database) error {
	if d.program.kind == kindSecantusPython {
		return nil
	}
	err := admin.RunCommand(ctx, bson.D{
		{Key: "setParameter", Value: 1}, {Key: "transactionLifetimeLimitSeconds", Value: transactionLifetime},
	}).Err()
	if err != nil {
		return fmt.Errorf("limit how long a transaction may be open: %w", err)
	}
	return nil
}

// Stop ends the program in good order; one that was not started here stays.
func (d *Database) Stop(ctx context.Context) {
	if p := d.current(); p != nil {
		p.stop(ctx, 1500*time.Millisecond)
	}
}

// Kill ends the program as a crash does.
func (d *Database) Kill() {
	if p := d.current(); p != nil {
		p.kill()
	}
}

// Pause stops the program in its tracks (SIGSTOP); it keeps its connections. Resume lets it go on.
func (d *Database) Pause() { d.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (d *Database) Resume() { d.signal(syscall.SIGCONT) }

func (d *Database) signal(s syscall.Signal) {
	if p := d.current(); p != nil {
		p.signal(s)
	}
}

// awaitMongo says nil once the replica set behind uri takes writes.
func awaitMongo(ctx context.Context, uri string, within time.Duration) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetServerSelectionTimeout(within).SetAppName("orderwire-stack"))
	if err != nil {
		return err
	}
	defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // it was only asked for a ping
	var hello struct {
		Set string `bson:"setName"`
		Msg string `bson:"msg"`
	}
	err = client.Database("admin").RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	var selection topology.ServerSelectionError
	if errors.As(err, &selection) {
		return fmt.Errorf("no primary there within %s", within)
	}
	if err != nil {
		return err
	}
	if hello.Set == "" && !strings.Contains(hello.Msg, "isdbgrid") {
		return errors.New("it is a standalone server; Orderwire needs transactions, so a replica set (one node is enough)")
	}
	return nil
}

func dropDatabase(ctx context.Context, uri, name string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetAppName("orderwire-stack"))
	if err != nil {
		return err
	}
	return errors.Join(client.Database(name).Drop(ctx), client.Disconnect(ctx))
}
