package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// testEvent is one line of "go test -json" (go doc test2json).
type testEvent struct {
	Action, Package, Test, Output string
	ImportPath, FailedBuild       string  // of a package that does not build
	Elapsed                       float64 // seconds that a test took, or a package
}

// worthALine, in seconds: a step of minutes shows that it moves, and where its time goes.
const worthALine = 10

// maxFailureOutput keeps a test that logs without end from burying the others.
const maxFailureOutput = 64 << 10

// parseGo counts the events of go test -json. A package that fails without a failed test (it did not build, it
// panicked, it timed out) is a failure of its own.
func parseGo(in io.Reader, r *result) error {
	output := map[string]*strings.Builder{}
	failedIn := map[string]bool{}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var e testEvent
		if json.Unmarshal(scanner.Bytes(), &e) != nil {
			fmt.Fprintln(r.out, scanner.Text()) // go itself speaks plainly at times
			continue
		}
		if e.Package == "" {
			e.Package = e.ImportPath
		}
		key := e.Package + " " + e.Test
		name := strings.TrimPrefix(strings.TrimSpace(key), "github.com/orderwire/orderwire/")
		switch e.Action {
		case "output", "build-output":
			if output[key] == nil {
				output[key] = &strings.Builder{}
			}
			if output[key].Len() < maxFailureOutput {
				output[key].WriteString(e.Output)
			}
			continue
		case "pass":
			if e.Test != "" {
				r.passed++
			}
		case "skip":
			if e.Test != "" {
				r.skip(name, reason(text(output[key])))
			}
		case "fail", "build-fail":
			if e.FailedBuild == "" && (e.Test != "" || !failedIn[e.Package]) {
				r.fail(name, text(output[key]))
			}
			failedIn[e.Package] = true
		default:
			continue
		}
		delete(output, key)
		if e.Elapsed >= worthALine {
			fmt.Fprintf(r.out, "    %4.0fs %s\n", e.Elapsed, name)
		}
	}
	return scanner.Err()
}

func text(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	return b.String()
}

var skipLine = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

// reason finds what a test said when it skipped itself.
func reason(output string) string {
	if m := skipLine.FindAllStringSubmatch(output, -1); len(m) > 0 {
		return m[len(m)-1][1]
	}
	return "no reason given"
}

var tapLine = regexp.MustCompile(`^(not ok|ok) \d+ - (.*?)(?:\s+# (SKIP|TODO|time=)\s*(.*))?$`)

// parseTAP counts the top-level lines of the Test Anything Protocol (testanything.org), version 13 or 14.
func parseTAP(in io.Reader, r *result) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 16<<20)
	failing := ""
	var detail strings.Builder
	flush := func() {
		if failing != "" {
			r.fail(failing, detail.String())
		}
		failing = ""
		detail.Reset()
	}
	for scanner.Scan() {
		m := tapLine.FindStringSubmatch(scanner.Text())
		if m == nil {
			if failing != "" && detail.Len() < maxFailureOutput {
				detail.WriteString(scanner.Text() + "\n")
			}
			continue
		}
		flush()
		switch {
		case m[3] == "SKIP":
			r.skip(m[2], m[4])
		case m[1] == "ok":
			r.passed++
		default:
			failing = m[2]
		}
	}
	flush()
	return scanner.Err()
}
