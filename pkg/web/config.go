package web

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
)

// Config of a service's public HTTP port.
type Config struct {
	Addr        string   `env:"HTTP_ADDR"`
	CORSOrigins []string `env:"CORS_ORIGINS"`
	// TrustedProxies are networks whose X-Forwarded-For is believed.
	TrustedProxies []string `env:"TRUSTED_PROXIES"`
	// RateLimit is in requests a second for each customer, RateBurst how many may come at once; 0: no limit.
	RateLimit float64 `env:"RATE_LIMIT" envDefault:"0"`
	RateBurst int     `env:"RATE_BURST" envDefault:"100"`
}

// Validate names each variable that is wrong, and what is allowed.
func (c Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		errs = append(errs, fmt.Errorf("HTTP_ADDR is %q: want host:port or :port", c.Addr))
	}
	for _, origin := range c.CORSOrigins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			errs = append(errs, fmt.Errorf("CORS_ORIGINS holds %q: want scheme://host[:port], comma separated", origin))
		}
	}
	for _, network := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(network); err != nil {
			errs = append(errs, fmt.Errorf("TRUSTED_PROXIES holds %q: want networks as 10.0.0.0/8, comma separated", network))
		}
	}
	if c.RateLimit < 0 {
		errs = append(errs, fmt.Errorf("RATE_LIMIT is %g: want 0 or more", c.RateLimit))
	}
	if c.RateBurst < 1 {
		errs = append(errs, fmt.Errorf("RATE_BURST is %d: want 1 or more", c.RateBurst))
	}
	return errors.Join(errs...)
}
