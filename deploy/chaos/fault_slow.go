package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/orderwire/orderwire/deploy/stack"
)

// F13: slow clients beside the load. Sockets that never read, headers that come byte by byte, connections that say nothing,
// WebSockets that wait for an event that never comes, and subscribers that come and go.
func drawSlow(d *drawer) {
	at := d.from + d.between(0, (d.to-d.from)/4)
	lasts := d.to - at
	switch how := d.one("never-reads", "slowloris", "idle", "subscribers", "flood"); how {
	case "never-reads":
		d.add(at, lasts, how, 50)
	case "slowloris":
		d.add(at, max(lasts, headerGrace+2*time.Second), how, 200)
	case "flood":
		d.add(at, lasts, how, 20)
	default:
		n := 2000
		if len(d.t.faults) == 1 { // beside other faults the machine has other things to do
			n = 10_000
		}
		d.add(at, lasts, how, n)
	}
}

// headerGrace is how long a connection may take over its headers before it must have been closed: the services' ten
// seconds, and some for a busy machine.
const headerGrace = 14 * time.Second

func doSlow(ctx context.Context, b *breaker, i Injection) (healer, error) {
	s := &slow{sys: b.sys, n: i.N, how: i.Variant, from: b.sys.since()}
	s.ctx, s.cancel = context.WithCancel(ctx)
	switch i.Variant {
	case "never-reads":
		s.each(s.n, s.neverReads)
	case "slowloris":
		s.each(s.n, s.drips)
	case "idle":
		s.each(s.n, s.saysNothing)
	case "subscribers":
		s.each(s.n, s.waits)
	case "flood":
		s.each(s.n, s.comesAndGoes)
	}
	return func(context.Context) { s.end() }, nil
}

// slow is a crowd of clients of one kind.
type slow struct {
	sys    *system
	n      int
	how    string
	from   time.Duration
	ctx    context.Context //nolint:containedctx // the life of the crowd
	cancel context.CancelFunc
	all    sync.WaitGroup

	held atomic.Int64 // connections that were made
	why  sync.Map
}

// each starts so many clients, not all in the same moment.
func (s *slow) each(n int, live func(number int) error) {
	for number := range n {
		s.all.Go(func() {
			sleep(s.ctx, time.Duration(number)*2*time.Second/time.Duration(n))
			err := live(number)
			if err != nil && s.ctx.Err() == nil {
				line, _, _ := strings.Cut(err.Error(), "\n")
				s.why.LoadOrStore(line, true)
			}
		})
	}
}

// end lets all of them go. What none of them should have met is noted for the check.
func (s *slow) end() {
	s.cancel()
	s.all.Wait()
	var why []string
	s.why.Range(func(line, _ any) bool {
		if len(why) < 3 {
			why = append(why, line.(string))
		}
		return true
	})
	if len(why) > 0 {
		s.sys.probed(probe{
			demand: demand{name: fmt.Sprintf("%d slow clients (%s)", s.held.Load(), s.how), want: []int{0}},
			entry:  entry{Begin: duration(s.from), End: duration(s.sys.since()), Error: strings.Join(why, "; ")},
		})
	}
}

func (s *slow) addr(service string) string {
	return strings.TrimPrefix(s.sys.stack.Instances(service)[0].URL, "http://")
}

func (s *slow) service(number int) string {
	all := stack.Services()
	return all[number%len(all)]
}

func (s *slow) dial(service string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(s.ctx, "tcp", s.addr(service))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", service, err)
	}
	s.held.Add(1)
	context.AfterFunc(s.ctx, func() { conn.Close() }) // the crowd goes
	return conn, nil
}

// neverReads subscribes to all there ever was and does not read a byte of it. It is closed after a while, and comes again.
func (s *slow) neverReads(int) error {
	token, err := s.sys.token("operator", true)
	if err != nil {
		return err
	}
	for s.ctx.Err() == nil {
		conn, err := s.dial(stack.Notifier)
		if err != nil {
			return err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			if err := tcp.SetReadBuffer(4 << 10); err != nil {
				return errors.Join(err, conn.Close())
			}
		}
		fmt.Fprintf(conn, "GET /v1/events?after=earliest HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: cloudevents.json\r\nAuthorization: Bearer %s\r\n\r\n", token)
		sleep(s.ctx, 12*time.Second)
		conn.Close() // it may be closed already
	}
	return nil
}

// endlessHeaders is a request whose headers, sent again and again, never end.
const endlessHeaders = "GET / HTTP/1.1\r\nX: "

// drips sends a header byte by byte; the service must end that, whatever else goes on.
func (s *slow) drips(number int) error {
	service := s.service(number)
	conn, err := s.dial(service)
	if err != nil {
		return err
	}
	begun := time.Now()
	go func() {
		for n := 0; ; n++ {
			if _, err := conn.Write([]byte{endlessHeaders[n%len(endlessHeaders)]}); err != nil || s.ctx.Err() != nil {
				return
			}
			sleep(s.ctx, 500*time.Millisecond)
		}
	}()
	io.Copy(io.Discard, conn) //nolint:errcheck // however it ends
	if took := time.Since(begun); took > headerGrace {
		return fmt.Errorf("%s has listened for %s to a client that never ends its headers", service, took.Round(time.Second))
	}
	return nil
}

// saysNothing asks once, and keeps the connection without a word. Half of them never ask at all.
func (s *slow) saysNothing(number int) error {
	conn, err := s.dial(s.service(number))
	if err != nil {
		return err
	}
	if number%2 == 0 {
		if _, err := io.WriteString(conn, "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
	}
	io.Copy(io.Discard, conn) //nolint:errcheck // until somebody has had enough
	return nil
}

// subscription is a client's of an order that does not exist, so that nothing but pings comes.
func (s *slow) subscription(number int) (*websocket.Conn, error) {
	token, err := s.sys.token(fmt.Sprintf("idle-%d", number/20), false)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, 3*patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, "ws://"+s.addr(stack.Notifier)+"/v1/events?order="+nobody, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, Subprotocols: []string{"cloudevents.json"},
	})
	if resp != nil && resp.Body != nil {
		defer resp.Body.Close() // the connection has it
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s.held.Add(1)
	return conn, nil
}

// waits is an idle subscriber: it answers pings, and nobody may end it.
func (s *slow) waits(number int) error {
	conn, err := s.subscription(number)
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed in any case
	for {
		if _, _, err := conn.Read(s.ctx); err != nil {
			return fmt.Errorf("an idle subscriber was ended: %w", err)
		}
	}
}

// comesAndGoes subscribes and leaves, politely or not.
func (s *slow) comesAndGoes(number int) error {
	for n := number; s.ctx.Err() == nil; n++ {
		conn, err := s.subscription(number)
		if err != nil {
			return err
		}
		if _, _, err = conn.Read(s.ctx); err == nil && n%2 == 0 {
			err = conn.Close(websocket.StatusNormalClosure, "")
		}
		conn.CloseNow() //nolint:errcheck // the others just go
		if err != nil {
			return fmt.Errorf("a subscriber that comes and goes: %w", err)
		}
		sleep(s.ctx, 10*time.Millisecond)
	}
	return nil
}
