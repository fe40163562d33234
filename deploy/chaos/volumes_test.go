package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A full volume takes nothing, one that was freed does, and what it held is kept when it is taken away.
func TestVolumes_FullAndFreed(t *testing.T) {
	if !canMount() {
		t.Skip("SKIP: this process may not mount file systems")
	}
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o755))
	v := &volumes{}
	require.NoError(t, v.mount("database", dir))
	t.Cleanup(func() { require.NoError(t, v.close()) })
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, make([]byte, 1<<20), 0o600))

	require.NoError(t, v.fill("database", 64<<10))
	require.ErrorIs(t, os.WriteFile(filepath.Join(dir, "more"), make([]byte, 1<<20), 0o600), syscall.ENOSPC)
	require.NoError(t, v.free("database"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "more"), make([]byte, 1<<20), 0o600))

	require.NoError(t, v.close())
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, info.Size())
	require.Error(t, v.fill("database", 0), "there is none any more")
}
