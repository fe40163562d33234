package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChaos breaks a whole Orderwire for half a minute, with all faults mixed, and it keeps its promises.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes a minute")
	}
	c := testConfig(t)
	c.Seed, c.Duration, c.Faults, c.Verbose = 11, 30*time.Second, allFaults(), true
	r, err := c.once(t.Context(), c.Seed)
	require.NoError(t, err)
	require.Empty(t, r.Violations, "everything is kept in %s", r.Dir)
	require.NotZero(t, r.Orders)
	require.NotZero(t, r.Pushed)
}

func testConfig(t *testing.T) config {
	t.Helper()
	c := config{Kafka: "kfake", Clients: 16, Rate: 40, Bin: t.TempDir(), drain: drainWithin, err: t.Output()}
	if _, err := exec.LookPath("mongod"); err != nil {
		cache, err := os.UserCacheDir()
		require.NoError(t, err)
		found, err := filepath.Glob(filepath.Join(cache, "orderwire", "secantus-*", "bin", "secantusd-rs"))
		require.NoError(t, err)
		if len(found) == 0 {
			if os.Getenv("REQUIRE_BACKENDS") == "1" {
				t.Fatal("REQUIRE_BACKENDS=1: no durable database is here: make mongodb")
			}
			t.Skip("SKIP: no durable database is here: make mongodb")
		}
	}
	require.NoError(t, build(t.Context(), c.Bin))
	return c
}
