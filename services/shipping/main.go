// Shipping takes orders to their customers: it plans a shipment for each, plays the carrier, and answers changes and
// cancellations for as long as the parcel has not left, with a refusal afterwards.
//
// The way of an event: internal/consumer (a batch, by order) → internal/store (one guarded write per order) →
// internal/shipment (the rules) → pkg/outbox (publishes what was decided). What a carrier does comes in by
// internal/api, over HTTP, and by internal/carrier, by itself.
package main

import (
	"context"
	"fmt"
	"io"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/config"
	kafkaconsumer "github.com/orderwire/orderwire/pkg/consumer"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/pkg/mongodb"
	"github.com/orderwire/orderwire/pkg/outbox"
	"github.com/orderwire/orderwire/pkg/service"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/shipping/internal/api"
	"github.com/orderwire/orderwire/services/shipping/internal/carrier"
	"github.com/orderwire/orderwire/services/shipping/internal/consumer"
	"github.com/orderwire/orderwire/services/shipping/internal/store"
)

// Config is what the environment says.
type Config struct {
	Service service.Config
	Kafka   kafka.Config
	MongoDB mongodb.Config
	Web     web.Config
	Auth    auth.Config
	Carrier carrier.Config
}

func main() { service.Main(consumer.Name, run) }

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	conf, err := config.Parse[Config](environ, "HTTP_ADDR=:8083", "ADMIN_ADDR=:9083", "MONGODB_DATABASE="+consumer.Name)
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
	relay := outbox.NewRelay(store.Shipments(db), producer, app.Log, app.Metrics)
	timers := conf.Carrier.Timers()
	shipments := store.New(db, relay, timers, app.Metrics)
	if err := shipments.EnsureIndexes(ctx); err != nil {
		return err
	}
	member, err := kafkaconsumer.New(conf.Kafka, group, consumer.New(shipments).Handle, producer, app.Log, app.Metrics)
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
	authenticate, limit := web.Authenticate(verifier, true), web.RateLimit(conf.Web)
	api.New(shipments).Register(server, api.Access{
		Customer: []echo.MiddlewareFunc{authenticate, limit},
		Operator: []echo.MiddlewareFunc{authenticate, limit, web.RequireOperator},
	})

	// Stopped last in, first out: no more requests, the batch in flight is finished, its events go out.
	app.Go("producer", producer.Run)
	app.Go("relay", relay.Run)
	app.Go("consumer", member.Run)
	if timers.On() {
		app.Go("carrier", carrier.New(shipments, timers.States(), app.Log).Run)
	}
	app.Go("http", web.Serve(conf.Web, conf.Service.ShutdownTimeout, server))
	return app.Run(ctx)
}
