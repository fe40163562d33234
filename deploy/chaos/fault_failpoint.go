package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/pkg/chaos"
)

// F2: a service is started again so that it kills itself exactly at a failpoint, the N-th time it gets there.
func drawFailpoint(d *drawer) {
	d.every(3*time.Second, 8*time.Second, func(at time.Duration) {
		points := chaos.Failpoints()
		names := make([]string, len(points))
		for n, p := range points {
			names[n] = string(p)
		}
		point := d.one(names...)
		if point == string(chaos.Redrive) { // of those that can be handed what they cannot read
			d.add(at, d.between(4*time.Second, 6*time.Second), point, 1+d.r.IntN(3), d.one(stack.Inventory, stack.Shipping), fmt.Sprint(d.r.IntN(partitions)))
			return
		}
		d.add(at, d.between(time.Second, 3*time.Second), point, 1+d.r.IntN(20), d.one(stack.OrderAPI, stack.Inventory, stack.Shipping))
	})
}

func doFailpoint(ctx context.Context, b *breaker, i Injection) (func(), error) {
	p, err := b.part(i.Target[0])
	if err != nil {
		return nil, err
	}
	n := i.N
	if slices.Contains([]chaos.Failpoint{chaos.Start, chaos.Join, chaos.Redrive}, chaos.Failpoint(i.Variant)) {
		n = 1 // it gets there once
	}
	p.down(ctx, false)
	p.up(fmt.Sprintf("ORDERWIRE_FAILPOINT=%s@%d", i.Variant, n))
	if i.Variant == string(chaos.Redrive) {
		err = redrive(ctx, b, i)
	}
	return func() { // whether it got there or not, from here on it runs without
		p.down(context.WithoutCancel(ctx), false)
		p.up()
	}, err
}

// redriveWithin is how long a dead letter may take to come, and to be handed back.
const redriveWithin = 10 * time.Second

// redrive makes N dead letters of a consumer, and hands them and others of late back to it, as an operator does.
func redrive(ctx context.Context, b *breaker, i Injection) error {
	topic := map[string]string{stack.Inventory: topicOrders, stack.Shipping: topicShipping}[i.Target[0]]
	if _, err := doPoison(ctx, b, Injection{At: i.At, N: i.N, Variant: "undecodable", Target: []string{topic, i.Target[1]}}); err != nil {
		return err
	}
	file, err := b.sys.describe(b.dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, redriveWithin)
	defer cancel()
	for {
		cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "orderctl"), "dlq", "redrive", "--stack", file, "--consumer", i.Target[0],
			"--topic", topic, "--newer-than", "20s", "--reason", "chaos", "--json")
		raw, err := cmd.Output()
		var told struct {
			Letters []json.RawMessage `json:"letters"`
		}
		if err == nil && json.Unmarshal(raw, &told) == nil && len(told.Letters) > 0 {
			return nil
		}
		if ctx.Err() != nil {
			return nil // what it needs is being broken, too
		}
		sleep(ctx, 300*time.Millisecond)
	}
}
