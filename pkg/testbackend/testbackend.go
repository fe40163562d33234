// Package testbackend gives tests the real database and broker that the environment names.
//
// TEST_MONGODB_URI and TEST_KAFKA_BROKERS say where they are. A test without its backend is skipped and says why;
// REQUIRE_BACKENDS=1 makes that a failure, so that CI cannot pass by testing nothing.
package testbackend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/orderwire/orderwire/pkg/mongodb"
)

// Mongo gives the test a database of its own, which is dropped at its end.
func Mongo(t testing.TB) *mongo.Database {
	t.Helper()
	uri := env(t, "TEST_MONGODB_URI", "a MongoDB connection string")
	db := connect(t, mongodb.Config{URI: uri, Database: databaseName(t)})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := db.Drop(ctx); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return db
}

// connect gives a connection that ends with the test.
func connect(t testing.TB, c mongodb.Config) *mongo.Database {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	db, err := mongodb.Connect(ctx, c, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mongodb.Disconnect(context.Background(), db); err != nil {
			t.Error(err)
		}
	})
	return db
}

// NeedsPlans skips the test on a database that plans queries in its own way: SecantusDB's Python edition scans where it
// has a partial index.
func NeedsPlans(t testing.TB) {
	t.Helper()
	if os.Getenv("TEST_MONGODB_KIND") == "secantusd-py" {
		t.Skip("SecantusDB's Python edition plans queries in its own way: make mongodb, or MONGODB_URI, gives another database")
	}
}

// Explain gives the plan that the database takes for a find: the command's fields behind its name, filter first.
func Explain(t testing.TB, coll *mongo.Collection, find bson.D) string {
	t.Helper()
	NeedsPlans(t)
	command := append(bson.D{{Key: "find", Value: coll.Name()}}, find...)
	var plan struct {
		Planner struct {
			Winning bson.Raw `bson:"winningPlan"`
		} `bson:"queryPlanner"`
	}
	err := coll.Database().RunCommand(t.Context(), bson.D{
		{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"},
	}).Decode(&plan)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bson.MarshalExtJSON(plan.Planner.Winning, false, false)
	if err != nil {
		t.Fatalf("no winning plan: %v", err)
	}
	return string(raw)
}

// Kafka gives the bootstrap addresses of the test's broker. Topics are shared with other tests: make names of your own.
func Kafka(t testing.TB) []string {
	t.Helper()
	return strings.Split(env(t, "TEST_KAFKA_BROKERS", "Kafka bootstrap addresses"), ",")
}

func env(t testing.TB, name, what string) string {
	t.Helper()
	value := os.Getenv(name)
	switch {
	case value != "":
	case os.Getenv("REQUIRE_BACKENDS") == "1":
		t.Fatalf("%s is not set (%s), and REQUIRE_BACKENDS=1 asks for it", name, what)
	default:
		t.Skipf("%s is not set (%s)", name, what)
	}
	return value
}

// databaseName is at most 63 bytes, as MongoDB wants it, and tells whose database it is.
func databaseName(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, t.Name())
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	return name[:min(len(name), 40)] + "_" + hex.EncodeToString(random[:])
}
