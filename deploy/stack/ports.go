package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
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

// number gives the port to use and makes sure that nobody has it. A free one is chosen when ephemeral is set.
func (p port) number(env environment, ephemeral bool, what string) (int, error) {
	if ephemeral {
		return freePort()
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

// isFree tries the loopback and the wildcard address: a listener on either one is in the way.
func isFree(n int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n)))
		if err != nil {
			return false
		}
		l.Close() //nolint:errcheck // it was only a try
	}
	return true
}

// freePort draws from below the range that kernels use for outgoing connections, so that none of those takes the port
// between now and the child's start; two stacks at once draw the same one once in many thousand times.
func freePort() (int, error) {
	const from, to = 15000, 32000
	for range 200 {
		n := from + rand.IntN(to-from) //nolint:gosec // no secret
		if isFree(n) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", from, to)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
