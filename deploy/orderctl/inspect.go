package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orderwire/orderwire/deploy/inspect"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// stuckCmd finds orders that hang.
type stuckCmd struct {
	direct
	Deadline map[string]time.Duration `mapsep:"," placeholder:"STATE=TIME" help:"How long an order may be in a state (pending=1m,cancelling=1m,confirmed=72h,shipped=336h)."`
	Limit    int                      `default:"20" help:"At most so many of each state."`
}

// Validate knows the states.
func (c *stuckCmd) Validate() error {
	for state, d := range c.Deadline {
		if !slices.Contains(inspect.States(), state) || d <= 0 {
			return fmt.Errorf("--deadline %s=%s: want one of %s, and a time", state, d, strings.Join(inspect.States(), ", "))
		}
	}
	if c.Limit < 1 {
		return errors.New("--limit: want 1 or more")
	}
	return nil
}

// Run exits with 1 when there is one.
func (c *stuckCmd) Run(ctx context.Context, t *terminal) error {
	databases, err := c.documents(ctx)
	if err != nil {
		return err
	}
	defer closed(ctx, t, databases)
	deadlines := inspect.Deadlines()
	maps.Copy(deadlines, c.Deadline)
	now := time.Now()
	all, err := inspect.Stuck(ctx, databases, deadlines, c.Limit, now)
	if err != nil {
		return err
	}
	total := int64(0)
	rows := [][]string{{"STATUS", "ORDER", "CUSTOMER", "SINCE", "FOR"}}
	for _, o := range all {
		total += o.Total
		for _, w := range o.Orders {
			rows = append(rows, []string{o.Status, w.ID, w.CustomerID, clock(w.Since), now.Sub(w.Since).Round(time.Second).String()})
		}
	}
	if c.JSON {
		err = t.printJSON(all)
	} else {
		err = t.table(rows)
		for _, o := range all {
			t.say("%d %s for more than %s", o.Total, o.Status, o.Deadline)
		}
	}
	if err == nil && total > 0 {
		return exitCode(exitFailed)
	}
	return err
}

// tailCmd prints what stands in the topics.
type tailCmd struct {
	direct
	Order    string        `type:"given" help:"Of this order."`
	Customer string        `type:"given" help:"Of this customer."`
	Type     []string      `type:"given" help:"Of these types, comma separated."`
	From     time.Time     `help:"Written at this time or later, as 2026-11-25T16:00:00Z."`
	Until    time.Time     `help:"Written before this time."`
	Since    time.Duration `type:"given" help:"Written in this last time, as 10m; instead of --from."`
	Follow   bool          `short:"f" help:"Go on with what is written, until interrupted; without a time only that."`
}

// Validate refuses what contradicts itself.
func (c *tailCmd) Validate() error {
	switch {
	case c.Since != 0 && !c.From.IsZero():
		return errors.New("--since and --from: want one of them")
	case c.Follow && !c.Until.IsZero():
		return errors.New("--follow and --until: want one of them")
	}
	return nil
}

// Run prints a line a record.
func (c *tailCmd) Run(ctx context.Context, t *terminal) error {
	log, err := c.log(t.environ)
	if err != nil {
		return err
	}
	defer log.Close()
	f := inspect.TailFilter{Order: c.Order, Customer: c.Customer, Types: c.Type, From: c.From, Until: c.Until}
	if c.Since > 0 {
		f.From = time.Now().Add(-c.Since)
	}
	printRecord := func(r *topics.Record) error { return c.print(t, r) }
	if !c.Follow {
		return inspect.Tail(ctx, log, f, printRecord)
	}
	err = inspect.Follow(ctx, log, f, printRecord)
	if ctx.Err() != nil { // interrupted, as one ends it
		return nil
	}
	return err
}

func (c *tailCmd) print(t *terminal, r *topics.Record) error {
	if c.JSON {
		return t.printRecordJSON(r)
	}
	what := ""
	if r.Event != nil {
		what = fmt.Sprintf("%d  %s", r.Event.Sequence, strings.Join(r.Event.Changed, ","))
	} else {
		what = printable(r.Err.Error())
	}
	_, err := fmt.Fprintf(t.out, "%s  %-22s  %-9s  %-25s  %s  %s  %s\n", r.Time.Local().Format(millis), where(r.Topic, r.Partition, r.Offset),
		printable(r.Header(events.HeaderSource)), printable(string(r.Type())), printable(string(r.Key)), printable(r.Header(events.HeaderCustomer)), what)
	return err
}

func (t *terminal) printRecordJSON(r *topics.Record) error {
	out := struct {
		Topic     string          `json:"topic"`
		Partition int32           `json:"partition"`
		Offset    int64           `json:"offset"`
		Written   time.Time       `json:"written"`
		Key       string          `json:"key"`
		Event     json.RawMessage `json:"event,omitempty"`
		Error     string          `json:"error,omitempty"`
	}{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Written: r.Time.UTC(), Key: string(r.Key)}
	if r.Event != nil {
		out.Event = events.AppendCloudEvent(nil, r.Event)
	} else {
		out.Error = r.Err.Error()
	}
	lines := json.NewEncoder(t.out)
	lines.SetEscapeHTML(false)
	return lines.Encode(out)
}

// millis is a time of today's events.
const millis = "2006-01-02 15:04:05.000"

func where(topic string, partition int32, offset int64) string {
	return fmt.Sprintf("%s/%d@%d", topic, partition, offset)
}

// replayCmd compares topics with documents.
type replayCmd struct {
	direct
	Service string    `required:"" enum:"order-api,inventory,shipping" help:"Whose topics, and whose documents: ${enum}."`
	From    time.Time `help:"Records written at this time or later, as 2026-11-25T16:00:00Z (default: all that the topics hold)."`
}

// Run exits with 1 when something would change.
func (c *replayCmd) Run(ctx context.Context, t *terminal) error {
	log, err := c.log(t.environ)
	if err != nil {
		return err
	}
	defer log.Close()
	databases, err := c.documents(ctx)
	if err != nil {
		return err
	}
	defer closed(ctx, t, databases)
	r, err := inspect.RunReplay(ctx, log, databases, c.Service, c.From, t.say)
	if err != nil {
		return err
	}
	if c.JSON {
		err = t.printJSON(r)
	} else {
		for _, ch := range r.Changes {
			fmt.Fprintf(t.out, "%s  order %s  %s %d  %s: %s\n", where(ch.Topic, ch.Partition, ch.Offset), printable(ch.Order), printable(ch.Type), ch.Sequence, ch.Effect, ch.Why)
		}
		fmt.Fprintln(t.out, r)
	}
	if err == nil && r.Total > 0 {
		return exitCode(exitFailed)
	}
	return err
}
