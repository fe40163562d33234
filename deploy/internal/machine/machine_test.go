package machine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValue_IsTheFirstOfItsKeyOrUnknown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "info")
	require.NoError(t, os.WriteFile(file, []byte("name\t: one: two\nname\t: three\n"), 0o600))
	require.Equal(t, "one: two", Value(file, "name"))
	require.Equal(t, Unknown, Value(file, "nam"))
	require.Equal(t, Unknown, Value(file+"-not", "name"))
}
