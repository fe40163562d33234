//go:build chaos

package chaos

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Enabled tells whether this binary can be broken on purpose.
const Enabled = true

// What the environment asks for.
var (
	control   = mustParse(parseControl(os.Getenv("ORDERWIRE_CONTROL")))
	failpoint = mustParse(parseFailpoint(os.Getenv("ORDERWIRE_FAILPOINT")))
	newer     = mustParse(parseEvents(os.Getenv("ORDERWIRE_EVENTS")))
	passed    atomic.Int64 // times that the failpoint was passed
)

// fatal is a failpoint and the how-manieth time it kills.
type fatal struct {
	at Failpoint
	n  int64
}

// On tells whether a control is switched on.
func On(c Control) bool { return c == control }

// newField is a string field of number 1000 in protobuf's encoding, which no event has.
const newField = "\xc2\x3e\x05newer"

// Shape gives an event's body as it is to be stored: as a later version would write it, if that was asked for.
func Shape(body []byte) []byte {
	if !newer {
		return body
	}
	return append(slices.Clip(body), newField...)
}

// Pass kills the process, as kill -9 does, at the failpoint that was asked for.
func Pass(at Failpoint) {
	if at != failpoint.at || passed.Add(1) != failpoint.n {
		return
	}
	fmt.Fprintf(os.Stderr, "chaos: dies at %s\n", at)
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // nothing more happens here until the signal arrives
}

func parseControl(name string) (Control, error) {
	c := Control(name)
	if name != "" && !slices.Contains(Controls(), c) {
		return "", fmt.Errorf("ORDERWIRE_CONTROL is %q: want one of %v", name, Controls())
	}
	return c, nil
}

func parseFailpoint(text string) (fatal, error) {
	name, count, counted := strings.Cut(text, "@")
	f := fatal{at: Failpoint(name), n: 1}
	if text != "" && !slices.Contains(Failpoints(), f.at) {
		return fatal{}, fmt.Errorf("ORDERWIRE_FAILPOINT is %q: want one of %v, or one with @N", text, Failpoints())
	}
	if counted {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			return fatal{}, fmt.Errorf("ORDERWIRE_FAILPOINT is %q: want a number from 1 on behind the @", text)
		}
		f.n = n
	}
	return f, nil
}

func parseEvents(text string) (bool, error) {
	if text != "" && text != "newer" {
		return false, fmt.Errorf("ORDERWIRE_EVENTS is %q: want newer, or nothing", text)
	}
	return text != "", nil
}

func mustParse[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
	return value
}
