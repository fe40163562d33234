package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Config is what all services have in common.
type Config struct {
	LogLevel  string `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat string `env:"LOG_FORMAT" envDefault:"json"`
	// AdminAddr is where health, readiness, metrics and profiles are; never to be reached from outside.
	AdminAddr       string        `env:"ADMIN_ADDR"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"20s"`
	// OTLPEndpoint is the base URL that traces go to, over HTTP; empty: none are sent.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// ParentWatch is read by Main, before there is a configuration.
	ParentWatch string `env:"PARENT_WATCH"`
}

// Validate names each variable that is wrong, and what is allowed.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.level(); err != nil {
		errs = append(errs, err)
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		errs = append(errs, fmt.Errorf("LOG_FORMAT is %q: want json or text", c.LogFormat))
	}
	if _, _, err := net.SplitHostPort(c.AdminAddr); c.AdminAddr != "" && err != nil {
		errs = append(errs, fmt.Errorf("ADMIN_ADDR is %q: want host:port or :port", c.AdminAddr))
	}
	if c.ShutdownTimeout <= 0 {
		errs = append(errs, fmt.Errorf("SHUTDOWN_TIMEOUT is %s: want more than 0", c.ShutdownTimeout))
	}
	if c.ParentWatch != "" && c.ParentWatch != "stdin" {
		errs = append(errs, fmt.Errorf("PARENT_WATCH is %q: want stdin or nothing", c.ParentWatch))
	}
	return errors.Join(errs...)
}

func (c Config) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("LOG_LEVEL is %q: want debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}
