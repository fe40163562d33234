// Package examples runs the examples for other teams as those teams would: from a copy of bin/, outside the workspace.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGo(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./...")
	cmd.Dir = "go"
	cmd.Env = append(os.Environ(), "GOWORK=off", "ORDERWIRE_BIN="+copyOfBin(t))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		missing(t, "python3 is not on the PATH")
	}
	cmd := exec.CommandContext(t.Context(), python, "-W", "error::ResourceWarning", "-m", "unittest", "test_shop")
	cmd.Dir = "python"
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "ORDERWIRE_BIN="+copyOfBin(t))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// copyOfBin copies what make build has made to a place that knows nothing of this clone.
func copyOfBin(t *testing.T) string {
	t.Helper()
	from := os.Getenv("ORDERWIRE_BIN")
	if from == "" {
		from = filepath.Join("..", "..", "bin")
	}
	to := t.TempDir()
	for _, name := range []string{"orderctl", "order-api", "inventory", "shipping", "notifier"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			missing(t, "nothing is built: make build, or ORDERWIRE_BIN names the directory")
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, name), raw, 0o755))
	}
	return to
}

// missing skips, or fails where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_BACKENDS") == "1" {
		t.Fatal("REQUIRE_BACKENDS=1: " + why)
	}
	t.Skip("SKIP: " + why)
}
