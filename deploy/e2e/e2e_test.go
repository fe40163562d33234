package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/stack"
)

// TestKfake and TestApacheKafka run the same promises on both brokers. One system serves them all; the tests that
// break parts of it come last and leave it whole.
func TestKfake(t *testing.T) { suite(t, stack.KafkaFake) }

func TestApacheKafka(t *testing.T) { suite(t, stack.KafkaApache) }

func suite(t *testing.T, kafka string) {
	s := start(t, kafka)
	for _, c := range []struct {
		name string
		test func(*testing.T, *system)
	}{
		{"an order is placed, confirmed, shipped and delivered, and every push is seen once and in order", orderTravels},
		{"an order that stock does not cover is rejected and says what there was", notEnoughStock},
		{"fifty orders for the last item: one wins", lastItem},
		{"an address change before dispatch is taken, after it refused", addressChange},
		{"a cancellation before shipping brings the stock back", cancelInTime},
		{"a cancellation after dispatch is refused", cancelTooLate},
		{"a lost parcel is written off, a refused one comes back", parcelFails},
		{"orderctl changes an address, moves stock, and is a carrier's word", byCommand},
		{"an idempotency key makes one order, and another body is refused", idempotency},
		{"one customer cannot read, change, cancel or watch another's order", isolation},
		{"bad input is refused precisely", refusals},
		{"a watcher resumes after its cursor, over WebSocket and SSE", resume},
		{"news that could not be handled is redriven, takes effect once, and nobody else notices", redrive},
		{"garbage goes to the dead-letter topics with its coordinates and holds up nothing", deadLetters},
		{"two instances of each service share the work, and stopping one moves it over", twoInstances},
		{"each service is killed amid 500 orders and all of them end", killedServices},
		{"broker and database are killed amid 500 orders and all of them end", killedBackends},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.test(t, s) }) && t.Context().Err() != nil {
			return
		}
	}
}

// system is a running Orderwire.
type system struct {
	*stack.Stack
}

func start(t *testing.T, kafka string) *system {
	t.Helper()
	bin := binaries(t)
	if kafka == stack.KafkaApache {
		for _, tool := range []string{"java", "mvn"} {
			if _, err := exec.LookPath(tool); err != nil {
				missing(t, "Apache Kafka needs "+tool)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // the first start may build the database
	defer cancel()
	s, err := stack.Start(ctx, stack.Config{BinDir: bin, Kafka: kafka, Build: true, Say: t.Logf, Environ: os.Environ()})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			keepLogs(t, s.Dir)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		s.Stop(ctx)
	})
	return &system{s}
}

// binaries gives the directory of what make build builds.
func binaries(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("ORDERWIRE_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin")
	}
	bin, err := filepath.Abs(bin)
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(bin, "order-api")); err != nil {
		missing(t, "the services are not built: make build, or ORDERWIRE_BIN names their directory")
	}
	return bin
}

// keepLogs prints the end of every log when something failed; the directory itself goes with the system.
func keepLogs(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
	require.NoError(t, err)
	const most = 4 << 10
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		t.Logf("%s:\n%s", filepath.Base(file), raw[max(0, len(raw)-most):])
	}
}

// token signs what an identity provider would.
func (s *system) token(t *testing.T, customer string, operator bool) string {
	t.Helper()
	issuer, audience := s.TokenNames()
	roles := []string{}
	if operator {
		roles = append(roles, "operator")
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": customer, "roles": roles, "iss": issuer, "aud": audience, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(s.Secret()))
	require.NoError(t, err)
	return token
}

// missing skips, or fails where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_BACKENDS") == "1" {
		t.Fatal("REQUIRE_BACKENDS=1: " + why)
	}
	t.Skip("SKIP: " + why)
}
