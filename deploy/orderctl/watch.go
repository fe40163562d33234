package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

// errEnough is what handle returns to end the stream.
var errEnough = errors.New("enough")

type orderWatchCmd struct {
	remote
	ID    string   `arg:"" optional:"" help:"Of this order only, until it has ended."`
	Type  []string `help:"Of these types only, for instance order-*."`
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
	if c.ID != "" {
		var o order
		if _, err := api.Call(ctx, http.MethodGet, "/v1/orders/"+url.PathEscape(c.ID), nil, nil, &o); err != nil {
			return err
		}
		query.Set("order", c.ID)
		// A little before it was placed: clocks differ.
		query.Set("after", o.CreatedAt.Add(-time.Minute).UTC().Format(time.RFC3339))
	}
	if c.After != "" {
		query.Set("after", c.After)
	}
	what := "all that " + c.viewer() + " may see"
	if c.ID != "" {
		what = "order " + c.ID
	}
	follow := client.Stream{
		API: api, Query: query,
		Connected: sync.OnceFunc(func() { t.say("watching %s, waiting for events (Ctrl-C ends it)", what) }),
		Lost:      func(err error) { t.say("connection lost, coming back: %v", err) },
		Handle:    func(e *client.Event, raw []byte) error { return c.show(t, e, raw) },
	}
	err = follow.Run(ctx)
	if errors.Is(err, errEnough) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
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

// show prints one event, and ends the stream with the order that is watched.
func (c *orderWatchCmd) show(t *terminal, e *client.Event, raw []byte) error {
	if e.Own() {
		if e.Type == "notifier.gap" {
			t.say("some events are gone from the log: %s", e.Data)
		}
		return nil
	}
	var o order
	if err := json.Unmarshal(e.Data, &o); err != nil {
		return fmt.Errorf("event %s cannot be read: %w", e.ID, err)
	}
	if c.JSON {
		fmt.Fprintf(t.out, "%s\n", raw)
	} else {
		status := ""
		if e.Source == "order-api" {
			status = fmt.Sprintf("%s%s (version %d)", o.Status, explain(o), o.Version)
		}
		fmt.Fprintf(t.out, "%s  %s  %-24s %s\n", e.Time.Local().Format("15:04:05.000"), e.Subject, e.Type, status)
	}
	if c.ID != "" && e.Source == "order-api" && final(o.Status) {
		return errEnough
	}
	return nil
}
