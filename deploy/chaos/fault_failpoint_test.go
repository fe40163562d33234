package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFollow_HearsOnlyWhatIsSaidFromNowOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "order-api.log")
	require.NoError(t, os.WriteFile(path, []byte("chaos: dies at start\n"), 0o600))
	said, err := follow(path, "chaos: dies at start\n")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, said(ctx), "did not get there")

	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("chaos: dies at start\n")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, said(t.Context()))
}
