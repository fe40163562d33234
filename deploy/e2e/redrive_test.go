package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// redrive makes a dead letter of news that order-api could not handle, mends the cause, and hands the news back: it
// takes effect once, however often it is handed back, and a watcher sees the effect and not the news again.
func redrive(t *testing.T, s *system) {
	sku := s.product(t, 10)
	alice := s.customer(t)
	w := s.operator(t).watch(url.Values{})
	o := alice.place(item{sku, 1})
	alice.awaitThat(o.ID, "scheduled", func(o order) bool { return o.Shipment != nil && o.Shipment.Status == "scheduled" })

	// The parcel leaves while order-api's document of it is not there.
	orders := s.collection(t, "order-api", "orders")
	document := takeOut(t, orders, o.ID)
	s.carrier(t, o.ID, "dispatch", nil)
	var found []struct{ Topic, Type, State, Error string }
	require.EventuallyWithT(t, func(c *assertT) {
		s.orderctl(t, &found, "dlq", "list", "--order", o.ID)
		assert.Len(c, found, 1)
	}, patience, pollEvery)
	require.Equal(t, "shipment-dispatched", found[0].Type)
	require.Contains(t, found[0].Error, "not found")
	_, err := orders.InsertOne(t.Context(), document)
	require.NoError(t, err)
	var story struct{ Waits struct{ For string } }
	s.orderctl(t, &story, "explain", o.ID)
	require.Contains(t, story.Waits.For, "dead letter order-api:shipping-events/")

	// A dry run changes nothing and says what would.
	var dry struct {
		Letters []struct{ Forecast struct{ Effect, Why string } }
	}
	s.orderctl(t, &dry, "dlq", "redrive", "--order", o.ID, "--dry-run")
	require.Len(t, dry.Letters, 1)
	require.Equal(t, "changes", dry.Letters[0].Forecast.Effect)
	require.Contains(t, dry.Letters[0].Forecast.Why, "the shipment is dispatched")
	require.Equal(t, "confirmed", alice.order(o.ID).Status)
	s.orderctl(t, &found, "dlq", "list", "--order", o.ID)
	require.Len(t, found, 1)

	var done struct{ Letters []json.RawMessage }
	s.orderctl(t, &done, "dlq", "redrive", "--order", o.ID, "--reason", "the document is back")
	require.Len(t, done.Letters, 1)
	shipped := alice.await(o.ID, "shipped")
	w.untilOrder(o.ID, "shipped")
	events := s.recordsOf(t, o.ID)

	// Nothing is left to redrive; handed back all the same, it has no effect.
	s.orderctl(t, &done, "dlq", "redrive", "--order", o.ID)
	require.Empty(t, done.Letters)
	s.orderctl(t, &done, "dlq", "redrive", "--order", o.ID, "--again")
	require.Len(t, done.Letters, 1)
	s.awaitCommitted(t, "order-api", "order-api.retry")
	require.Equal(t, shipped.Version, alice.order(o.ID).Version)
	require.Equal(t, events, s.recordsOf(t, o.ID))
	s.orderctl(t, &found, "dlq", "list", "--order", o.ID, "--settled")
	require.Equal(t, "redriven", found[0].State)

	// Nobody else was told: the watcher has the news once, and everything that comes after it.
	s.carrier(t, o.ID, "deliver", nil)
	seen := w.untilOrder(o.ID, "delivered")
	times := 0
	for _, e := range seen {
		if e.Subject == o.ID && e.Type == "shipment-dispatched" {
			times++
		}
	}
	require.Equal(t, 1, times)

	for _, service := range []string{"order-api", "inventory", "shipping"} {
		var replay struct{ Changes, Read int }
		s.orderctl(t, &replay, "replay", "--service", service)
		require.Zero(t, replay.Changes)
		require.Positive(t, replay.Read)
	}
}

// orderctl runs a command against the topics and databases of the system, and decodes its JSON into out.
func (s *system) orderctl(t *testing.T, out any, args ...string) {
	t.Helper()
	bin := os.Getenv("ORDERWIRE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin")
	}
	var databases []string
	for _, service := range []string{"order-api", "inventory", "shipping"} {
		databases = append(databases, service+"="+s.DatabaseName(service))
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "orderctl"), append(args, "--json",
		"--kafka", strings.Join(s.Broker.Brokers, ","), "--mongodb", s.Database.URI, "--databases", strings.Join(databases, ","))...)
	raw, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		require.NoError(t, err, "%s: %s%s", args, exit.Stderr, raw)
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, out), string(raw))
}

func (s *system) collection(t *testing.T, service, name string) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(s.Database.URI))
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := client.Disconnect(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return client.Database(s.DatabaseName(service)).Collection(name)
}

// takeOut removes a document whose events are all published.
func takeOut(t *testing.T, from *mongo.Collection, id string) bson.Raw {
	t.Helper()
	var document bson.Raw
	require.EventuallyWithT(t, func(c *assertT) {
		var err error
		document, err = from.FindOneAndDelete(t.Context(), bson.D{{Key: "_id", Value: id}, {Key: "outbox", Value: bson.A{}}}).Raw()
		assert.NoError(c, err)
	}, patience, pollEvery)
	return document
}

// recordsOf counts the order's records in both topics.
func (s *system) recordsOf(t *testing.T, id string) int {
	t.Helper()
	var story struct{ Events []json.RawMessage }
	s.orderctl(t, &story, "explain", id)
	return len(story.Events)
}

// awaitCommitted waits until a group has finished a topic.
func (s *system) awaitCommitted(t *testing.T, group, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Broker.Brokers...))
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	require.EventuallyWithT(t, func(c *assertT) {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if !assert.NoError(c, err) {
			return
		}
		committed, err := admin.FetchOffsets(t.Context(), group)
		if !assert.NoError(c, err) {
			return
		}
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := committed.Lookup(topic, end.Partition)
			assert.True(c, end.Offset == 0 || ok && at.At == end.Offset, "%d of %d", at.At, end.Offset)
		})
	}, patience, pollEvery)
}
