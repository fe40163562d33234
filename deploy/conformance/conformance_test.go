// Package conformance runs pkg's acceptance suites on the embedded broker and on Apache Kafka.
package conformance

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/pkg/consumer/consumertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brokers runs a suite on each kind of broker. Where TEST_KAFKA_BROKERS names no Apache Kafka, the run on it is skipped;
// REQUIRE_BACKENDS=1 makes that a failure.
func brokers(t *testing.T, suite func(t *testing.T, brokers []string)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		t.Cleanup(cluster.Close)
		suite(t, cluster.ListenAddrs())
	})
	t.Run("apache", func(t *testing.T) {
		list := os.Getenv("TEST_KAFKA_BROKERS")
		if list == "" || os.Getenv("TEST_KAFKA_KIND") == "kfake" {
			const why = "TEST_KAFKA_BROKERS names no Apache Kafka"
			if os.Getenv("REQUIRE_BACKENDS") == "1" {
				t.Fatal(why + ", and REQUIRE_BACKENDS=1 asks for it")
			}
			t.Skip(why)
		}
		suite(t, strings.Split(list, ","))
	})
}

func TestConsumer(t *testing.T) { brokers(t, consumertest.Run) }
