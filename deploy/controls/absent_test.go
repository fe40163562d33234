package controls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// TestServices_HoldNothingOfChaos: a service as it is released has no symbol of the package, and none of the names that
// switch anything on. The tagged build of one shows that this test would find them.
func TestServices_HoldNothingOfChaos(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"order-api", "inventory", "shipping", "notifier"} {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(dir, name)
			goTool(t, "services/"+name, "build", "-o", binary, ".")
			require.Empty(t, traces(t, binary))
		})
	}
	t.Run("a tagged build holds them", func(t *testing.T) {
		binary := filepath.Join(dir, "tagged")
		goTool(t, "services/inventory", "build", "-tags", "chaos", "-o", binary, ".")
		found := traces(t, binary)
		require.Contains(t, found, "symbols")
		require.Contains(t, found, "ORDERWIRE_FAILPOINT")
		require.Contains(t, found, string(chaos.NoDedup))
		require.Contains(t, found, string(chaos.BeforeMark))
	})
}

// traces lists what a binary holds of package chaos. Names that are plain words are anywhere, and are not looked for.
func traces(t *testing.T, binary string) (found []string) {
	t.Helper()
	if strings.Contains(goTool(t, "deploy", "tool", "nm", binary), "orderwire/pkg/chaos.") {
		found = append(found, "symbols")
	}
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	names := []string{"ORDERWIRE_CONTROL", "ORDERWIRE_FAILPOINT", "ORDERWIRE_EVENTS"}
	for _, c := range chaos.Controls() {
		names = append(names, string(c))
	}
	for _, f := range chaos.Failpoints() {
		names = append(names, string(f))
	}
	for _, name := range names {
		isWord := !strings.ContainsAny(name, "-_")
		if !isWord && strings.Contains(string(content), name) {
			found = append(found, name)
		}
	}
	return found
}
