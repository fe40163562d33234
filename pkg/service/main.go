package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Main runs a service until it is told to stop: by SIGINT or SIGTERM, or, with PARENT_WATCH=stdin, when its standard
// input closes because whoever started it is gone. A second signal kills it. An error is one line and exit code 1.
//
// With the argument "healthcheck" it asks the service that runs beside it, as a container without a shell must.
func Main(name string, run func(ctx context.Context, environ []string, stdout io.Writer) error) {
	if len(os.Args) > 1 && os.Args[1] == "healthcheck" {
		exit(name, healthcheck(os.Getenv("ADMIN_ADDR")))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from now on a signal kills, as it does where nobody listens
	if os.Getenv("PARENT_WATCH") == "stdin" {
		var orphaned context.CancelFunc
		ctx, orphaned = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // its end is what is waited for, however it ends
			orphaned()
		}()
	}
	if mayHaveBallast(os.Getenv) {
		go keepBallast(ctx)
	}
	exit(name, run(ctx, os.Environ(), os.Stdout))
}

func exit(name string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// healthcheck asks /healthz at addr, the value of ADMIN_ADDR.
func healthcheck(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("healthcheck: ADMIN_ADDR: %w", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("healthcheck: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("healthcheck: %s", res.Status)
	}
	return nil
}
