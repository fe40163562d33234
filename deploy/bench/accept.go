package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/load"
	"github.com/orderwire/orderwire/deploy/stack"
)

const minAccepted = 2 // times the rate of InsertOne

// measureAccept lets clients place orders as fast as they are answered while inventory and shipping are away: what
// order-api takes by itself, its events in Kafka, and at the notifier, included. Its peer is InsertOne of the very same
// documents, before and after it. The others come back when the last order is answered, and all is worked off.
func measureAccept(ctx context.Context, l *lab) ([]figure, error) {
	if err := l.warmUp(ctx, load.Config{Clients: burstClients}); err != nil {
		return nil, err
	}
	before, err := l.insertOne(ctx)
	if err != nil {
		return nil, err
	}
	away := []*stack.Instance{l.instance(stack.Inventory), l.instance(stack.Shipping)}
	var cpuBefore, cpuAfter map[string]time.Duration
	result, err := l.load(ctx, load.Config{
		Clients: burstClients, Orders: l.sizes.accept, Duration: time.Minute,
		Before: func(ctx context.Context) error {
			for _, i := range away {
				i.Stop(ctx)
			}
			cpuBefore = l.cpu()
			return nil
		},
		Placed: func(ctx context.Context) error {
			cpuAfter = l.cpu()
			var errs []error
			for _, i := range away {
				errs = append(errs, i.Start(ctx))
			}
			return errors.Join(errs...)
		},
	})
	if err != nil {
		return nil, err
	}
	after, err := l.insertOne(ctx)
	if err != nil {
		return nil, err
	}
	peer := (before + after) / 2
	figures := []figure{
		{name: fmt.Sprintf("InsertOne, %d clients", burstClients), unit: perSecond, value: peer},
		{name: "orders accepted, order-api by itself", unit: perSecond, value: result.PerSecond, sense: atLeast, limit: minAccepted * peer, of: "2 × InsertOne"},
		{name: "answer p50", unit: milliseconds, value: result.Answer.P50},
		{name: "answer p99", unit: milliseconds, value: result.Answer.P99},
	}
	return append(figures, cpuAnOrder(cpuBefore, cpuAfter, result.Accepted)...), nil
}
