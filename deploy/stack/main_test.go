package stack

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/orderwire/orderwire/deploy/internal/fakeservice"
)

// TestMain lets this test binary play the services when it runs under the name of one.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains(Services(), name) {
		os.Exit(fakeservice.Play(name))
	}
	os.Exit(m.Run())
}
