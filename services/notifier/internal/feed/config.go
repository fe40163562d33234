package feed

import (
	"errors"
	"fmt"
	"time"
)

// Config of the reading.
type Config struct {
	// RefreshInterval is how often it is asked whether there are new partitions, or other topics under the same names.
	RefreshInterval time.Duration `env:"KAFKA_METADATA_REFRESH" envDefault:"1m"`
	// CatchUpSlots is how many clients may read history at once, CatchUpWait how long a new one waits for its turn,
	// CatchUpTurn how long one reads on while others wait.
	CatchUpSlots int           `env:"CATCHUP_SLOTS" envDefault:"8"`
	CatchUpWait  time.Duration `env:"CATCHUP_WAIT" envDefault:"5s"`
	CatchUpTurn  time.Duration `env:"CATCHUP_TURN" envDefault:"1s"`
}

// Validate names each variable that is wrong, and what is allowed.
func (c Config) Validate() error {
	var errs []error
	if c.RefreshInterval <= 0 {
		errs = append(errs, fmt.Errorf("KAFKA_METADATA_REFRESH is %s: want more than 0", c.RefreshInterval))
	}
	if c.CatchUpSlots < 1 {
		errs = append(errs, fmt.Errorf("CATCHUP_SLOTS is %d: want 1 or more", c.CatchUpSlots))
	}
	if c.CatchUpWait <= 0 {
		errs = append(errs, fmt.Errorf("CATCHUP_WAIT is %s: want more than 0", c.CatchUpWait))
	}
	if c.CatchUpTurn <= 0 {
		errs = append(errs, fmt.Errorf("CATCHUP_TURN is %s: want more than 0", c.CatchUpTurn))
	}
	return errors.Join(errs...)
}
