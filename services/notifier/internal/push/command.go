package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/time/rate"

	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// What a client may say over its WebSocket.
const (
	typeSubscribe = "notifier.subscribe"
	typeRefresh   = "notifier.refresh"
)

// How often a client may say something: wishes of a moment are fine, a stream of them is not.
const (
	wishesEvery = time.Second
	wishesAhead = 20
)

// wish is a client's message: a CloudEvent.
type wish struct {
	SpecVersion string         `json:"specversion"`
	ID          string         `json:"id"`
	Source      string         `json:"source"`
	Type        string         `json:"type"`
	Data        jsontext.Value `json:"data"`
}

// wantedData is the data of a notifier.subscribe. Without after the stream goes on where it is.
type wantedData struct {
	Types     []string `json:"type"`
	Orders    []string `json:"order"`
	Customers []string `json:"customer"`
	After     *string  `json:"after"`
}

// tokenData is the data of a notifier.refresh.
type tokenData struct {
	Token string `json:"token"`
}

// command is a wish of the client, carried out by the session's loop.
type command func(ctx context.Context, s *session) *ending

// read hears what the client says until the connection ends.
func (s *session) read(ctx context.Context, conn *websocket.Conn) {
	limit := rate.NewLimiter(rate.Every(wishesEvery), wishesAhead)
	for {
		kind, raw, err := conn.Read(ctx)
		var e ending
		var do command
		switch {
		case err != nil:
			e = gone(leftWith(err))
		case kind != websocket.MessageText:
			e = ending{code: codeUnsupported, reason: "text frames only"}
		case !utf8.Valid(raw):
			e = ending{code: codeInvalidText, reason: "not UTF-8"}
		case !limit.Allow():
			e = ending{code: codePolicy, reason: "too many messages"}
		default:
			var p *web.Problem
			if do, p = parseWish(raw); p != nil {
				e = refused(p)
			}
		}
		if do == nil {
			s.end(e)
			return
		}
		select {
		case s.commands <- do:
		case <-ctx.Done():
			return
		}
	}
}

// leftWith gives the code with which a client has gone.
func leftWith(err error) int {
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return codeTooBig
	}
	if code := websocket.CloseStatus(err); code > 0 {
		return int(code)
	}
	return codeAbnormal
}

// parseWish reads a client's message strictly.
func parseWish(raw []byte) (command, *web.Problem) {
	var w wish
	if err := json.Unmarshal(raw, &w); err != nil {
		return nil, badMessage("it is no CloudEvent in JSON: %v", err)
	}
	if w.SpecVersion != "1.0" || w.ID == "" || w.Source == "" {
		return nil, badMessage("a CloudEvent has specversion 1.0, an id, a source and a type")
	}
	switch w.Type {
	case typeSubscribe:
		var data wantedData
		if err := json.Unmarshal(w.Data, &data, json.RejectUnknownMembers(true)); err != nil {
			return nil, badMessage("the data of %s: %v", w.Type, err)
		}
		return data.command, nil
	case typeRefresh:
		var data tokenData
		if err := json.Unmarshal(w.Data, &data, json.RejectUnknownMembers(true)); err != nil {
			return nil, badMessage("the data of %s: %v", w.Type, err)
		}
		return data.command, nil
	}
	return nil, badMessage("a client says %s or %s", typeSubscribe, typeRefresh)
}

func badMessage(format string, args ...any) *web.Problem {
	return &web.Problem{Status: http.StatusBadRequest, Code: "bad_message", Detail: fmt.Sprintf(format, args...)}
}

// command replaces the subscription.
func (d wantedData) command(ctx context.Context, s *session) *ending {
	f, err := NewFilter(s.who, d.Types, d.Orders, d.Customers)
	if err != nil {
		return refusedBy(err)
	}
	if d.After == nil {
		return s.resubscribe(ctx, f)
	}
	o, err := ParseOrigin(*d.After)
	if err != nil {
		return refusedBy(badMessage("after is %q: want latest, earliest, a time (RFC 3339) or a cursor", *d.After))
	}
	return s.subscribeFrom(ctx, f, o)
}

// resubscribe changes what the session is about, from where it is.
func (s *session) resubscribe(ctx context.Context, f feed.Filter) *ending {
	live := func(cursorText string) *feed.Message { return s.subscribed("live", cursorText) }
	if s.replay == nil && s.hub.seq.Replace(s.sub, f, live) {
		return nil
	}
	s.at = s.position()
	s.detach()
	s.hub.seq.Replace(s.sub, f, live)
	if e := s.send(s.subscribed("replay", s.at.String())); e != nil {
		return e
	}
	s.startReplay(ctx, newCatchUp(s, s.at))
	return nil
}

// subscribeFrom changes it and begins elsewhere.
func (s *session) subscribeFrom(ctx context.Context, f feed.Filter, o Origin) *ending {
	s.at = s.position()
	s.detach()
	s.hub.seq.Replace(s.sub, f, nil)
	at, live, err := s.hub.attach(s.sub, o)
	switch {
	case err != nil:
		return refusedBy(refusal(err))
	case live:
		s.at = at
		return s.send(s.subscribed("live", at.String()))
	}
	c := newCatchUp(s, s.at)
	c.plan = &o
	s.startReplay(ctx, c)
	return nil
}

// detach ends what flows into the session, and forgets what was on its way.
func (s *session) detach() {
	s.stopReplay()
	s.hub.seq.Detach(s.sub)
	s.sub.Take()
}

// command lets the session live as long as a fresh token does. A heartbeat says that it was taken.
func (d tokenData) command(_ context.Context, s *session) *ending {
	p, err := s.hub.verifier.Verify(d.Token)
	if err != nil {
		return refusedBy(&web.Problem{Status: http.StatusUnauthorized, Code: "invalid_token", Detail: err.Error()})
	}
	if p.Customer != s.who.Customer || p.Operator != s.who.Operator {
		return refusedBy(&web.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "a fresh token is about the same customer and role"})
	}
	s.who = p
	s.expiry.Reset(time.Until(p.Expires))
	return s.heartbeat()
}

func refusedBy(err error) *ending {
	var p *web.Problem
	if !errors.As(err, &p) {
		p = &web.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "something went wrong here"}
	}
	e := refused(p)
	return &e
}
