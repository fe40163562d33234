package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// port is a number that an environment variable can move.
type port struct {
	variable string
	standard int
}

// The ports of a stack, with the variables that move them.
var (
	portGateway         = port{"GATEWAY_PORT", 8080}
	portKafka           = port{"KAFKA_PORT", 9092}
	portKafkaController = port{"KAFKA_CONTROLLER_PORT", 9093}
	portMongoDB         = port{"MONGODB_PORT", 27017}
)

// Ports gives out ports. Free ones are reserved among all stacks on this machine until close: whoever holds the UDP
// port of a number may have the TCP port, and the kernel gives the UDP port back whatever happens to the process.
type Ports struct {
	mu       sync.Mutex
	reserved []net.PacketConn
}

// take gives the number of p and makes sure that nobody has it; a free one instead where ephemeral is set.
func (ps *Ports) take(p port, env environment, ephemeral bool, what string) (int, error) {
	if ephemeral {
		return ps.Free()
	}
	n := p.standard
	if s := env.get(p.variable); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
			return 0, fmt.Errorf("%s=%q is no port: it must be between 1 and 65535", p.variable, s)
		}
	}
	if !isFree(n) {
		return 0, fmt.Errorf("port %d is taken, %s needs it: stop who has it, or set %s to move it", n, what, p.variable)
	}
	return n, nil
}

// Free draws from below the range that kernels use for outgoing connections, so that none of those takes the port while
// nobody listens there: before a child's start, between two of its lives.
func (ps *Ports) Free() (int, error) {
	const from, to = 15000, 32000
	for range 200 {
		n := from + rand.IntN(to-from)                           //nolint:gosec // no secret
		reservation, err := net.ListenPacket("udp", loopback(n)) //nolint:noctx // it never blocks
		if err != nil {
			continue
		}
		if !isFree(n) {
			reservation.Close() // nothing was sent
			continue
		}
		ps.mu.Lock()
		ps.reserved = append(ps.reserved, reservation)
		ps.mu.Unlock()
		return n, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d", from, to)
}

// Close ends the reservations.
func (ps *Ports) Close() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, r := range ps.reserved {
		r.Close() // nothing was sent
	}
	ps.reserved = nil
}

// isFree tries the loopback and the wildcard address: a listener on either one is in the way.
func isFree(n int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n))) //nolint:noctx // it never blocks
		if err != nil {
			return false
		}
		l.Close() // it was only a try
	}
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
