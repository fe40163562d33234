package main

import (
	"context"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/chaos"
)

// F2: a service is started again so that it kills itself exactly at a failpoint, the N-th time it gets there.
func drawFailpoint(d *drawer) {
	d.every(3*time.Second, 8*time.Second, func(at time.Duration) {
		points := chaos.Failpoints()
		point := string(points[d.r.IntN(len(points))])
		d.add(at, d.between(time.Second, 3*time.Second), point, 1+d.r.IntN(20), d.one(stack.OrderAPI, stack.Inventory, stack.Shipping))
	})
}

func doFailpoint(ctx context.Context, b *breaker, i Injection) (func(), error) {
	p, err := b.part(i.Target[0])
	if err != nil {
		return nil, err
	}
	n := i.N
	if i.Variant == string(chaos.Start) || i.Variant == string(chaos.Join) {
		n = 1 // it gets there once
	}
	p.down(ctx, false)
	p.up(fmt.Sprintf("ORDERWIRE_FAILPOINT=%s@%d", i.Variant, n))
	return func() { // whether it got there or not, from here on it runs without
		p.down(context.WithoutCancel(ctx), false)
		p.up()
	}, nil
}
