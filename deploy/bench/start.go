package main

import (
	"context"

	"github.com/orderwire/orderwire/deploy/stack"
)

const maxReady = 1 // second

// measureStart restarts one service after the other, with broker and database there. The very first start, when all
// four start at once and topics, databases and indexes are made, is a figure of the first repetition.
func measureStart(ctx context.Context, l *lab) ([]figure, error) {
	var figures []figure
	ready := func(how string, i *stack.Instance) {
		figures = append(figures, figure{
			name: i.Service + ", " + how, unit: seconds, value: i.ReadyAfter().Seconds(), sense: atMost, limit: maxReady,
		})
	}
	if !l.started {
		l.started = true
		for _, name := range stack.Services() {
			ready("first start, all at once", l.instance(name))
		}
	}
	for _, name := range stack.Services() {
		i := l.instance(name)
		i.Stop(ctx)
		if err := i.Start(ctx); err != nil {
			return figures, err
		}
		ready("started again", i)
	}
	return figures, nil
}
