package stack

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// startTime tells when a process was started, in ticks since boot; with the pid it names a process for good.
func startTime(pid int) (string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the command in parentheses and may hold anything; the number of threads
	// is field 20, the start time field 22 (proc(5)).
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields)+2)
	}
	// A zombie may be a first thread that has ended before the others, which still have what the process had.
	if threads := string(fields[17]); fields[0][0] == 'Z' && (threads == "0" || threads == "1") {
		return "", os.ErrProcessDone
	}
	return string(fields[19]), nil
}
