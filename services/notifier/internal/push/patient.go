package push

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// piece is how much is written under one deadline, in bytes.
const piece = 16 << 10

// patient is a connection whose writes fail only when the other side reads nothing for the time slow; one that reads
// slowly has all the time it needs.
type patient struct {
	net.Conn
	slow time.Duration
	busy atomic.Int32 // writes that are under way
}

// Write writes piece by piece.
func (p *patient) Write(b []byte) (int, error) {
	p.busy.Add(1)
	defer p.busy.Add(-1)
	written := 0
	for {
		if err := p.SetWriteDeadline(time.Now().Add(p.slow)); err != nil {
			return written, err
		}
		n, err := p.Conn.Write(b[written:min(written+piece, len(b))])
		written += n
		if err != nil {
			// A part of it went out: that is reading.
			if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			return written, err
		}
		if written == len(b) {
			return written, nil
		}
	}
}

// slowOr marks the error of a write that ran into its deadline.
func slowOr(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", errSlow, err)
	}
	return err
}
