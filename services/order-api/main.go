// Order-api takes orders over HTTP, keeps their state, and says every change of it on Kafka.
//
// The way of a request: internal/api (a file per route) → internal/order (the rules) → internal/store (one guarded
// write that holds the order and its events) → pkg/outbox (publishes the events). The way back of news from inventory
// and shipping: internal/consumer → internal/store → internal/order.
package main

import (
	"context"
	"errors"
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
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/age"
	"github.com/orderwire/orderwire/services/order-api/internal/api"
	"github.com/orderwire/orderwire/services/order-api/internal/consumer"
	"github.com/orderwire/orderwire/services/order-api/internal/store"
)

// Config is what the environment says.
type Config struct {
	Service service.Config
	Kafka   kafka.Config
	MongoDB mongodb.Config
	Web     web.Config
	Auth    auth.Config
	// DevLogin lets anybody have a token for anybody.
	DevLogin bool `env:"DEV_LOGIN"`
}

// Validate refuses a development login beside real customers.
func (c Config) Validate() error {
	if c.DevLogin && c.Auth.JWKSURL != "" {
		return errors.New("DEV_LOGIN: must be off when JWT_JWKS_URL is set")
	}
	return nil
}

// topics are the two that order-api reads; it writes to the first.
var topics = []string{events.TopicOrders, events.TopicShipping}

func main() { service.Main(consumer.Name, run) }

func run(ctx context.Context, environ []string, stdout io.Writer) error {
	conf, err := config.Parse[Config](environ, "HTTP_ADDR=:8081", "ADMIN_ADDR=:9081", "MONGODB_DATABASE=orders")
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
		Group: consumer.Name, Topics: topics, Wants: consumer.Wants, Within: conf.Service.ShutdownTimeout,
	}
	producer, err := kafka.NewProducer(conf.Kafka, consumer.Name, kafkaconsumer.ManualTopics(group), app.Log, app.Metrics)
	if err != nil {
		return fmt.Errorf("make a producer: %w", err)
	}
	relay := outbox.NewRelay(store.Orders(db), producer, app.Log, app.Metrics)
	orders := store.New(db, relay)
	if err := orders.EnsureIndexes(ctx); err != nil {
		return err
	}
	member, err := kafkaconsumer.New(conf.Kafka, group, consumer.New(orders).Handle, producer, app.Log, app.Metrics)
	if err != nil {
		return fmt.Errorf("make a consumer: %w", err)
	}
	app.Check("kafka", false, member.Reachable)
	app.Check("consumer", false, member.Joined)
	verifier, err := auth.NewVerifier(ctx, conf.Auth)
	if err != nil {
		return fmt.Errorf("make a verifier of tokens: %w", err)
	}
	server := web.New(conf.Web, app.Log, app.Metrics, app.Tracer)
	serve(server, conf, orders, verifier)

	// Stopped last in, first out: no more requests, what was taken in is answered, its events go out.
	app.Go("producer", producer.Run)
	app.Go("relay", relay.Run)
	app.Go("store", orders.Run)
	app.Go("age", age.New(orders, store.Moving(), app.Log, app.Metrics).Run)
	app.Go("consumer", member.Run)
	app.Go("http", web.Serve(conf.Web, conf.Service.ShutdownTimeout, server))
	return app.Run(ctx)
}

func serve(e *echo.Echo, conf Config, orders *store.Store, verifier *auth.Verifier) {
	var login *auth.Verifier
	if conf.DevLogin {
		login = verifier
	}
	limit := web.RateLimit(conf.Web)
	api.New(orders, orders, login).Register(e, api.Access{
		Anybody:  []echo.MiddlewareFunc{web.Authenticate(verifier, false), limit},
		Customer: []echo.MiddlewareFunc{web.Authenticate(verifier, true), limit},
		Operator: []echo.MiddlewareFunc{web.Authenticate(verifier, true), limit, web.RequireOperator},
	})
}
