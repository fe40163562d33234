package stack

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderwire/orderwire/deploy/internal/fakeservice"
)

// TestMain lets this test binary play the services when it runs under the name of one.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains(Services(), name) {
		os.Exit(fakeservice.Play(name))
	}
	// The one thread that starts all children is kept for the life of the process: see spawn.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/orderwire/orderwire/deploy/stack.init.func1.1"))
}
