package mongoconformance_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
	"github.com/orderwire/orderwire/deploy/stack/mongoconformance"
)

// TestDatabase checks the database that tests run against, TEST_MONGODB_URI.
func TestDatabase(t *testing.T) {
	uri := os.Getenv("TEST_MONGODB_URI")
	if uri == "" {
		if os.Getenv("REQUIRE_BACKENDS") == "1" {
			t.Fatal("TEST_MONGODB_URI is not set, and REQUIRE_BACKENDS=1 asks for it")
		}
		t.Skip("TEST_MONGODB_URI is not set")
	}
	mongoconformance.Run(t, uri)
}

// TestDatabase_SurvivesKill starts the best database that is here, and kills it.
func TestDatabase_SurvivesKill(t *testing.T) {
	environ := slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "MONGODB_URI=") || strings.HasPrefix(e, "KAFKA_BROKERS=")
	})
	backends, err := stack.StartBackends(t.Context(), stack.BackendsConfig{Environ: environ, Kafka: stack.KafkaFake, Say: t.Logf})
	if err != nil && os.Getenv("REQUIRE_BACKENDS") != "1" {
		t.Skipf("no database to be killed: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := backends.Close(); err != nil {
			t.Error(err)
		}
	})
	if backends.Database.Kind == "secantusd-py" {
		t.Skip("the Python edition is for a look: it is not asked for durability")
	}
	mongoconformance.Survives(t, backends.Database.URI, backends.Database.Kill, backends.Database.Start)
}
