package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/orderwire/orderwire/deploy/stack"
)

// config is what the command line says.
type config struct {
	Seed     uint64        `default:"1" help:"Of load and schedule; the same seed gives the same ones."`
	Duration time.Duration `default:"2m" help:"How long things are broken."`
	Kafka    string        `enum:"kfake,apache,cluster,mixed" default:"kfake" help:"${enum}; mixed: drawn by the seed."`
	Faults   []string      `help:"Which faults may be drawn (default: all); F6:pause:leader narrows one to some of its variants."`
	Clients  int           `default:"16" help:"How many clients."`
	Rate     float64       `default:"40" help:"Operations a second, of all clients together."`
	Bin      string        `type:"path" help:"Directory of services and orderctl, built with -tags chaos -buildvcs=auto (default: they are built)."`
	Old      string        `default:"${old}" help:"The commit whose services F17 runs beside those of today."`
	Keep     string        `type:"path" help:"Directory in which everything of each run is kept (default: of those that fail, in the temporary directory)."`
	Soak     int           `help:"So many random seeds instead of one; a table at the end."`
	Seeds    []uint64      `help:"These seeds instead of one; a table at the end."`
	Parallel int           `default:"1" help:"So many runs side by side, each with a system of its own."`
	Out      string        `type:"path" help:"Of a soak: append each result to this file, and leave out what it already holds."`
	Table    string        `type:"path" help:"Print the table of such a file, and run nothing."`
	Controls bool          `help:"Switch each negative control on by itself; each must be found."`
	Control  []string      `help:"With --controls: these only."`
	Outage   string        `enum:",broker,broker-silent,database,database-paused,inventory-database" default:"" help:"Take one part away for a minute under load, and measure: broker, database, inventory-database; broker-silent, database-paused: it takes connections, and says nothing."`
	JSON     bool          `help:"Print results as JSON, one a line."`
	Verbose  bool          `short:"v" help:"Say what is broken, and when."`

	environ []string // more for the services
	label   string   // stands before what a run says
	commit  string   // that the services were built from
	oldBin  string   // directory of the services of Old; "": there are none
	drain   time.Duration
	// standstill shortens patience.
	standstill time.Duration
	// directed runs break what steps say, and draw nothing.
	directed bool
	steps    []Injection
	rush     bool // for what is scarce
	volumes  bool // each part has a file system of its own

	err io.Writer
}

// errViolated says that a promise was broken; it is told already.
var errViolated = errors.New("violated")

func main() { os.Exit(command()) }

func command() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy tells of every toxic that it takes away
	c := config{err: os.Stderr, drain: drainWithin}
	kong.Parse(&c, kong.Description("Break Orderwire by a seeded schedule, and check that it keeps its promises."), kong.Vars{"old": oldCommit})
	err := c.main(ctx, os.Stdout)
	if err != nil {
		if !errors.Is(err, errViolated) {
			fmt.Fprintln(os.Stderr, "chaos:", err)
		}
		return 1
	}
	return 0
}

// oldCommit is whose services F17 runs unless told otherwise.
const oldCommit = "0471f705edd5"

// kafkaMixed lets the seed say which kind of broker it is.
const kafkaMixed = "mixed"

func (c config) main(ctx context.Context, out io.Writer) error {
	if c.Table != "" {
		all, err := readResults(c.Table)
		if err != nil {
			return err
		}
		table(out, all)
		return nil
	}
	if len(c.Faults) == 0 {
		c.Faults = allFaults()
	}
	for _, f := range c.Faults {
		if err := (terrain{kafka: c.Kafka, nodes: nodesOf(c.Kafka)}).check(f); err != nil {
			return err
		}
	}
	if c.Keep != "" {
		if err := os.MkdirAll(c.Keep, 0o755); err != nil {
			return err
		}
	}
	if c.Bin != "" {
		var err error
		if c.commit, err = commitOf(c.Bin); err != nil {
			return err
		}
	} else {
		dir, err := os.MkdirTemp("", "chaos-bin-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) // it was made here
		if err := build(ctx, dir); err != nil {
			return err
		}
		c.Bin, c.commit = dir, commitHere(ctx)
	}
	if c.asks("F17") {
		dir, err := os.MkdirTemp("", "chaos-old-bin-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) // it was made here
		if err := buildOld(ctx, c.Old, dir); err != nil {
			c.note("F17 is left out: %v", err)
		} else {
			c.oldBin = dir
		}
	}
	switch {
	case c.Outage != "":
		return c.outage(ctx, out)
	case c.Controls:
		return c.controls(ctx, out)
	case c.Soak > 0 || len(c.Seeds) > 0:
		return c.soak(ctx, out)
	}
	r, err := c.once(ctx, c.Seed)
	if err != nil {
		return err
	}
	c.print(out, r)
	if r.bad() {
		return errViolated
	}
	return nil
}

// build makes the services with their failpoints, and orderctl, from the sources that this command is run in, in a
// workspace or without one.
func build(ctx context.Context, dir string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/orderwire/orderwire/deploy/chaos").Output()
	if err != nil {
		return fmt.Errorf("where are the sources: %w", err)
	}
	deploy := filepath.Dir(strings.TrimSpace(string(out)))
	programs := map[string]string{deploy: "./orderctl"}
	for _, service := range stack.Services() {
		programs[filepath.Join(deploy, "..", "services", service)] = "."
	}
	for where, program := range programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", "chaos", "-buildvcs=auto", "-o", dir+string(os.PathSeparator), program)
		cmd.Dir = where
		if raw, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", filepath.Base(where), err, raw)
		}
	}
	return nil
}

// patience is how long nothing may move until a run is judged.
func (c config) patience() time.Duration {
	if c.standstill == 0 {
		return c.drain
	}
	return min(c.standstill, c.drain)
}

func (c config) note(format string, args ...any) {
	fmt.Fprint(c.err, c.label, fmt.Sprintf(format, args...), "\n")
}

func (c config) print(out io.Writer, r result) {
	if c.JSON {
		json.NewEncoder(out).Encode(r) //nolint:errcheck // a reader that is gone
		return
	}
	table(out, []result{r})
}

// nodesOf is how many processes a kind of broker has.
func nodesOf(kafka string) int {
	return map[string]int{stack.KafkaApache: 1, stack.KafkaCluster: 3}[kafka]
}

// terrain is what a plan may count on.
func (c config) terrain() terrain {
	return terrain{kafka: c.Kafka, nodes: nodesOf(c.Kafka), faults: c.Faults, volumes: canMount(), old: c.oldBin != ""}
}

// asks tells whether a fault may be drawn.
func (c config) asks(name string) bool {
	return c.Outage == "" && !c.Controls && slices.ContainsFunc(c.Faults, func(asked string) bool {
		of, _ := fault(asked)
		return of == name
	})
}
