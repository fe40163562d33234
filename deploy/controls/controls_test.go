package controls

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/chaos"
	"github.com/orderwire/orderwire/pkg/testbackend"
)

// guard is a suite that must catch a control.
type guard struct {
	module, pkg string // of the suite
	tests       string // which of its tests, as go test -run wants it
	needs       need
}

// need is what a suite needs to run as a guard.
type need int

const (
	nothing need = iota
	database
	cases // more random ones than usual, so that it cannot have the luck to meet no harm
)

const root = "../.."

var guards = map[chaos.Control]guard{
	chaos.NoDedup:            {"services/inventory", "./internal/store", "^TestApply_ForwardsChanges", database},
	chaos.MarkOnReceipt:      {"pkg", "./consumer", "^TestSession_Marks", cases},
	chaos.MarkOutOfOrder:     {"pkg", "./consumer", "^TestSession_MarksNothingBehind", nothing},
	chaos.ClearBeforeAck:     {"pkg", "./outbox", "^TestRelay$/^(drains|keeps)", database},
	chaos.PublishBeforeWrite: {"pkg", "./outbox", "^TestWrite_", database},
	chaos.UnguardedStock:     {"services/inventory", "./internal/store", "^TestApply_TwentyForTheLastItem", database},
	chaos.RandomPartitioner:  {"pkg", "./kafka", "^TestProducerConfig_", nothing},
	chaos.StartAtNewest:      {"pkg", "./kafka", "^TestGroupConfig_", nothing},
	chaos.SwallowDeadLetters: {"pkg", "./consumer", "^TestSession_Marks", cases},
	chaos.SkipSilently:       {"services/notifier", "./internal/feed", "^TestSequencer_", cases},
	chaos.TwoInFlight:        {"pkg", "./outbox", "^TestRelay_OneUnacknowledged", nothing},
	chaos.NoVersionGuard:     {"pkg", "./outbox", "^TestUpdate_TwentyWriters", database},
	chaos.TrustType:          {"services/inventory", "./internal/consumer", "^TestHandle_Believes", nothing},
}

// TestControls_AreCaught: with a control a suite is red, and with nothing but the tag it is green.
func TestControls_AreCaught(t *testing.T) {
	dir := t.TempDir()
	suites := map[string]string{} // package → test binary
	for _, control := range chaos.Controls() {
		t.Run(string(control), func(t *testing.T) {
			g, ok := guards[control]
			require.True(t, ok, "nothing guards against it")
			if g.needs == database {
				testbackend.Mongo(t)
			}
			name := filepath.Join(g.module, g.pkg)
			if suites[name] == "" {
				suites[name] = filepath.Join(dir, fmt.Sprintf("%d.test", len(suites)))
				goTool(t, g.module, "test", "-c", "-tags", "chaos", "-o", suites[name], g.pkg)
			}
			green, err := g.run(t, suites[name], "")
			require.NoError(t, err, "without the control:\n%s", green)
			require.Contains(t, green, "\n--- PASS: Test", "there is no test of that name")
			red, err := g.run(t, suites[name], control)
			require.Error(t, err, "the control is not caught:\n%s", red)
			require.Contains(t, red, "\n--- FAIL: Test", "a test finds it, not a crash:\n%s", red)
		})
	}
}

// TestFailpoints_Kill runs the tests of package chaos itself, which ordinary runs do not see.
func TestFailpoints_Kill(t *testing.T) {
	goTool(t, "pkg", "test", "-count=1", "-tags", "chaos", "./chaos")
}

// goTool runs go in a module.
func goTool(t *testing.T, module string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join(root, module)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func (g guard) run(t *testing.T, suite string, control chaos.Control) (output string, err error) {
	t.Helper()
	args := []string{"-test.v", "-test.run", g.tests, "-test.timeout", "3m"}
	if g.needs == cases {
		args = append(args, "-rapid.checks=1000", "-rapid.nofailfile")
	}
	cmd := exec.CommandContext(t.Context(), suite, args...)
	cmd.Dir = filepath.Join(root, g.module, g.pkg)
	cmd.Env = append(os.Environ(), "ORDERWIRE_CONTROL="+string(control))
	out, err := cmd.CombinedOutput()
	return "\n" + string(out), err
}
