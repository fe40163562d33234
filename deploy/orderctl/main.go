// Command orderctl is the one command of Orderwire's operators and testers: it runs the whole of it on one machine,
// and speaks to a running one, wherever that is, through its gateway.
//
// Exit codes: 0 done; 1 failed; 2 used wrongly; 3 refused by Orderwire (the problem is printed); 4 Orderwire cannot be
// reached or cannot answer now; 130 ended by a second Ctrl-C. `backends` exits with the code of the command it ran.
// With --json a problem is one object on standard output, too, in the place of the result, whether Orderwire sent it (3, 4)
// or cannot be reached (4).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)) }

// The exit codes, see the package comment.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
	exitKilled      = 130
)

// exitCode is an error that was told already and ends the program with this code.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// cli is every command. A command's Run gets what is bound in run.
type cli struct {
	Up       upCmd       `cmd:"" help:"Start a broker, a database, the services and the gateway on this machine."`
	Seed     seedCmd     `cmd:"" help:"Put in demo products and stock where there are none."`
	Token    tokenCmd    `cmd:"" help:"Print a token."`
	Order    orderCmd    `cmd:"" help:"Place, see, change, cancel and watch orders."`
	Product  productCmd  `cmd:"" help:"The price list."`
	Stock    stockCmd    `cmd:"" help:"What there is."`
	Shipment shipmentCmd `cmd:"" help:"Do what a carrier does."`
	Audit    auditCmd    `cmd:"" help:"Read databases and topics, and check that nothing was lost, doubled or oversold."`
	Load     loadCmd     `cmd:"" help:"Place orders at a rate or as fast as clients can, and measure."`
	Explain  explainCmd  `cmd:"" help:"One order's story: documents, events, outboxes, dead letters, and what it waits for."`
	Stuck    stuckCmd    `cmd:"" help:"Orders that are in a state for longer than they should be."`
	Tail     tailCmd     `cmd:"" help:"Events as they stand in the topics."`
	Replay   replayCmd   `cmd:"" help:"What a service would change if it read its topics again."`
	Dlq      dlqCmd      `cmd:"" name:"dlq" help:"Dead letters: records that a consumer could not handle."`
	Backends backendsCmd `cmd:"" help:"Start a broker and a database, run a command with their addresses in TEST_KAFKA_BROKERS, TEST_KAFKA_KIND, TEST_MONGODB_URI, TEST_MONGODB_KIND and TEST_MONGOD_BINARY, and stop them."`
	Prepare  prepareCmd  `cmd:"" help:"Fetch or build a broker or a database into the cache directory."`
}

// terminal is where a command reads and writes.
type terminal struct {
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
	json    bool // results are for programs, and so is a refusal
	printed bool // the result was, to programs
}

// say tells people about progress, on standard error, so that standard output is for results.
func (t *terminal) say(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) }

func run(args, environ []string, in io.Reader, out, errOut io.Writer) int {
	t := &terminal{environ: environ, in: in, out: out, err: errOut}
	var c cli
	code := -1
	parser, err := kong.New(&c, kong.Name("orderctl"), kong.Description("Run, drive and inspect Orderwire."),
		kong.Writers(out, errOut), kong.Exit(func(n int) { code = n }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Bind(t), kong.NamedMapper("given", newGiven()))
	if err != nil {
		t.say("orderctl: %v", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help has been answered
		return code
	}
	if err != nil {
		t.say("orderctl: %v", err)
		t.commandsOf(err)
		return exitUsage
	}
	for _, f := range parsed.Flags() {
		if f.Name == "json" {
			t.json, _ = parsed.FlagValue(f).(bool)
		}
	}
	ctx, stop := interruptible()
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	return t.exit(parsed.Run())
}

// commandsOf lists what could have stood where a command line went wrong; a command without others under it has its --help.
func (t *terminal) commandsOf(err error) {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) {
		return
	}
	at := wrong.Context.Selected()
	if at == nil {
		at = wrong.Context.Model.Node
	}
	for _, c := range at.Children {
		t.say("  %-9s %s", c.Name, c.Help)
	}
}

// interruptible gives a context that the next SIGINT or SIGTERM ends.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// exit tells an error and gives the exit code for it.
func (t *terminal) exit(err error) int {
	var told exitCode
	var refused *client.Problem
	var unreachable *client.UnreachableError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &told):
		return int(told)
	case errors.As(err, &refused):
		t.say("orderctl: %v", err)
		t.problem(refused)
		if refused.Status >= http.StatusInternalServerError {
			return exitUnreachable
		}
		return exitRefused
	case isAway(err):
		t.say("orderctl: is `make run` running? --kafka, --mongodb and --stack say where else to look\n  %v", err)
		t.problem(away(err))
		return exitUnreachable
	case errors.As(err, &unreachable):
		t.say("orderctl: is `make run` running? --gateway or ORDERWIRE_URL says where else to look\n  %v", err)
		t.problem(away(err))
		return exitUnreachable
	default:
		t.say("orderctl: %v", err)
		return exitFailed
	}
}

// problem tells programs, where it is they who ask and they have no result. With code 1 there is none: with it commands
// end by their verdict, and nothing else must be read as such.
func (t *terminal) problem(p *client.Problem) {
	if t.json && !t.printed {
		_ = json.NewEncoder(t.out).Encode(p) // whoever cannot be told anything sees the exit code
	}
}

// away is the problem where there was nobody to send one.
func away(err error) *client.Problem {
	return &client.Problem{Status: http.StatusServiceUnavailable, Code: "unreachable", Detail: err.Error()}
}
