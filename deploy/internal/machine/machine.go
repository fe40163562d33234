// Package machine says what a measurement was taken on. What cannot be learnt here is Unknown.
package machine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Unknown stands for what this system does not tell.
const Unknown = "unknown"

// String is the machine in a few words: cores, processor, memory.
func String() string {
	return fmt.Sprintf("%d cores (%s), %s", runtime.NumCPU(), CPU(), Memory())
}

// CPU is the processor's name.
func CPU() string { return Value("/proc/cpuinfo", "model name") }

// Memory is all that there is.
func Memory() string {
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(Value("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return Unknown
	}
	return fmt.Sprintf("%.1f GiB", kilobytes/(1<<20))
}

// Value gives the first "key: value" of a file as Linux writes them.
func Value(file, key string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return Unknown
	}
	for line := range strings.Lines(string(raw)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return Unknown
}
