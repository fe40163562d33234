package main

import (
	"fmt"
	"io"
)

// result counts; it prints a failure when it happens and the skips at the end.
type result struct {
	out            io.Writer
	passed, failed int
	skips          []string
}

func (r *result) fail(name, output string) {
	r.failed++
	fmt.Fprintf(r.out, "--- FAIL %s\n%s\n", name, output)
}

func (r *result) skip(name, why string) { r.skips = append(r.skips, name+": "+why) }

// close prints the skips with their reasons and the closing line, and gives the exit code.
func (r *result) close(requireBackends bool) int {
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "SKIP", s)
	}
	failed, skipped := r.failed, len(r.skips)
	if requireBackends && skipped > 0 {
		fmt.Fprintf(r.out, "REQUIRE_BACKENDS=1: %d skipped tests count as failed\n", skipped)
		failed, skipped = failed+skipped, 0
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, failed, skipped)
	if failed > 0 || r.passed == 0 {
		return 1
	}
	return 0
}
