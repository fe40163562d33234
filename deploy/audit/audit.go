package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

	keptOrders       *spill[orderDocument]
	keptReservations *spill[reservationDocument]
	keptShipments    *spill[shipmentDocument]
	keptAccepted     *spill[string]
}

// Run makes one audit. An error says that it could not be made: an *UnreachableError, a *topics.UnreachableError, or
// something else; what was found is in the report.
func Run(ctx context.Context, c Config) (report *Report, err error) { return run(ctx, c, nil) }

func run(ctx context.Context, c Config, w *window) (report *Report, err error) {
	mode := "live"
	if c.Quiesced {
		mode = "quiesced"
	}
	if c.Say == nil {
		c.Say = func(string, ...any) {}
	}
	a := &auditor{config: c, found: newFindings(mode), window: w, committed: map[string]map[string]map[int32]int64{}}
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
		return nil, fmt.Errorf("keep documents aside: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := a.makeSpills(dir); err != nil {
		return nil, err
	}
	defer a.closeSpills()
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
	a.lag()
	for p := range a.partitions {
		if err := a.partition(ctx, p); err != nil {
			return nil, err
		}
		if !a.follows() {
			c.Say("partition %d of %d: %d events so far", p+1, a.partitions, a.found.Events)
		}
	}
	a.skipped()
	if w != nil {
		w.since = ends
	}
	return &a.found.Report, nil
}

func (a *auditor) makeSpills(dir string) (err error) {
	if a.keptOrders, err = newSpill[orderDocument](dir, "orders", a.partitions); err != nil {
		return err
	}
	if a.keptReservations, err = newSpill[reservationDocument](dir, "reservations", a.partitions); err != nil {
		return err
	}
	if a.keptShipments, err = newSpill[shipmentDocument](dir, "shipments", a.partitions); err != nil {
		return err
	}
	a.keptAccepted, err = newSpill[string](dir, "accepted", a.partitions)
	return err
}

// closeSpills closes what was opened; the files go with their directory.
func (a *auditor) closeSpills() {
	_ = errors.Join(a.keptOrders.close(), a.keptReservations.close(), a.keptShipments.close(), a.keptAccepted.close())
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
		return nil, &UnreachableError{err}
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

	var reservations, shipments int
	reserved := sums{}
	err = scan(ctx, a.shipments, a.ids(), lean, func(s *storedShipment) error {
		shipments++
		d := s.document()
		return a.keptShipments.put(a.home(d.ID), &d)
	})
	if err != nil {
		return disconnect, err
	}
	err = scan(ctx, a.reservations, a.ids(), lean, func(s *storedReservation) error {
		reservations++
		reserved.add(s)
		d := s.document()
		return a.keptReservations.put(a.home(d.ID), &d)
	})
	if err != nil {
		return disconnect, err
	}
	if err := a.stock(ctx, inventory, reserved); err != nil {
		return disconnect, err
	}
	err = scan(ctx, a.orders, a.ids(), lean, func(s *storedOrder) error {
		a.found.Orders++
		if a.found.Orders%100_000 == 0 {
			a.config.Say("%d orders so far", a.found.Orders)
		}
		d := s.document()
		return a.keptOrders.put(a.home(d.ID), &d)
	})
	if err != nil {
		return disconnect, err
	}
	if !a.follows() {
		a.config.Say("%d orders, %d reservations, %d shipments", a.found.Orders, reservations, shipments)
	}
	return disconnect, a.accepted()
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
		if err := a.keptAccepted.put(a.home(id), &id); err != nil {
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

// lag is a part of I8: in a system that has drained, the groups have read all.
func (a *auditor) lag() {
	if !a.config.Quiesced {
		return
	}
	for _, g := range groups {
		for _, topic := range append([]string{retryTopic(g.name)}, g.topics...) {
			for p, r := range a.bounds[topic] {
				at := max(a.committed[g.name][topic][p], r.Start)
				a.found.check("I8", at >= r.End, func() Violation {
					return Violation{Topic: topic, Partition: &p, Offset: &at, Detail: fmt.Sprintf("%s has read up to here, %d records wait", g.name, r.End-at)}
				})
			}
		}
	}
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
