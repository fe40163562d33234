package main

import (
	"os"
	"time"

	host "github.com/orderwire/orderwire/deploy/internal/machine"
	"github.com/orderwire/orderwire/deploy/stack"
)

// The parts beside the services whose processor time is read.
const (
	partBroker   = "broker"
	partDatabase = "database"
	partClients  = "clients" // this process; an embedded broker is in it
)

// parts are those whose processor time is read.
func parts() []string { return append(stack.Services(), partBroker, partDatabase, partClients) }

// cpu gives the processor time that each part has used so far. On systems without /proc there is none to report, and
// none of a broker or a database that was there.
func (l *lab) cpu() map[string]time.Duration {
	used := map[string]time.Duration{}
	for _, name := range parts() {
		var pid int
		switch name {
		case partBroker:
			pid = l.stack.Broker.Pid()
		case partDatabase:
			pid = l.stack.Database.Pid()
		case partClients:
			pid = os.Getpid()
		default:
			pid = l.instance(name).Pid()
		}
		if t, ok := host.CPUTime(pid); ok {
			used[name] = t
		}
	}
	return used
}

// cpuAnOrder divides the processor time between two readings by the orders that were placed meanwhile.
func cpuAnOrder(before, after map[string]time.Duration, orders int) []figure {
	var figures []figure
	for _, name := range parts() {
		if took, ok := after[name]; ok {
			figures = append(figures, figure{
				name: "CPU an order, " + name, unit: milliseconds,
				value: (took - before[name]).Seconds() * 1000 / float64(orders),
			})
		}
	}
	return figures
}
