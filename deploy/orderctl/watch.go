package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
	events "github.com/orderwire/orderwire/proto-events"
)

// lastWords is how long an order that has ended is watched on: the parcel's or the stock's last event may come after the
// order's own, as there is no order between the two topics.
const lastWords = 500 * time.Millisecond

type orderWatchCmd struct {
	remote
	ID    string   `arg:"" optional:"" type:"given" help:"Of this order only, until it has ended, whatever types are shown."`
	Type  []string `type:"given" help:"Of these types only, for instance order-*."`
	After string   `help:"Begin there: latest, earliest, a time (RFC 3339) or a cursor (default: now, or the order's beginning)."`
}

// Run prints events as they come.
func (c *orderWatchCmd) Run(ctx context.Context, t *terminal) error {
	api, err := c.connect(ctx, false)
	if err != nil {
		return err
	}
	query := url.Values{}
	for _, typ := range c.Type {
		query.Add("type", typ)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watch{orderWatchCmd: c, t: t, end: sync.OnceFunc(func() { time.AfterFunc(lastWords, cancel) })}
	what := "all that " + c.viewer() + " may see"
	if c.ID != "" {
		what = "order " + c.ID
		o, err := c.order(ctx, api)
		if err != nil {
			return err
		}
		w.current = sync.OnceValue(func() error {
			o, err := c.order(ctx, api)
			if err == nil && final(o.Status) {
				w.end()
			}
			return err
		})
		query.Set("order", c.ID)
		// A little before it was placed: clocks differ.
		query.Set("after", o.CreatedAt.Add(-time.Minute).UTC().Format(time.RFC3339))
		if !c.wants(events.OrderUpdated) {
			query.Add("type", string(events.OrderUpdated)) // it tells of the end
		}
	}
	if c.After != "" {
		query.Set("after", c.After)
	}
	var watching, away bool
	follow := client.Stream{
		API: api, Query: query,
		Connected: func() {
			switch {
			case !watching:
				t.say("watching %s, waiting for events (Ctrl-C ends it)", what)
			case away:
				t.say("connected again")
			}
			watching, away = true, false
		},
		Lost: func(err error) {
			if !away { // the attempts that follow are no news
				t.say("connection lost, coming back: %v", err)
			}
			away = true
		},
		Handle: w.handle,
	}
	err = follow.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// order reads the order that is watched.
func (c *orderWatchCmd) order(ctx context.Context, api *client.Client) (o order, err error) {
	_, err = api.Call(ctx, http.MethodGet, "/v1/orders/"+url.PathEscape(c.ID), nil, nil, &o)
	return o, err
}

// wants tells whether events of this type are to be shown, as the notifier would.
func (c *orderWatchCmd) wants(t events.Type) bool {
	return len(c.Type) == 0 || slices.ContainsFunc(c.Type, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return string(t) == pattern || open && strings.HasPrefix(string(t), prefix)
	})
}

// viewer names who watches, as far as it is known here.
func (c *orderWatchCmd) viewer() string {
	switch {
	case c.Token != "":
		return "the token's owner"
	case c.Operator:
		return "an operator"
	default:
		return c.As
	}
}

// watch is the command at work.
type watch struct {
	*orderWatchCmd
	t   *terminal
	end func() // ends the stream soon
	// current ends it if the order has ended by the time that the stream has come to the present: its last event may lie
	// before where the stream began, or be gone from the log. nil without an order.
	current func() error

	replaying bool // what comes is of the past
	ended     bool // the order's last event has come
}

// handle prints an event, if it is to be shown, and ends the stream with the order that is watched.
func (w *watch) handle(e *client.Event, raw []byte) error {
	if e.Own() {
		return w.notifier(e)
	}
	var o order
	if err := json.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("event %s cannot be read: %w", e.ID, err)
	}
	if w.ID != "" && e.Source == string(events.SourceOrderAPI) && final(o.Status) {
		w.ended = true
		if !w.replaying { // the other topic's part of a replay may be long
			w.end()
		}
	}
	switch {
	case !w.wants(events.Type(e.Type)):
	case w.JSON:
		fmt.Fprintf(w.t.out, "%s\n", raw)
	default:
		status := ""
		if e.Source == string(events.SourceOrderAPI) {
			status = fmt.Sprintf("%s%s (version %d)", o.Status, explain(o), o.Version)
		}
		fmt.Fprintf(w.t.out, "%s  %s  %-24s %s\n", e.Time.Local().Format("15:04:05.000"), e.Subject, e.Type, status)
	}
	return nil
}

// notifier handles what the notifier says of the stream itself.
func (w *watch) notifier(e *client.Event) error {
	var about struct{ Mode string }
	if err := json.Unmarshal(e.Data, &about); e.Type == "notifier.subscribed" && err != nil {
		return fmt.Errorf("%s cannot be read: %w", e.Type, err)
	}
	switch e.Type {
	case "notifier.gap":
		w.t.say("some events are gone from the log: %s", e.Data)
		return nil
	case "notifier.subscribed":
		w.replaying = about.Mode == "replay"
	case "notifier.caught-up":
		w.replaying = false
	}
	switch {
	case w.current == nil || e.Type != "notifier.caught-up" && about.Mode != "live":
	case w.ended:
		w.end()
	default:
		return w.current()
	}
	return nil
}
