package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/orderwire/orderwire/deploy/audit"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/config"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// direct is what every command takes that looks behind the API, at the topics and the databases themselves. A broker
// with TLS or SASL is reached by the variables that the services take, KAFKA_TLS and so on.
type direct struct {
	Stack     string            `type:"existingfile" placeholder:"FILE" help:"File with the line of up --json: it says where everything is."`
	Kafka     []string          `env:"KAFKA_BROKERS" default:"127.0.0.1:9092" placeholder:"HOST:PORT" help:"Bootstrap addresses (${env}; ${default})."`
	MongoDB   string            `name:"mongodb" env:"MONGODB_URI" default:"mongodb://127.0.0.1:27017/?directConnection=true" placeholder:"URI" help:"The database server (${env}; ${default})."`
	Databases map[string]string `mapsep:"," placeholder:"SERVICE=NAME" help:"Database of each service (order-api=orders,inventory=inventory,shipping=shipping)."`
	JSON      bool              `help:"Print JSON."`
}

// locate takes in --stack and fills in the usual names.
func (d *direct) locate() error {
	names := map[string]string{documents.OrderAPI: "orders", documents.Inventory: "inventory", documents.Shipping: "shipping"}
	if d.Stack != "" {
		raw, err := os.ReadFile(d.Stack)
		if err != nil {
			return fmt.Errorf("--stack: %w", err)
		}
		var s description
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("--stack: %s is not what up --json prints: %w", d.Stack, err)
		}
		d.Kafka, d.MongoDB = s.Kafka.Brokers, s.MongoDB.URI
		maps.Copy(names, s.MongoDB.Databases)
	}
	maps.Copy(names, d.Databases)
	d.Databases = names
	return nil
}

// kafka gives how the brokers are reached.
func (d *direct) kafka(environ []string) (kafka.Config, error) {
	if err := d.locate(); err != nil {
		return kafka.Config{}, err
	}
	return config.Parse[kafka.Config](append(environ[:len(environ):len(environ)], "KAFKA_BROKERS="+strings.Join(d.Kafka, ",")))
}

// log opens the topics; close it.
func (d *direct) log(environ []string) (*topics.Log, error) {
	c, err := d.kafka(environ)
	if err != nil {
		return nil, err
	}
	return topics.Open(c)
}

// documents opens the databases; close them.
func (d *direct) documents(ctx context.Context) (*documents.Databases, error) {
	if err := d.locate(); err != nil {
		return nil, err
	}
	return documents.Open(ctx, d.MongoDB, d.Databases)
}

// closed ends what was opened to read, where nothing can be lost.
func closed(ctx context.Context, t *terminal, d *documents.Databases) {
	if err := d.Close(ctx); err != nil {
		t.say("orderctl: %v", err)
	}
}

// isAway tells whether a broker or a database does not answer.
func isAway(err error) bool {
	var broker *topics.UnreachableError
	var database *documents.UnreachableError
	var audited *audit.UnreachableError
	return errors.As(err, &broker) || errors.As(err, &database) || errors.As(err, &audited)
}
