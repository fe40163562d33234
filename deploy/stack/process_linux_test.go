package stack

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// headless is what this test binary plays under this name: a process whose first thread has ended, and whose others go on.
const headless = "headless"

func init() { // the first thread runs it
	if os.Args[0] != headless {
		return
	}
	runtime.LockOSThread()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(l.Addr().String() + "\n")
	go func() {
		for {
			if conn, err := l.Accept(); err == nil {
				conn.Close()
			}
		}
	}()
	syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0) //nolint:errcheck // it does not come back: the thread has ended
}

// TestStartTime_AProcessIsThereUntilItsLastThreadHasEnded: its ports are taken until then, and the first thread's end, which
// may come first, makes it look like a zombie.
func TestStartTime_AProcessIsThereUntilItsLastThreadHasEnded(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Args[0] = headless
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()         // of that
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid := cmd.Process.Pid
	require.Eventually(t, func() bool { return zombie(t, pid) }, 10*time.Second, time.Millisecond, "its first thread has ended")
	conn, err := net.Dial("tcp", strings.TrimSpace(addr))
	require.NoError(t, err, "it listens all the same")
	require.NoError(t, conn.Close())
	_, err = startTime(pid)
	require.NoError(t, err, "it is still there")

	require.NoError(t, cmd.Process.Kill())
	require.Eventually(t, func() bool { _, err := startTime(pid); return err != nil }, 10*time.Second, time.Millisecond)
	_, err = net.Dial("tcp", strings.TrimSpace(addr))
	require.Error(t, err)
}

func zombie(t *testing.T, pid int) bool {
	t.Helper()
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	require.NoError(t, err)
	return strings.HasPrefix(string(state), "Z")
}
