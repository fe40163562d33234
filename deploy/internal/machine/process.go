package machine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// CPUTime reads user and system time of a process, proc_pid_stat(5): fields 14 and 15, in ticks of 10 ms.
func CPUTime(pid int) (used time.Duration, isKnown bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name in field 2 may hold anything, so count from its closing parenthesis.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, false
	}
	u, err1 := strconv.Atoi(string(fields[user]))
	s, err2 := strconv.Atoi(string(fields[system]))
	return time.Duration(u+s) * 10 * time.Millisecond, err1 == nil && err2 == nil
}
