package push

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// Request is what a client asks for.
type Request struct {
	Who    auth.Principal
	Filter feed.Filter
	Origin Origin
	Strict bool
	Named  bool // SSE: with an event: line
}

// Entry is a place and a beginning for a session that is yet to be accepted. Whoever has one serves or discards it.
type Entry struct {
	session *session
	gaps    []feed.Gap
	named   bool
}

// Enter takes a place and finds the beginning. What cannot be had is a *web.Problem, and nothing is held then.
func (h *Hub) Enter(ctx context.Context, r Request) (*Entry, error) {
	if err := h.admit(r.Who); err != nil {
		return nil, err
	}
	s := &session{
		hub: h, who: r.Who, sub: feed.NewSubscription(r.Filter), strict: r.Strict,
		commands: make(chan command), endings: make(chan ending, 1), restarts: make(chan time.Duration, 1),
	}
	entry := &Entry{session: s, named: r.Named}
	if err := entry.place(ctx, r.Origin); err != nil {
		entry.Discard()
		return nil, err
	}
	return entry, nil
}

// place attaches the subscription where it may be live at once, and takes a slot for reading history otherwise.
func (e *Entry) place(ctx context.Context, o Origin) error {
	s := e.session
	at, live, err := s.hub.attach(s.sub, o)
	if err != nil {
		return refusal(err)
	}
	if live {
		s.at = at
		return nil
	}
	s.replay = newCatchUp(s, cursor.Cursor{})
	if err := s.replay.open(ctx, s.hub.history.Open); err != nil {
		return away(err)
	}
	if s.at, e.gaps, err = o.resolve(ctx, s.replay.reading); err != nil {
		return away(err)
	}
	if len(e.gaps) > 0 && s.strict {
		return errGone
	}
	s.replay.at = cursor.Cursor{Lineage: s.at.Lineage, Next: s.at.Next.Clone()}
	return nil
}

// attach makes a subscription live where nothing has to be read before.
func (h *Hub) attach(sub *feed.Subscription, o Origin) (at cursor.Cursor, live bool, err error) {
	switch {
	case o.latest():
		at, err = h.seq.AttachNow(sub)
		return at, err == nil, err
	case o.cursor == nil:
		return cursor.Cursor{}, false, nil
	}
	now, err := h.seq.Now()
	if err != nil || !now.Next.Covers(o.cursor.Next) { // ahead of this instance, or of a log that was cut: Kafka knows
		return cursor.Cursor{}, false, err
	}
	_, live, err = h.seq.Attach(sub, *o.cursor, 0)
	if errors.Is(err, feed.ErrLineage) {
		err = nil
	}
	return *o.cursor, live, err
}

// Discard gives back what is held.
func (e *Entry) Discard() {
	e.session.stopReplay()
	e.session.hub.seq.Detach(e.session.sub)
	e.session.hub.dismiss(e.session.who)
}

// away is the refusal when history cannot be read now.
func away(err error) *web.Problem {
	var p *web.Problem
	if errors.As(refusal(err), &p) {
		return p
	}
	return &web.Problem{
		Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "Kafka does not answer at the moment; try again", RetryAfter: time.Second,
	}
}

// failed is how a session ends that cannot catch up.
func failed(err error) ending {
	if errors.Is(err, context.Canceled) {
		return gone(codeNormal)
	}
	return refused(away(err))
}
