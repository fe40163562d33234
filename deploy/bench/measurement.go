package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orderwire/orderwire/deploy/stack"
)

// measurement takes some figures. It gives those that it has, and an error when something is wrong with what was
// measured: a lost order, an answer that is an error.
type measurement struct {
	name  string
	about string
	run   func(context.Context, *lab) ([]figure, error)
}

// measurements in the order in which each repetition takes them: memory is read of freshly started processes, which are
// idle but for what the repetition before has left to them.
var measurements = []measurement{
	{"start", "ready after broker and database are", measureStart},
	{"memory", "resident, idle", measureMemory},
	{"latency", "100 orders/s, open loop, from when the request was due", measureLatency},
	{"burst", "64 clients, closed loop, through the whole chain", measureBurst},
	{"accept", "64 clients, closed loop, inventory and shipping away", measureAccept},
	{"scaling", "a backlog of orders, worked off by 1 and by 3 instances of inventory", measureScaling},
}

func names() []string {
	var all []string
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return all
}

// pick gives those that are called for; all of them without a name.
func pick(names []string) ([]measurement, error) {
	if len(names) == 0 {
		return measurements, nil
	}
	var picked []measurement
	known := map[string]bool{}
	for _, m := range measurements {
		known[m.name] = true
		if slices.Contains(names, m.name) {
			picked = append(picked, m)
		}
	}
	for _, name := range names {
		if !known[name] {
			return nil, fmt.Errorf("there is no measurement %q", name)
		}
	}
	return picked, nil
}

// repeat takes the list so many times over. What fails is noted and the next one goes on, unless a process has ended
// by itself (ended tells) or ctx has.
func repeat(ctx context.Context, r *report, list []measurement, l *lab, ended <-chan error, say stack.Progress) {
	for n := range r.repetitions {
		for _, m := range list {
			say("repetition %d of %d: %s", n+1, r.repetitions, m.name)
			figures, err := m.run(ctx, l)
			for _, f := range figures {
				r.add(m.name, f)
			}
			if err != nil {
				r.fail("%s, repetition %d: %v", m.name, n+1, err)
			}
			select {
			case err := <-ended:
				r.fail("%s, repetition %d: a part has ended by itself: %v", m.name, n+1, err)
				return
			default:
			}
			if ctx.Err() != nil {
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					r.fail("it took too long: given up in repetition %d", n+1)
				} else {
					r.fail("interrupted in repetition %d", n+1)
				}
				return
			}
		}
	}
}
