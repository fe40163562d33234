package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/load"
	"github.com/orderwire/orderwire/deploy/stack"
)

// scaledTo is how many instances of inventory work a backlog off, beside one.
const scaledTo = 3

// measureScaling lets one instance of inventory work off a backlog, and then some of them one just like it.
func measureScaling(ctx context.Context, l *lab) ([]figure, error) {
	if err := l.warmUp(ctx, load.Config{Clients: burstClients}); err != nil {
		return nil, err
	}
	alone, err := l.drain(ctx, 1)
	if err != nil {
		return nil, fmt.Errorf("1 instance: %w", err)
	}
	together, err := l.drain(ctx, scaledTo)
	if err != nil {
		return nil, fmt.Errorf("%d instances: %w", scaledTo, err)
	}
	return scalingFigures(alone, together), nil
}

func scalingFigures(alone, together float64) []figure {
	return []figure{
		{name: "backlog confirmed, 1 instance", unit: perSecond, value: alone},
		{name: fmt.Sprintf("backlog confirmed, %d instances", scaledTo), unit: perSecond, value: together},
		{name: fmt.Sprintf("%d instances ÷ 1", scaledTo), unit: times, value: together / alone},
	}
}

// drain places orders while inventory is away, starts n instances of it at once, and gives the orders a second from
// then until order-api has confirmed the last one: that they start and share out the partitions is in it. Afterwards
// there is one again.
func (l *lab) drain(ctx context.Context, n int) (perSecond float64, err error) {
	for len(l.stack.Instances(stack.Inventory)) < n {
		if _, err := l.stack.Prepare(stack.Inventory); err != nil {
			return 0, err
		}
	}
	all := l.stack.Instances(stack.Inventory)[:n]
	defer func() {
		for _, spare := range all[1:] {
			spare.Stop(context.WithoutCancel(ctx)) // which has a bound of its own
		}
	}()
	var begin time.Time
	result, err := l.load(ctx, load.Config{
		Clients: burstClients, Orders: l.sizes.backlog, Duration: time.Minute,
		Before: func(ctx context.Context) error { all[0].Stop(ctx); return nil },
		Placed: func(ctx context.Context) error { begin = time.Now(); return startAll(ctx, all) },
	})
	if err != nil {
		return 0, err
	}
	return float64(result.Accepted) / time.Since(begin).Seconds(), nil
}

// startAll starts instances at once and waits for all.
func startAll(ctx context.Context, all []*stack.Instance) error {
	errs := make([]error, len(all))
	var starting sync.WaitGroup
	for n, i := range all {
		starting.Go(func() { errs[n] = i.Start(ctx) })
	}
	starting.Wait()
	return errors.Join(errs...)
}
