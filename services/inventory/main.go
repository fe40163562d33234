// Inventory keeps stock, and holds it for orders: every item or none, never more than there is.
//
// The way of an event: internal/consumer (a batch over both topics, by order) → internal/store (one transaction per
// batch) → internal/stock (the rules) → pkg/outbox (publishes what was decided). The HTTP side is internal/api → internal/store.
package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/config"
	kafkaconsumer "github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/inventory/internal/api"
	"github.com/orderwire/orderwire/services/inventory/internal/consumer"
	"github.com/orderwire/orderwire/services/inventory/internal/store"
)

// Config is what the environment says.
type Config struct {
	Service service.Config
	Kafka   kafka.Config
	MongoDB mongodb.Config
	Web     web.Config
	Auth    auth.Config
}

// defaults are this service's own; the environment comes after them.
var defaults = []string{"HTTP_ADDR=:8082", "ADMIN_ADDR=:9082", "MONGODB_DATABASE=" + consumer.Name}

func main() { service.Main(consumer.Name, run) }

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	conf, err := config.Parse[Config](slices.Concat(defaults, environ))
	if err != nil {
		return err
	}
	app, err := service.New(consumer.Name, conf.Service, stdout)
	if err != nil {
		return err
	}
	db, err := mongodb.Connect(ctx, conf.MongoDB, consumer.Name, app.Metrics)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	app.Defer("database", func(ctx context.Context) error { return mongodb.Disconnect(ctx, db) })
	app.Check("mongodb", true, func(ctx context.Context) error { return mongodb.Ping(ctx, db) })

	group := kafkaconsumer.Config{
		Group: consumer.Name, Topics: consumer.Topics(), Wants: consumer.Wants, Within: conf.Service.ShutdownTimeout,
	}
	producer, err := kafka.NewProducer(conf.Kafka, consumer.Name, kafkaconsumer.ManualTopics(group), app.Log, app.Metrics)
	if err != nil {
		return fmt.Errorf("make a producer: %w", err)
	}
	relay := outbox.NewRelay(store.Reservations(db), producer, app.Log, app.Metrics)
	stocks := store.New(db, relay, app.Metrics)
	if err := stocks.EnsureIndexes(ctx); err != nil {
		return err
	}
	member, err := kafkaconsumer.New(conf.Kafka, group, consumer.New(stocks).Handle, producer, app.Log, app.Metrics)
	if err != nil {
		return fmt.Errorf("make a consumer: %w", err)
	}
	app.Check("kafka", true, member.Reachable)
	app.Check("consumer", false, member.Joined)
	verifier, err := auth.NewVerifier(ctx, conf.Auth)
	if err != nil {
		return fmt.Errorf("make a verifier of tokens: %w", err)
	}
	server := web.New(conf.Web, app.Log, app.Metrics, app.Tracer)
	limit := web.RateLimit(conf.Web)
	anybody := []echo.MiddlewareFunc{web.Authenticate(verifier, false), limit}
	operator := []echo.MiddlewareFunc{web.Authenticate(verifier, true), limit, web.RequireOperator}
	api.New(stocks).Register(server, api.Access{Anybody: anybody, Operator: operator})

	// Stopped last in, first out: no more requests, the batch in flight is finished, its events go out.
	app.Go("producer", producer.Run)
	app.Go("relay", relay.Run)
	app.Go("consumer", member.Run)
	app.Go("http", web.Serve(conf.Web, conf.Service.ShutdownTimeout, server))
	return app.Run(ctx)
}
