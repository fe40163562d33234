// Package ports knows which ports a stack on this machine listens to, and says all at once which of them are taken. It
// needs the standard library alone, so that make can ask before anything is built.
package ports

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"syscall"
)

// Port is a number that an environment variable can move.
type Port struct {
	Variable string
	Standard int
	of       string
}

// The ports of a stack.
var (
	Gateway         = Port{"GATEWAY_PORT", 8080, "the gateway"}
	Kafka           = Port{"KAFKA_PORT", 9092, "the broker"}
	KafkaController = Port{"KAFKA_CONTROLLER_PORT", 9093, "the broker's controller"}
	MongoDB         = Port{"MONGODB_PORT", 27017, "the database"}
	OrderAPI        = service("ORDER_API", 8081, "order-api")
	Inventory       = service("INVENTORY", 8082, "inventory")
	Shipping        = service("SHIPPING", 8083, "shipping")
	Notifier        = service("NOTIFIER", 8084, "notifier")
)

// Service are the two of a service.
type Service struct{ HTTP, Admin Port }

func service(variable string, number int, name string) Service {
	return Service{Port{variable + "_PORT", number, name}, Port{variable + "_ADMIN_PORT", number + 1000, name + "'s admin port"}}
}

// Needed are those of a stack with these settings: a broker or a database that is there already takes none.
func Needed(getenv func(string) string, controller bool) []Port {
	all := []Port{Gateway}
	for _, s := range []Service{OrderAPI, Inventory, Shipping, Notifier} {
		all = append(all, s.HTTP, s.Admin)
	}
	if getenv("KAFKA_BROKERS") == "" {
		all = append(all, Kafka)
		if controller {
			all = append(all, KafkaController)
		}
	}
	if getenv("MONGODB_URI") == "" {
		all = append(all, MongoDB)
	}
	return all
}

// Check tells what is wrong with any of them.
func Check(getenv func(string) string, all []Port) error {
	var errs []error
	for _, p := range all {
		_, err := p.Take(getenv)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Take gives the number of p and makes sure that nobody has it.
func (p Port) Take(getenv func(string) string) (int, error) {
	n := p.Standard
	if s := getenv(p.Variable); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
			return 0, fmt.Errorf("%s=%q is no port: it must be between 1 and 65535", p.Variable, s)
		}
	}
	if !IsFree(n) {
		return 0, fmt.Errorf("port %d is taken, %s needs it: stop who has it, or set %s to move it", n, p.of, p.Variable)
	}
	return n, nil
}

const holdsChildren = runtime.GOOS == "linux"

// IsFree tries the loopback and the wildcard address: a listener on either one is in the way.
//
// On Linux no child is started meanwhile: until it runs its program it has copies of these listeners, and whoever takes the
// port next finds it taken. Elsewhere net.Listen takes that lock itself.
func IsFree(n int) bool {
	if holdsChildren {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n))) //nolint:noctx // it never blocks
		if err != nil {
			return false
		}
		l.Close() // it was only a try
	}
	return true
}
