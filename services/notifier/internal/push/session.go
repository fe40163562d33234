package push

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// wire is what a session speaks. An error ends the session.
type wire interface {
	// send writes a message, or keeps it until flush.
	send(m *feed.Message) error
	flush() error
	// close says how it ends, after the last message.
	close(e ending)
	// cut ends it without a word, at once, also in the middle of a write.
	cut()
}

// errSlow says that a client has read nothing for too long.
var errSlow = errors.New("the client reads nothing")

// session is one connection.
type session struct {
	hub       *Hub
	transport string
	wire      wire
	who       auth.Principal
	sub       *feed.Subscription
	strict    bool // a gap ends the session

	// at is how far it is while it catches up, last the cursor of the last message since then.
	at   cursor.Cursor
	last string
	// replay is nil while the session is live.
	replay *catchUp

	commands chan command // from the client
	endings  chan ending  // from outside; the first one counts
	restarts chan time.Duration
	beat     *time.Timer // silence
	expiry   *time.Timer // of the token
	age      *time.Timer
}

// end asks the session to end.
func (s *session) end(e ending) {
	select {
	case s.endings <- e:
	default: // it ends already
	}
}

// restartIn asks it to end after d so that the client goes elsewhere.
func (s *session) restartIn(d time.Duration) {
	select {
	case s.restarts <- d:
	default: // asked already
	}
}

func (s *session) cut() { s.wire.cut() }

// subscribedData is the data of a notifier.subscribed.
type subscribedData struct {
	Mode        string `json:"mode"` // live or replay
	HeartbeatMs int64  `json:"heartbeatIntervalMs"`
}

func (s *session) subscribed(mode, cursorText string) *feed.Message {
	return feed.Own(feed.TypeSubscribed, subscribedData{mode, s.hub.config.HeartbeatInterval.Milliseconds()}, cursorText)
}

// run is the session's life; gaps are told at its beginning. ctx ends with the connection.
func (s *session) run(ctx context.Context, gaps []feed.Gap) {
	c := s.hub.config
	s.beat = time.NewTimer(c.HeartbeatInterval)
	s.expiry = time.NewTimer(time.Until(s.who.Expires))
	s.age = time.NewTimer(c.MaxConnectionAge*4/5 + rand.N(c.MaxConnectionAge*2/5+1)) //nolint:gosec // jitter is no secret
	defer s.beat.Stop()
	defer s.expiry.Stop()
	defer s.age.Stop()
	e := s.begin(ctx, gaps)
	if e == nil {
		e = s.loop(ctx)
	}
	s.unsubscribe()
	s.finish(*e)
	s.hub.leave(s, *e)
}

// unsubscribe ends what flows into the session. What is queued stays, to be sent, but not when a replay is cut off: then
// it lies behind a part that was not sent.
func (s *session) unsubscribe() {
	interrupted := s.replay != nil
	s.stopReplay()
	s.hub.seq.Detach(s.sub)
	if interrupted {
		s.sub.Take()
	}
}

// begin greets.
func (s *session) begin(ctx context.Context, gaps []feed.Gap) *ending {
	mode := "live"
	if s.replay != nil {
		mode = "replay"
	}
	if e := s.send(s.subscribed(mode, s.at.String())); e != nil {
		return e
	}
	if e := s.tell(gaps); e != nil {
		return e
	}
	if s.replay != nil {
		s.replay.start(ctx)
	}
	return s.flush()
}

// loop has all that can happen; it gives how the session ends.
func (s *session) loop(ctx context.Context) *ending {
	for {
		var steps <-chan stretch
		var replayed <-chan error
		wake := s.sub.Wake()
		if s.replay != nil {
			steps, replayed, wake = s.replay.stretches, s.replay.done, nil
		}
		var e *ending
		select {
		case <-wake:
			e = s.sendQueue(ctx)
		case stretch := <-steps:
			e = s.take(stretch)
		case err := <-replayed:
			e = s.caughtUp(ctx, err)
		case c := <-s.commands:
			e = c(ctx, s)
		case <-s.beat.C:
			e = s.heartbeat()
		case <-s.expiry.C:
			p := &web.Problem{Status: http.StatusUnauthorized, Code: "token_expired", Detail: "the token has expired"}
			end := refused(p)
			return &end
		case <-s.age.C:
			return &ending{code: codeRestart, reason: "go on elsewhere", restart: true}
		case d := <-s.restarts:
			s.age.Reset(d)
		case end := <-s.endings:
			return &end
		case <-ctx.Done():
			end := gone(codeNormal)
			return &end
		}
		if e == nil {
			e = s.flush()
		}
		if e != nil {
			return e
		}
	}
}

// send writes one message.
func (s *session) send(m *feed.Message) *ending {
	if err := s.wire.send(m); err != nil {
		return lost(err)
	}
	if m.Cursor != "" {
		s.last = m.Cursor
	}
	s.hub.metrics.sent.WithLabelValues(s.transport).Inc()
	s.beat.Reset(s.hub.config.HeartbeatInterval)
	return nil
}

func (s *session) flush() *ending {
	if err := s.wire.flush(); err != nil {
		return lost(err)
	}
	return nil
}

// lost is the end of a connection that cannot be written to.
func lost(err error) *ending {
	e := gone(codeNormal)
	if errors.Is(err, errSlow) {
		e = gone(codeSlow)
	}
	e.reason = err.Error()
	return &e
}

// sendQueue sends what the subscription holds. When that overflowed, the session catches up from the last message.
func (s *session) sendQueue(ctx context.Context) *ending {
	queue, overflowed := s.sub.Take()
	for _, m := range queue {
		if m.Type == feed.TypeGap && s.strict {
			return cursorGone()
		}
		if e := s.send(m); e != nil {
			return e
		}
	}
	if overflowed {
		s.at = s.position()
		s.startReplay(ctx, newCatchUp(s, s.at))
	}
	return nil
}

// position is how far the client is.
func (s *session) position() cursor.Cursor {
	if s.replay == nil {
		if c, err := cursor.Parse(s.last); err == nil {
			return c
		}
	}
	return s.at
}

// heartbeat moves the client's cursor when there is nothing else to say.
func (s *session) heartbeat() *ending {
	if s.replay == nil {
		s.hub.seq.Mark(s.sub, feed.Heartbeat)
		s.beat.Reset(s.hub.config.HeartbeatInterval)
		return nil
	}
	return s.send(feed.Heartbeat(s.at.String()))
}

// tell tells gaps, or ends a session that is strict about them.
func (s *session) tell(gaps []feed.Gap) *ending {
	if len(gaps) > 0 && s.strict {
		return cursorGone()
	}
	for _, m := range feed.GapMessages(gaps, s.at.String()) {
		if e := s.send(m); e != nil {
			return e
		}
	}
	return nil
}

func cursorGone() *ending {
	e := refused(errGone)
	return &e
}

var errGone = &web.Problem{Status: http.StatusGone, Code: "cursor_gone", Detail: "events behind this cursor are gone, and strict was asked for"}

// drainingData is the data of a notifier.draining.
type drainingData struct {
	RetryAfterMs int64 `json:"retryAfterMs"`
}

// finish says the last words.
func (s *session) finish(e ending) {
	if e.gone {
		s.wire.close(e)
		return
	}
	if e.restart {
		if s.sendRest() != nil {
			s.wire.close(gone(e.code))
			return
		}
	}
	if e.problem != nil {
		if s.send(problemMessage(e.problem)) != nil || s.flush() != nil {
			e = gone(e.code)
		}
	}
	s.wire.close(e)
}

// sendRest sends what is queued, and that this instance is about to end.
func (s *session) sendRest() *ending {
	queue, _ := s.sub.Take()
	for _, m := range queue {
		if e := s.send(m); e != nil {
			return e
		}
	}
	retry := rand.N(restartSoon) //nolint:gosec // jitter is no secret
	if e := s.send(feed.Own(feed.TypeDraining, drainingData{retry.Milliseconds()}, s.position().String())); e != nil {
		return e
	}
	return s.flush()
}
