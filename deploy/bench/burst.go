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
	burstClients = 64
	minThrough   = 500 // orders a second
)

// measureBurst lets clients place orders as fast as they are answered, and waits until the last one is scheduled. Its
// peer, InsertOne of the very same documents, is measured before and after it.
func measureBurst(ctx context.Context, l *lab) ([]figure, error) {
	if err := l.warmUp(ctx, load.Config{Clients: burstClients}); err != nil {
		return nil, err
	}
	before, err := l.insertOne(ctx)
	if err != nil {
		return nil, err
	}
	cpuBefore := l.cpu()
	stop := l.profile(ctx, "burst", 5*time.Second)
	begin := time.Now()
	result, err := l.load(ctx, load.Config{Clients: burstClients, Orders: l.sizes.burst, Duration: time.Minute})
	all := time.Since(begin)
	profiled := stop()
	cpuAfter := l.cpu()
	if result.Accepted == 0 {
		return nil, errors.Join(err, profiled)
	}
	after, peerErr := l.insertOne(ctx)
	if peerErr != nil {
		return nil, errors.Join(err, profiled, peerErr)
	}
	peer := (before + after) / 2
	figures := []figure{
		{name: fmt.Sprintf("InsertOne, %d clients", burstClients), unit: perSecond, value: peer},
		{name: "orders accepted, the chain beside it", unit: perSecond, value: result.PerSecond},
		{name: "orders through the whole chain", unit: perSecond, value: result.Through, sense: atLeast, limit: minThrough},
		{name: "orders until the last one is confirmed", unit: perSecond, value: float64(result.Accepted) / all.Seconds()},
		{name: "answer p50", unit: milliseconds, value: result.Answer.P50},
		{name: "answer p99", unit: milliseconds, value: result.Answer.P99},
	}
	figures = append(figures, cpuAnOrder(cpuBefore, cpuAfter, result.Accepted)...)
	for _, name := range stack.Services() {
		bytes, rssErr := resident(ctx, l.instance(name).Pid())
		if rssErr != nil {
			return figures, errors.Join(err, profiled, fmt.Errorf("memory of %s: %w", name, rssErr))
		}
		figures = append(figures, figure{name: "resident afterwards, " + name, unit: megabytes, value: bytes / 1e6})
	}
	return figures, errors.Join(err, profiled)
}
