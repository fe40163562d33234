package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLocked_SaysThatItWaitsForAnotherProcessAndCanBeInterrupted(t *testing.T) {
	dir := t.TempDir()
	other, err := os.Create(filepath.Join(dir, "lock"))
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX))

	begin := func(ctx context.Context) (said chan string, filled chan bool, done chan error) {
		said, filled, done = make(chan string, 10), make(chan bool, 1), make(chan error, 1)
		go func() {
			done <- locked(ctx, dir, func(format string, args ...any) { said <- fmt.Sprintf(format, args...) },
				func() error { filled <- true; return nil })
		}()
		return said, filled, done
	}
	ctx, cancel := context.WithCancel(t.Context())
	said, filled, done := begin(ctx)
	require.Equal(t, "waiting for another process that fetches or builds something in "+dir, <-said)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Empty(t, filled)

	said, filled, done = begin(t.Context())
	<-said
	require.Empty(t, filled)
	require.NoError(t, other.Close())
	require.NoError(t, <-done)
	require.True(t, <-filled)
	require.Empty(t, said, "told once")

	said, _, done = begin(t.Context())
	require.NoError(t, <-done)
	require.Empty(t, said, "nobody to wait for")
}
