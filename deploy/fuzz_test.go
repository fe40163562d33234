package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzz runs fuzz.sh on a module with this test file, and gives the module's directory.
func fuzz(t *testing.T, test string) (dir, out string, err error) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range map[string]string{"go.mod": "module m\n\ngo 1.26\n", "m_test.go": "package m\n\n" + test} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	cmd := exec.CommandContext(t.Context(), "./fuzz.sh", "1000x", dir)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	raw, err := cmd.CombinedOutput()
	return dir, string(raw), err
}

func TestFuzz_EndsAtTheFirstBrokenTargetAndKeepsItsInput(t *testing.T) {
	dir, out, err := fuzz(t, `import "testing"

func FuzzA(f *testing.F) { f.Fuzz(func(*testing.T, string) {}) }
func FuzzB(f *testing.F) { f.Fuzz(func(t *testing.T, n int) { if n != 0 { t.Fatal("not zero") } }) }
func FuzzC(f *testing.F) { f.Fuzz(func(*testing.T, string) {}) }
`)
	require.Error(t, err)
	require.Regexp(t, `^`+dir+` FuzzA: [1-9]\d* inputs, \d+ of them reached something new\n`, out)
	require.Contains(t, out, "not zero")
	require.Contains(t, out, dir+" FuzzB: broken\n")
	require.NotContains(t, out, "FuzzC")
	kept, err := filepath.Glob(filepath.Join(dir, "testdata", "fuzz", "FuzzB", "*"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
}

func TestFuzz_WhatItCannotRunIsNotSilent(t *testing.T) {
	_, out, err := fuzz(t, "func FuzzA() { does not compile }\n")
	require.Error(t, err)
	require.Contains(t, out, "m_test.go")

	_, out, err = fuzz(t, "")
	require.Error(t, err)
	require.Contains(t, out, "no fuzz target in: ")
}
