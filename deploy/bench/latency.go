package main

import (
	"context"
	"errors"

	"github.com/orderwire/orderwire/deploy/internal/load"
)

const latencyRate = 100 // orders a second

// The limits of the time from a POST to a WebSocket message, in milliseconds.
const (
	maxCreatedP50, maxCreatedP99     = 10, 50
	maxScheduledP50, maxScheduledP99 = 40, 150
)

// measureLatency places orders at a fixed rate, after a warm-up that does not count.
func measureLatency(ctx context.Context, l *lab) ([]figure, error) {
	if err := l.warmUp(ctx, load.Config{Clients: 64, Rate: latencyRate}); err != nil {
		return nil, err
	}
	cpuBefore := l.cpu()
	stop := l.profile(ctx, "latency", l.sizes.latency)
	result, err := l.load(ctx, load.Config{Clients: 64, Rate: latencyRate, Orders: int(l.sizes.latency.Seconds() * latencyRate)})
	if result.Accepted == 0 {
		return nil, errors.Join(err, stop())
	}
	figures := []figure{
		{name: "answer p50", unit: milliseconds, value: result.Answer.P50},
		{name: "answer p99", unit: milliseconds, value: result.Answer.P99},
		{name: "order-created pushed p50", unit: milliseconds, value: result.Created.P50, sense: atMost, limit: maxCreatedP50},
		{name: "order-created pushed p99", unit: milliseconds, value: result.Created.P99, sense: atMost, limit: maxCreatedP99},
		{name: "shipment-scheduled pushed p50", unit: milliseconds, value: result.Scheduled.P50, sense: atMost, limit: maxScheduledP50},
		{name: "shipment-scheduled pushed p99", unit: milliseconds, value: result.Scheduled.P99, sense: atMost, limit: maxScheduledP99},
	}
	figures = append(figures, cpuAnOrder(cpuBefore, l.cpu(), result.Accepted)...)
	return figures, errors.Join(err, stop())
}
