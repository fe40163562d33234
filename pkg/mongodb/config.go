package mongodb

import (
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Config says where the database is and how long to wait for it.
type Config struct {
	URI      string `env:"MONGODB_URI,required"`
	Database string `env:"MONGODB_DATABASE"`
	// Timeout bounds every single call, retries and the wait for a connection included.
	Timeout     time.Duration `env:"MONGODB_TIMEOUT" envDefault:"5s"`
	MaxPoolSize uint64        `env:"MONGODB_MAX_POOL_SIZE" envDefault:"64"`
	// Dialer makes the connections; nil: the driver does.
	Dialer options.ContextDialer
}

// Validate says which value is wrong and what is allowed. The URI itself is never quoted: it may hold a password.
func (c Config) Validate() error {
	var errs []error
	if err := options.Client().ApplyURI(c.URI).Validate(); err != nil {
		errs = append(errs, errors.New("MONGODB_URI: must be a mongodb:// or mongodb+srv:// connection string"))
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("MONGODB_TIMEOUT: %s is not within 100ms and 1m", c.Timeout))
	}
	if c.MaxPoolSize < 2 || c.MaxPoolSize > 10_000 {
		errs = append(errs, fmt.Errorf("MONGODB_MAX_POOL_SIZE: %d is not within 2 and 10000", c.MaxPoolSize))
	}
	return errors.Join(errs...)
}
