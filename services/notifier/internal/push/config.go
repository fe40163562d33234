package push

import (
	"errors"
	"fmt"
	"time"
)

// Config of the connections.
type Config struct {
	MaxConnections    int           `env:"MAX_CONNECTIONS" envDefault:"10000"`
	MaxPerCustomer    int           `env:"MAX_CONNECTIONS_PER_CUSTOMER" envDefault:"50"`
	MaxConnectionAge  time.Duration `env:"MAX_CONNECTION_AGE" envDefault:"30m"` // ± 20 %
	HeartbeatInterval time.Duration `env:"HEARTBEAT_INTERVAL" envDefault:"20s"`
	PingInterval      time.Duration `env:"PING_INTERVAL" envDefault:"25s"`
	PongTimeout       time.Duration `env:"PONG_TIMEOUT" envDefault:"10s"`
	SlowAfter         time.Duration `env:"SLOW_CLIENT_TIMEOUT" envDefault:"10s"`
	LostAfter         time.Duration `env:"KAFKA_LOST_AFTER" envDefault:"60s"`
	DrainWindow       time.Duration `env:"DRAIN_WINDOW" envDefault:"20s"`
}

// Validate names each variable that is wrong, and what is allowed.
func (c Config) Validate() error {
	var errs []error
	for _, v := range []struct {
		name  string
		value int
	}{
		{"MAX_CONNECTIONS", c.MaxConnections}, {"MAX_CONNECTIONS_PER_CUSTOMER", c.MaxPerCustomer},
	} {
		if v.value < 1 {
			errs = append(errs, fmt.Errorf("%s is %d: want 1 or more", v.name, v.value))
		}
	}
	for _, v := range []struct {
		name  string
		value time.Duration
	}{
		{"MAX_CONNECTION_AGE", c.MaxConnectionAge},
		{"HEARTBEAT_INTERVAL", c.HeartbeatInterval},
		{"PING_INTERVAL", c.PingInterval},
		{"PONG_TIMEOUT", c.PongTimeout},
		{"SLOW_CLIENT_TIMEOUT", c.SlowAfter},
		{"KAFKA_LOST_AFTER", c.LostAfter},
	} {
		if v.value <= 0 {
			errs = append(errs, fmt.Errorf("%s is %s: want more than 0", v.name, v.value))
		}
	}
	if c.DrainWindow < 0 {
		errs = append(errs, fmt.Errorf("DRAIN_WINDOW is %s: want 0 or more", c.DrainWindow))
	}
	return errors.Join(errs...)
}
