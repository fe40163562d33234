// Command testrun runs every test that this machine can run and closes with one line that counts them.
//
// It runs what Orderwire asks of any database, the Go tests of all modules, whole systems that are broken, the black-box
// tests, the dashboard's tests and the run in a real browser, one step after the other, prints what failed with its output
// and what was skipped with its reason, and ends with "N passed, N failed, N skipped". With REQUIRE_BACKENDS=1 a skip is a
// failure.
//
// The backends come from outside: "orderctl backends -- testrun" starts a broker and a database and names them in
// TEST_KAFKA_BROKERS and TEST_MONGODB_URI; a test whose backend is missing skips itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// modules are tested in this order: what others stand on comes first.
var modules = []string{
	"proto-events", "pkg", "services/order-api", "services/inventory", "services/shipping", "services/notifier", "deploy",
}

// Packages with a step of their own: what Orderwire asks of a database comes first, before anything trusts it; what
// starts whole systems wants the machine for itself.
const (
	database = "github.com/orderwire/orderwire/deploy/stack/mongoconformance"
	faults   = "github.com/orderwire/orderwire/deploy/chaos"
	blackBox = "github.com/orderwire/orderwire/deploy/e2e"
)

func main() { os.Exit(command()) }

func command() int {
	only := flag.String("only", "", "run only this step: database, go, faults, e2e, dashboard or browser")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, *only, os.Getenv("REQUIRE_BACKENDS") == "1", os.Stdout)
}

// step is one command whose output parse counts.
type step struct {
	name, why string
	dir       string
	command   []string
	parse     func(io.Reader, *result) error
}

func run(ctx context.Context, only string, requireBackends bool, out io.Writer) int {
	var total result
	total.out = out
	all, err := steps(ctx)
	if err != nil {
		fmt.Fprintln(out, "testrun:", err)
		return 1
	}
	for _, s := range all {
		if only != "" && only != s.name {
			continue
		}
		started := time.Now()
		fmt.Fprintf(out, "==> %s: %s\n", s.name, s.why)
		before := total
		execute(ctx, s, &total)
		fmt.Fprintf(out, "    %d passed, %d failed, %d skipped in %s\n", total.passed-before.passed,
			total.failed-before.failed, len(total.skips)-len(before.skips), time.Since(started).Round(time.Second))
	}
	return total.close(requireBackends)
}

// steps lists what there is to run. It fails when the Go packages cannot even be listed.
//
// Each module is tested by itself, as somebody sees it who has no workspace; the black-box tests run what was built in
// the workspace. So both worlds are seen.
func steps(ctx context.Context) ([]step, error) {
	goTest := []string{"go", "test", "-json", "-count=1", "-timeout=15m"}
	if _, err := exec.LookPath("gcc"); err == nil {
		goTest = append(goTest, "-race")
	}
	all := []step{
		{"database", "what Orderwire asks of any MongoDB, on the one that is here", ".", append(slices.Clone(goTest), database), parseGo},
	}
	for _, module := range modules {
		packages, err := list(ctx, module)
		if err != nil {
			return nil, err
		}
		all = append(all, step{
			"go", "unit, property and conformance tests of " + module + ", alone", module,
			slices.Concat([]string{"env", "GOWORK=off"}, goTest, packages), parseGo,
		})
	}
	return append(
		all,
		step{
			"faults", "whole systems, two at a time, and what is broken in them; the harness itself", "deploy",
			slices.Concat([]string{"env", "GOWORK=off"}, goTest, []string{"-timeout=30m", "-parallel=2", faults}), parseGo,
		},
		step{"e2e", "whole systems from the outside", ".", []string{"go", "test", "-json", "-count=1", "-timeout=30m", blackBox}, parseGo},
		step{"dashboard", "the page's parts", "services/dashboard", []string{"npx", "--no-install", "vitest", "run", "--reporter=tap-flat"}, parseTAP},
		step{"browser", "the page in a real Chromium", "services/dashboard", []string{"node", "--test", "--test-reporter=tap", "browser/page.test.js"}, parseTAP},
	), nil
}

// list gives a module's packages but those with a step of their own.
func list(ctx context.Context, module string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "env", "GOWORK=off", "go", "list", "./...")
	cmd.Dir = module
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", module, err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool { return slices.Contains([]string{database, faults, blackBox}, p) }), nil
}

func execute(ctx context.Context, s step, total *result) {
	cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
	cmd.Dir = s.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Stderr = total.out
	before := *total
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		total.fail(s.name, err.Error())
		return
	}
	if err := cmd.Start(); err != nil {
		total.fail(s.name, err.Error())
		return
	}
	if err := s.parse(stdout, total); err != nil {
		total.fail(s.name, err.Error())
	}
	err = cmd.Wait()
	if err != nil && total.failed == before.failed {
		total.fail(s.name, fmt.Sprintf("%s: %v, and no test said why", s.why, err))
	}
	if err == nil && total.passed == before.passed && len(total.skips) == len(before.skips) {
		total.fail(s.name, "no test ran")
	}
}
