package main

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// binaries are built by the first test that asks for them, and gone when all are done.
var binaries struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(binaries.dir)
	os.Exit(code)
}

// TestChaos breaks a whole Orderwire by every fault there is, mixed, on kfake, and by those to which a real broker answers
// differently on Apache Kafka, and it keeps its promises.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes minutes")
	}
	t.Parallel()
	around := []string{"F1", "F2", "F4", "F5", "F6", "F7", "F8", "F11"}
	for _, on := range []struct {
		kafka    string
		seed     uint64
		faults   []string
		duration time.Duration
		rate     float64 // of Apache Kafka less: its starts need the machine, too
	}{
		{stack.KafkaFake, 876, allFaults(), 100 * time.Second, 40},
		{stack.KafkaApache, 2, around, 50 * time.Second, 20},
		{stack.KafkaCluster, 2, around, 50 * time.Second, 20},
	} {
		t.Run(on.kafka, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t, on.kafka)
			c.Duration, c.Faults, c.Rate, c.Verbose = on.duration, on.faults, on.rate, true
			if c.asks("F17") {
				c.oldBin = t.TempDir()
				if err := buildOld(t.Context(), oldCommit, c.oldBin); err != nil { // a clone may have no history
					t.Logf("F17 is left out: %v", err)
					c.oldBin = ""
				}
			}
			r, err := c.once(t.Context(), on.seed)
			require.NoError(t, err)
			require.Empty(t, r.Violations, "everything is kept in %s", r.Dir)
			require.NotZero(t, r.Orders)
			require.NotZero(t, r.Pushed)
			require.NotZero(t, r.Committed, "nobody looked at what groups have committed while it ran")
			t.Logf("done: %v; not done: %v", r.Injected, r.NotDone)
			for _, f := range on.faults {
				if possible := kinds[f].possible; possible != nil && !possible(c.terrain()) {
					continue
				}
				done := slices.ContainsFunc(slices.Collect(maps.Keys(r.Injected)), func(k string) bool { return strings.HasPrefix(k, f+" ") })
				require.True(t, done, "%s was not done, or seed %d does not draw it: not done: %v", f, on.seed, r.NotDone)
			}
		})
	}
}

// testConfig is that of a run on the kind of broker; a test that cannot have it skips itself.
func testConfig(t *testing.T, kafka string) config {
	t.Helper()
	if _, err := exec.LookPath("mongod"); err != nil {
		cache, err := os.UserCacheDir()
		require.NoError(t, err)
		found, err := filepath.Glob(filepath.Join(cache, "orderwire", "secantus-*", "bin", "secantusd-rs"))
		require.NoError(t, err)
		if len(found) == 0 {
			missing(t, "no durable database is here: make mongodb")
		}
	}
	if kafka != stack.KafkaFake {
		if _, err := exec.LookPath("java"); err != nil {
			missing(t, "Apache Kafka needs java")
		}
	}
	binaries.once.Do(func() {
		binaries.dir, binaries.err = os.MkdirTemp("", "chaos-bin-") //nolint:usetesting // other tests use them, too
		if binaries.err == nil {
			binaries.err = build(context.WithoutCancel(t.Context()), binaries.dir)
		}
	})
	require.NoError(t, binaries.err)
	return config{Kafka: kafka, Clients: 16, Rate: 40, Bin: binaries.dir, drain: drainWithin, err: t.Output()}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("REQUIRE_BACKENDS") == "1" {
		t.Fatal("REQUIRE_BACKENDS=1: " + what)
	}
	t.Skip("SKIP: " + what)
}
