package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/mongodb"
	events "github.com/orderwire/orderwire/proto-events"
)

// UnreachableError says that the database does not answer. Kafka's is a *topics.UnreachableError.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return "reach MongoDB: " + e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// unreachable wraps an error that is not the caller's own wish to end.
func unreachable(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &UnreachableError{err}
}

// Databases names the three databases.
type Databases struct{ OrderAPI, Inventory, Shipping string }

// Config says what is audited.
type Config struct {
	Kafka     kafka.Config
	MongoDB   string // URI
	Databases Databases
	// Quiesced says that nothing moves: no requests, empty outboxes, no lag. Then all equalities must hold.
	Quiesced bool
	// Ignore are records that somebody wrote on purpose: they are no events of the services.
	Ignore map[Coordinates]bool
	// Accepted are the orders that clients were told are there; a reader of one id a line, nil for none.
	Accepted io.Reader
	// All lists every violation, which takes memory for each; otherwise it is the first hundred of each invariant.
	All bool
	// Every is how often Follow looks; 0 is 10 s.
	Every time.Duration
	// Say tells of progress.
	Say func(format string, args ...any)
}

// Coordinates say where a record is.
type Coordinates struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// ReadIgnore reads one record's coordinates a line, as JSON; fields beside them are left to others.
func ReadIgnore(r io.Reader) (map[Coordinates]bool, error) {
	out := map[Coordinates]bool{}
	dec := json.NewDecoder(r)
	for {
		var c Coordinates
		switch err := dec.Decode(&c); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("record %d of the coordinates to ignore: %w", len(out)+1, err)
		}
		out[c] = true
	}
}

// The services, which are the groups too, and the topics that each reads.
var groups = []struct {
	name   string
	topics []string
}{
	{string(events.SourceOrderAPI), []string{events.TopicOrders, events.TopicShipping}},
	{string(events.SourceInventory), []string{events.TopicOrders, events.TopicShipping}},
	{string(events.SourceShipping), []string{events.TopicShipping}},
}

// Names of the topics beside the two, see pkg/consumer.
func deadLetterTopic(topic, group string) string { return topic + "." + group + ".dlq" }
func retryTopic(group string) string             { return group + ".retry" }

// maxEntries is how much of what was read about orders memory holds at once: of ordinary orders, which have about nine
// entries, 11,000; of orders that only have a document, 100,000.
const maxEntries = 100_000

// auditor is one audit.
type auditor struct {
	config     Config
	log        *topics.Log
	found      *findings
	partitions int32
	bounds     topics.Bounds
	committed  map[string]map[string]map[int32]int64 // by group, topic and partition
	window     *window                               // of a follower, nil without one

	orders, reservations, shipments *mongo.Collection

	kept      *spill
	truncated map[part]bool // where the log begins later than its first record
}

// Run makes one audit. An error says that it could not be made: an *UnreachableError, a *topics.UnreachableError, or
// something else; what was found is in the report.
func Run(ctx context.Context, c Config) (report *Report, err error) { return run(ctx, c, nil) }

func run(ctx context.Context, c Config, w *window) (report *Report, err error) {
	mode := "live"
	if c.Quiesced {
		mode = "quiesced"
	}
	most := maxListed
	if c.All {
		most = math.MaxInt
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	a := &auditor{config: c, found: newFindings(mode, most), window: w, committed: map[string]map[string]map[int32]int64{}, truncated: map[part]bool{}}
	if a.log, err = topics.Open(c.Kafka); err != nil {
		return nil, err
	}
	defer a.log.Close()
	if err := a.committedOffsets(ctx); err != nil {
		return nil, err
	}
	if a.bounds, err = a.log.Bounds(ctx, events.TopicOrders, events.TopicShipping); err != nil {
		return nil, err
	}
	a.partitions = int32(len(a.bounds[events.TopicOrders]))
	if a.partitions == 0 || len(a.bounds[events.TopicShipping]) != int(a.partitions) {
		return nil, fmt.Errorf("%s has %d partitions and %s has %d: want the same number, and some", events.TopicOrders,
			a.partitions, events.TopicShipping, len(a.bounds[events.TopicShipping]))
	}
	ends := endsOf(a.bounds)
	if a.follows() {
		if err := a.news(ctx); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "orderwire-audit-")
	if err != nil {
		return nil, fmt.Errorf("set aside what is read: %w", err)
	}
	defer os.RemoveAll(dir)
	a.kept = &spill{dir: dir}
	defer a.kept.close()
	disconnect, err := a.documents(ctx)
	if err != nil {
		return nil, err
	}
	defer disconnect()
	if a.bounds, err = a.log.Bounds(ctx, a.topics()...); err != nil {
		return nil, err
	}
	if a.follows() {
		for topic, partitions := range w.since {
			for p, since := range partitions {
				r := a.bounds[topic][p]
				a.bounds[topic][p] = topics.Range{Start: max(r.Start, since), End: r.End}
			}
		}
	}
	if err := a.lag(ctx); err != nil {
		return nil, err
	}
	read := a.progress("events", records(a.bounds))
	for p := range a.partitions {
		if err := a.setAside(ctx, p, read); err != nil {
			return nil, err
		}
	}
	checked := a.progress("orders checked", int64(a.found.Orders))
	err = a.kept.each(maxEntries, func(b *bucket) error {
		orders, err := a.bucket(ctx, b)
		checked.step(orders)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.skipped()
	if a.found.moving.Violations > 0 {
		a.found.Moving = &a.found.moving
	}
	if w != nil {
		w.since = ends
	}
	return &a.found.Report, nil
}

// committedOffsets come first of all: what is below them was finished before the documents are read.
func (a *auditor) committedOffsets(ctx context.Context) error {
	for _, g := range groups {
		committed, err := a.log.Committed(ctx, g.name)
		if err != nil {
			return err
		}
		a.committed[g.name] = committed
	}
	return nil
}

// topics names all that are read.
func (a *auditor) topics() []string {
	names := []string{events.TopicOrders, events.TopicShipping}
	for _, g := range groups {
		names = append(names, retryTopic(g.name))
		for _, topic := range g.topics {
			names = append(names, deadLetterTopic(topic, g.name))
		}
	}
	return names
}

// documents reads the three databases and the file of accepted orders, and keeps them by partition.
func (a *auditor) documents(ctx context.Context) (disconnect func(), err error) {
	connecting, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	db, err := mongodb.Connect(connecting, mongodb.Config{
		URI: a.config.MongoDB, Database: a.config.Databases.OrderAPI, Timeout: 10 * time.Minute, MaxPoolSize: 4,
	}, "orderctl-audit", nil)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	disconnect = func() { _ = mongodb.Disconnect(ctx, db) }
	defer func() {
		if err != nil {
			disconnect()
		}
	}()
	inventory := db.Client().Database(a.config.Databases.Inventory)
	a.orders, a.reservations = db.Collection("orders"), inventory.Collection("reservations")
	a.shipments = db.Client().Database(a.config.Databases.Shipping).Collection("shipments")

	reserved := sums{}
	shipments, err := scanAll(ctx, a, a.shipments, func(s *storedShipment) error {
		if s.onItsWay() {
			a.found.moving.Parcels++
			if s.Due.After(a.found.moving.Due) {
				a.found.moving.Due = s.Due
			}
		}
		d := s.document()
		return a.kept.put(&entry{Shipment: &d})
	})
	if err != nil {
		return disconnect, err
	}
	reservations, err := scanAll(ctx, a, a.reservations, func(s *storedReservation) error {
		reserved.add(s)
		d := s.document()
		return a.kept.put(&entry{Reservation: &d})
	})
	if err != nil {
		return disconnect, err
	}
	if err := a.stock(ctx, inventory, reserved); err != nil {
		return disconnect, err
	}
	a.found.Orders, err = scanAll(ctx, a, a.orders, func(s *storedOrder) error {
		d := s.document()
		return a.kept.put(&entry{Order: &d})
	})
	if err != nil {
		return disconnect, err
	}
	if !a.follows() {
		a.config.Say("read %d orders, %d reservations, %d shipments", a.found.Orders, reservations, shipments)
	}
	return disconnect, a.accepted()
}

// scanAll hands each document that the audit is about to each, and counts them.
func scanAll[T any](ctx context.Context, a *auditor, c *mongo.Collection, each func(*T) error) (n int, err error) {
	read := a.progress(nameOf(c), a.estimate(ctx, c))
	err = scan(ctx, c, a.ids(), lean, func(doc *T) error {
		n++
		read.step(1)
		return each(doc)
	})
	return n, err
}

// estimate is how many documents scanAll will read, as far as that is known: it is for the eye only.
func (a *auditor) estimate(ctx context.Context, c *mongo.Collection) int64 {
	if a.follows() {
		return int64(len(a.window.only))
	}
	n, err := c.EstimatedDocumentCount(ctx)
	if err != nil {
		return 0 // reading them will tell why
	}
	return n
}

func (a *auditor) accepted() error {
	if a.config.Accepted == nil {
		return nil
	}
	lines := bufio.NewScanner(a.config.Accepted)
	for lines.Scan() {
		id := strings.TrimSpace(lines.Text())
		if id == "" {
			continue
		}
		if err := a.kept.put(&entry{Accepted: id}); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the accepted orders: %w", err)
	}
	return nil
}

// home is the partition of an order.
func (a *auditor) home(id string) int32 { return topics.PartitionOf([]byte(id), a.partitions) }

// lag is a part of I8: in a system that has drained, the groups have read all. A group that has read all may have committed
// less than the end: what a transaction leaves behind is no record of anybody's.
func (a *auditor) lag(ctx context.Context) error {
	if !a.config.Quiesced {
		return nil
	}
	for _, g := range groups {
		for _, topic := range append([]string{retryTopic(g.name)}, g.topics...) {
			for p, r := range a.bounds[topic] {
				at := max(a.committed[g.name][topic][p], r.Start)
				waits := false
				err := a.log.Read(ctx, topic, p, topics.Range{Start: at, End: r.End}, func(*topics.Record) error {
					waits = true
					return topics.ErrStop
				})
				if err != nil {
					return err
				}
				a.found.checkAtRest("I8", !waits, func() Violation {
					return Violation{Topic: topic, Partition: &p, Offset: &at, Detail: fmt.Sprintf("%s has read up to here, %d records wait", g.name, r.End-at)}
				})
			}
		}
	}
	return nil
}

// skipped says what a live audit cannot know.
func (a *auditor) skipped() {
	if a.config.Quiesced {
		return
	}
	a.found.by["I8"].Skipped = "only a quiesced system has drained"
	if a.found.by["I1"].Checked == 0 {
		a.found.by["I1"].Skipped = "no list of accepted orders was given, and only in a quiesced system has each order come through"
	}
}
