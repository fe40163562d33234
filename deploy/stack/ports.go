package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"github.com/orderwire/orderwire/deploy/internal/ports"
)

// Ports gives out ports. Free ones are reserved among all stacks on this machine until close: whoever holds the UDP
// port of a number may have the TCP port, and the kernel gives the UDP port back whatever happens to the process.
type Ports struct {
	mu       sync.Mutex
	reserved []net.PacketConn
}

// take gives the number of p and makes sure that nobody has it; a free one instead where ephemeral is set.
func (ps *Ports) take(p ports.Port, env environment, ephemeral bool) (int, error) {
	if ephemeral {
		return ps.Free()
	}
	return p.Take(env.get)
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
		if !ports.IsFree(n) {
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

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
