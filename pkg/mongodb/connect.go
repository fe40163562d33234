package mongodb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

const (
	firstWait = 50 * time.Millisecond
	longWait  = 2 * time.Second
)

// Connect gives the database of c once its server answers; it asks again with backoff until ctx ends.
// appName shows up in the server's logs. reg may be nil.
// The caller ends the connection with Disconnect.
func Connect(ctx context.Context, c Config, appName string, reg prometheus.Registerer) (*mongo.Database, error) {
	if c.Database == "" {
		return nil, errors.New("connect to MongoDB: MONGODB_DATABASE: must not be empty")
	}
	client, err := mongo.Connect(clientOptions(c, appName, newMetrics(reg)))
	if err != nil {
		return nil, fmt.Errorf("connect to MongoDB: %w", err)
	}
	db := client.Database(c.Database)
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		if err = Ping(ctx, db); err == nil {
			return db, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for MongoDB: %w: %w", ctx.Err(), err), disconnect(ctx, client))
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// clientOptions are the safe ones, whatever the URI asks for: an acknowledged write survives the loss of a process
// or of a minority of the nodes, and is never rolled back.
func clientOptions(c Config, appName string, m *metrics) *options.ClientOptions {
	journal := true
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxPoolSize == 0 {
		c.MaxPoolSize = 64
	}
	return options.Client().
		ApplyURI(c.URI).
		SetDialer(c.Dialer).
		SetAppName(appName).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).
		SetRetryReads(true).
		SetTimeout(c.Timeout).
		SetMaxPoolSize(c.MaxPoolSize).
		SetBSONOptions(&options.BSONOptions{NilSliceAsEmpty: true, NilMapAsEmpty: true}).
		SetPoolMonitor(m.poolMonitor()).
		SetMonitor(m.commandMonitor())
}

// Ping asks the server whether it is there.
func Ping(ctx context.Context, db *mongo.Database) error {
	if err := db.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		return fmt.Errorf("ping MongoDB: %w", err)
	}
	return nil
}

// Disconnect ends the connections behind db, in time even when ctx has ended.
func Disconnect(ctx context.Context, db *mongo.Database) error {
	return disconnect(ctx, db.Client())
}

func disconnect(ctx context.Context, client *mongo.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := client.Disconnect(ctx); err != nil {
		return fmt.Errorf("disconnect from MongoDB: %w", err)
	}
	return nil
}

// EnsureIndexes creates the indexes that are missing. It waits for the server as Connect does, for nothing else:
// an index of the same name with other keys or options is an error.
func EnsureIndexes(ctx context.Context, coll *mongo.Collection, models ...mongo.IndexModel) error {
	if len(models) == 0 {
		return nil
	}
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		_, err := coll.Indexes().CreateMany(ctx, models)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("create indexes of %s: %w", coll.Name(), err)
		if !IsAway(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}
