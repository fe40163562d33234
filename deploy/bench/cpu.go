package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

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
		if t, ok := cpuTime(pid); ok {
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

// cpuTime reads user and system time of a process, proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms.
func cpuTime(pid int) (time.Duration, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name in field 2 may hold anything, so count from its closing parenthesis.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, false
	}
	u, err1 := strconv.Atoi(string(fields[user]))
	s, err2 := strconv.Atoi(string(fields[system]))
	return time.Duration(u+s) * 10 * time.Millisecond, err1 == nil && err2 == nil
}
