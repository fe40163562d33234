package carrier

import (
	"errors"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// off says that the carrier never acts by itself.
const off = "off"

// Config says when the simulated carrier acts by itself.
type Config struct {
	// DispatchAfter is how long after it was scheduled a shipment leaves, DeliverAfter how long after that it arrives:
	// a duration, or off.
	DispatchAfter string `env:"CARRIER_DISPATCH_AFTER" envDefault:"off"`
	DeliverAfter  string `env:"CARRIER_DELIVER_AFTER" envDefault:"off"`
}

// Validate names each variable that is wrong, and what is allowed.
func (c Config) Validate() error {
	var errs []error
	for name, value := range map[string]string{
		"CARRIER_DISPATCH_AFTER": c.DispatchAfter, "CARRIER_DELIVER_AFTER": c.DeliverAfter,
	} {
		if d, err := time.ParseDuration(value); value != off && (err != nil || d <= 0) {
			errs = append(errs, fmt.Errorf("%s is %q: want off, or a duration above 0 such as 20s", name, value))
		}
	}
	return errors.Join(errs...)
}

// Timers gives what a valid configuration says.
func (c Config) Timers() shipment.Timers {
	return shipment.Timers{DispatchAfter: after(c.DispatchAfter), DeliverAfter: after(c.DeliverAfter)}
}

// after gives 0 for off.
func after(value string) time.Duration {
	d, err := time.ParseDuration(value)
	if err != nil {
		return 0
	}
	return d
}
