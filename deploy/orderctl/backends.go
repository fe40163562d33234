package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/orderwire/orderwire/deploy/stack"
)

// backendsCmd is what `make test` runs the tests in.
type backendsCmd struct {
	Kafka   string   `enum:"auto,apache,kfake" default:"auto" help:"Which broker to start: ${enum}; auto is Apache Kafka where it is at hand or can be fetched. KAFKA_BROKERS in the environment wins."`
	Fast    bool     `help:"Build the fast, durable database once where there is none and Rust is at hand. MONGODB_URI in the environment wins."`
	Command []string `arg:"" passthrough:"" help:"The command to run, after --."`
}

// Run runs the command and ends with its exit code.
func (b *backendsCmd) Run(ctx context.Context, t *terminal) error {
	command := b.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		t.say("orderctl: no command to run")
		return exitCode(exitUsage)
	}
	if b.Kafka == "auto" {
		b.Kafka = stack.KafkaApache
		if _, err := stack.PrepareKafka(ctx, t.environ, t.say); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			t.say("no Apache Kafka here, the embedded broker serves instead: %v", err)
			b.Kafka = stack.KafkaFake
		}
	}
	backends, err := stack.StartBackends(ctx, stack.BackendsConfig{Environ: t.environ, Kafka: b.Kafka, Fast: b.Fast, Say: t.say})
	if err != nil {
		return err
	}
	t.say("broker: %s at %s; database: %s at %s", backends.Broker.Kind, strings.Join(backends.Broker.Brokers, ","),
		backends.Database.Kind, backends.Database.URI)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(),
		"TEST_KAFKA_BROKERS="+strings.Join(backends.Broker.Brokers, ","),
		"TEST_KAFKA_KIND="+backends.Broker.Kind,
		"TEST_MONGODB_URI="+backends.Database.URI,
		"TEST_MONGODB_KIND="+backends.Database.Kind,
		"TEST_MONGOD_BINARY="+backends.Database.Path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.in, t.out, t.err
	// The command ends with us, and gets time to end by itself: a terminal's Ctrl-C has reached it too.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	runErr := cmd.Run()
	closeErr := backends.Close()
	var exit *exec.ExitError
	if errors.As(runErr, &exit) {
		if exit.ExitCode() >= 0 {
			return errors.Join(exitCode(exit.ExitCode()), closeErr)
		}
		return errors.Join(fmt.Errorf("%s: %w", command[0], runErr), closeErr)
	}
	return errors.Join(runErr, closeErr)
}

// prepareCmd fills the cache directory ahead of time.
type prepareCmd struct {
	What string `arg:"" enum:"kafka,mongodb,caddy" help:"kafka: fetch Apache Kafka (needs Java and Maven). mongodb: build SecantusDB where no faster database is here (needs Rust, CMake and a C compiler; about 5 minutes). caddy: build the Caddy of the compose file (run it where deploy/tools is)."`
}

// Run prints where it is.
func (p *prepareCmd) Run(ctx context.Context, t *terminal) error {
	prepare := map[string]func(context.Context, []string, stack.Progress) (string, error){
		"kafka": stack.PrepareKafka, "mongodb": stack.PrepareMongoDB,
		"caddy": func(ctx context.Context, environ []string, say stack.Progress) (string, error) {
			return stack.PrepareCaddy(ctx, environ, filepath.Join("deploy", "tools"), say)
		},
	}[p.What]
	path, err := prepare(ctx, t.environ, t.say)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s: %s\n", p.What, path)
	return nil
}
