package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/load"
	"github.com/orderwire/orderwire/deploy/stack"
)

const (
	minAccepted = 2 // times the rate of InsertOne
	// acceptedSettle is how long the last events are waited for: nobody ships.
	acceptedSettle = 2 * time.Second
)

// measureAccept lets clients place orders as fast as they are answered while inventory and shipping are away: what
// order-api takes by itself, its events in Kafka, and at the notifier, included. Its peer is InsertOne of the very same
// documents, before and after it. Then the others come back and all is worked off.
func measureAccept(ctx context.Context, l *lab) (figures []figure, err error) {
	if err := l.warmUp(ctx, load.Config{Clients: burstClients}); err != nil {
		return nil, err
	}
	before, err := l.insertOne(ctx)
	if err != nil {
		return nil, err
	}
	away := []*stack.Instance{l.instance(stack.Inventory), l.instance(stack.Shipping)}
	var cpuBefore map[string]time.Duration
	c := load.Config{
		Operator: l.operator, Items: 1, Clients: burstClients, Orders: l.sizes.accept, Duration: time.Minute, Wait: acceptedSettle,
		OrderAPI: l.instance(stack.OrderAPI).URL, Notifier: l.instance(stack.Notifier).URL,
		Before: func(ctx context.Context) error {
			for _, i := range away {
				i.Stop(ctx)
			}
			cpuBefore = l.cpu()
			return nil
		},
	}
	result, err := load.Run(ctx, c)
	cpuAfter := l.cpu()
	if err = errors.Join(err, refused(result)); err == nil {
		var after float64
		after, err = l.insertOne(ctx)
		peer := (before + after) / 2
		figures = []figure{
			{name: fmt.Sprintf("InsertOne, %d clients", burstClients), unit: perSecond, value: peer},
			{name: "orders accepted, order-api by itself", unit: perSecond, value: result.PerSecond, sense: atLeast, limit: minAccepted * peer, of: "2 × InsertOne"},
			{name: "answer p50", unit: milliseconds, value: result.Answer.P50},
			{name: "answer p99", unit: milliseconds, value: result.Answer.P99},
		}
		figures = append(figures, cpuAnOrder(cpuBefore, cpuAfter, result.Accepted)...)
	}
	for _, i := range away {
		err = errors.Join(err, i.Start(ctx))
	}
	return figures, errors.Join(err, l.awaitConfirmed(ctx))
}
