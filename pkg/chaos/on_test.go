//go:build chaos

package chaos

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPass_KillsAtTheTimeAskedFor starts this test again as the process that dies.
func TestPass_KillsAtTheTimeAskedFor(t *testing.T) {
	if os.Getenv("CHAOS_TEST_CHILD") == "1" {
		Pass(BeforeWrite)
		Pass(BeforeMark)
		_, _ = os.Stdout.WriteString("once ")
		Pass(BeforeMark)
		_, _ = os.Stdout.WriteString("twice")
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPass_Kills")
	cmd.Env = append(os.Environ(), "CHAOS_TEST_CHILD=1", "ORDERWIRE_FAILPOINT=before-mark@2")
	out, err := cmd.Output()
	var died *exec.ExitError
	require.ErrorAs(t, err, &died)
	require.Equal(t, syscall.SIGKILL, died.Sys().(syscall.WaitStatus).Signal())
	require.Equal(t, "once ", string(out))
}

func TestParse_KnowsEveryNameAndNoOther(t *testing.T) {
	for _, c := range append(Controls(), "") {
		got, err := parseControl(string(c))
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	for _, f := range Failpoints() {
		got, err := parseFailpoint(string(f))
		require.NoError(t, err)
		require.Equal(t, fatal{f, 1}, got)
	}
	for text, want := range map[string]bool{"": false, "newer": true} {
		got, err := parseEvents(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := parseEvents("older")
	require.Error(t, err)
	got, err := parseFailpoint("start@12")
	require.NoError(t, err)
	require.Equal(t, fatal{Start, 12}, got)
	for _, wrong := range []string{"nowhere", "start@", "start@0", "start@-1", "start@x", "@1", "Start"} {
		_, err := parseFailpoint(wrong)
		require.Error(t, err, wrong)
	}
	_, err = parseControl("no-such-thing")
	require.Error(t, err)
}
