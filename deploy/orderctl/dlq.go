package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/orderwire/orderwire/deploy/dlq"
	"github.com/orderwire/orderwire/deploy/internal/topics"
	events "github.com/orderwire/orderwire/proto-events"
)

// dlqCmd is about records that a consumer could not handle.
type dlqCmd struct {
	List    dlqListCmd    `cmd:"" help:"Dead letters that nothing was decided about."`
	Show    dlqShowCmd    `cmd:"" help:"One in full, and what a redrive would do now."`
	Redrive dlqRedriveCmd `cmd:"" help:"Hand them back to the consumer that could not handle them, with all others of their orders."`
	Discard dlqDiscardCmd `cmd:"" help:"Decide that nothing is to be done about them."`
}

// letters picks dead letters.
type letters struct {
	direct
	Topic     string        `type:"given" help:"Of records of this topic."`
	Consumer  string        `type:"given" help:"Of this consumer."`
	Order     string        `type:"given" help:"Of this order."`
	Error     string        `type:"given" help:"Whose error has this in it."`
	OlderThan time.Duration `type:"given" help:"Older than this, as 1h30m."`
	NewerThan time.Duration `type:"given" help:"Not older than this."`
}

func (l *letters) filter(ids []string) (dlq.Filter, error) {
	f := dlq.Filter{Topic: l.Topic, Consumer: l.Consumer, Order: l.Order, Error: l.Error, OlderThan: l.OlderThan, NewerThan: l.NewerThan}
	for _, s := range ids {
		id, err := dlq.ParseID(s)
		if err != nil {
			return f, err
		}
		f.IDs = append(f.IDs, id)
	}
	return f, nil
}

// read gives all dead letters and the log that has what they hold; close it.
func (l *letters) read(ctx context.Context, t *terminal) (*dlq.Box, *topics.Log, error) {
	log, err := l.log(t.environ)
	if err != nil {
		return nil, nil, err
	}
	box, err := dlq.Read(ctx, log)
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return box, log, nil
}

type dlqListCmd struct {
	letters
	Settled bool `help:"Those too that were redriven or discarded."`
}

// Run prints dead letters.
func (c *dlqListCmd) Run(ctx context.Context, t *terminal) error {
	f, err := c.filter(nil)
	if err != nil {
		return err
	}
	box, log, err := c.read(ctx, t)
	if err != nil {
		return err
	}
	defer log.Close()
	found := box.List(f, c.Settled)
	if c.JSON {
		return t.printJSON(append([]*dlq.Letter{}, found...))
	}
	return t.table(letterRows(found))
}

func letterRows(found []*dlq.Letter) [][]string {
	rows := [][]string{{"LETTER", "STATE", "SINCE", "ORDER", "TYPE", "SEQ", "ERROR"}}
	for _, l := range found {
		state := string(l.State)
		if l.LeftOut != nil {
			state += ", value left out"
		}
		rows = append(rows, []string{
			l.String(), state, clock(l.Time), printable(l.Order), printable(l.Type), fmt.Sprint(l.Sequence), printable(short(l.Error, 80)),
		})
	}
	return rows
}

// short cuts a text that is too long for a line.
func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// printable keeps whatever somebody wrote into a topic from driving the terminal.
func printable(s string) string {
	for _, r := range s {
		if r < ' ' || r == utf8.RuneError || r == 0x7f {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

type dlqShowCmd struct {
	direct
	Letter string `arg:"" type:"given" help:"Which one: consumer:topic/partition@offset, as list prints it."`
}

// Run prints one letter.
func (c *dlqShowCmd) Run(ctx context.Context, t *terminal) error {
	all := letters{direct: c.direct}
	f, err := all.filter([]string{c.Letter})
	if err != nil {
		return err
	}
	box, log, err := all.read(ctx, t)
	if err != nil {
		return err
	}
	defer log.Close()
	found := box.List(f, true)
	if len(found) == 0 {
		return fmt.Errorf("there is no dead letter %s", c.Letter)
	}
	l := found[0]
	content, err := dlq.ContentOf(ctx, log, l)
	if err != nil {
		return err
	}
	forecasts, err := c.forecast(ctx, t, log, found)
	if err != nil {
		return err
	}
	headers := map[string]string{}
	for _, h := range content.Headers {
		headers[h.Key] = h.Value
	}
	if c.JSON {
		out := struct {
			*dlq.Letter
			Headers    map[string]string `json:"headers"`
			Event      json.RawMessage   `json:"event,omitempty"`
			Unreadable string            `json:"unreadable,omitempty"`
			Value      []byte            `json:"value"`
			Forecast   dlq.Forecast      `json:"forecast"`
		}{Letter: l, Headers: headers, Value: content.Value, Forecast: forecasts[0]}
		if content.Event != nil {
			out.Event = events.AppendCloudEvent(nil, content.Event)
		} else {
			out.Unreadable = content.Unreadable.Error()
		}
		return t.printJSON(out)
	}
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t.out, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	row("letter", "%s", l.ID)
	row("state", "%s", l.State)
	if l.Settled != nil {
		row("decided", "%s %s", clock(*l.Settled), l.Reason)
	}
	row("lies in", "%s/%d@%d since %s, given up %d time(s)", l.DeadLetterTopic, l.In, l.At, clock(l.Time), l.Tries)
	row("error", "%s", l.Error)
	row("order", "%s", l.Order)
	for _, h := range content.Headers {
		row("  "+h.Key, "%s", h.Value)
	}
	if content.Event != nil {
		row("event", "%s", events.AppendCloudEvent(nil, content.Event))
	} else {
		row("unreadable", "%v", content.Unreadable)
		if l.LeftOut == nil {
			row("value", "%q", content.Value)
		}
	}
	row("a redrive", "%s: %s", forecasts[0].Effect, forecasts[0].Why)
	return nil
}

// forecast says what a redrive of letters would do as things are.
func (d *direct) forecast(ctx context.Context, t *terminal, log *topics.Log, found []*dlq.Letter) ([]dlq.Forecast, error) {
	if whole, _ := dlq.Whole(found); len(whole) == 0 {
		return slices.Repeat([]dlq.Forecast{dlq.LeftOut}, len(found)), nil // without a database
	}
	databases, err := d.documents(ctx)
	if err != nil {
		return nil, err
	}
	defer closed(ctx, t, databases)
	return dlq.Foresee(ctx, log, databases, found)
}

// decision is what redrive and discard have in common.
type decision struct {
	letters
	Letters []string `arg:"" optional:"" help:"Which ones: consumer:topic/partition@offset, as list prints them."`
	All     bool     `help:"All that are open: needed where nothing else says which."`
	DryRun  bool     `help:"Change nothing, say what would happen."`
	Reason  string   `help:"Remembered with the decision."`
}

// Validate wants to be told which letters: all of them is nothing to happen by accident.
func (c *decision) Validate() error {
	f, err := c.filter(c.Letters)
	if err == nil && f.Empty() && !c.All {
		return errors.New("which ones? Name letters, filter them, or say --all")
	}
	return err
}

// pick gives the letters that were asked for, beside what read gives.
func (c *decision) pick(ctx context.Context, t *terminal, settled bool) (*dlq.Box, *topics.Log, []*dlq.Letter, error) {
	f, err := c.filter(c.Letters)
	if err != nil {
		return nil, nil, nil, err
	}
	box, log, err := c.read(ctx, t)
	if err != nil {
		return nil, nil, nil, err
	}
	return box, log, box.List(f, settled), nil
}

// decided is one letter in the answer of redrive and discard.
type decided struct {
	Letter   dlq.ID        `json:"letter"`
	Order    string        `json:"order"`
	Type     string        `json:"type"`
	Sequence int64         `json:"sequence"`
	Forecast *dlq.Forecast `json:"forecast,omitempty"`
}

func decidedOf(l *dlq.Letter, f *dlq.Forecast) decided {
	return decided{l.ID, l.Order, l.Type, l.Sequence, f}
}

// tell prints what was, or would be, done.
func (c *decision) tell(t *terminal, verb string, all []decided) error {
	if c.JSON {
		return t.printJSON(struct {
			DryRun  bool      `json:"dryRun"`
			Letters []decided `json:"letters"`
		}{c.DryRun, append([]decided{}, all...)})
	}
	for _, d := range all {
		line := fmt.Sprintf("%s  order %s  %s %d", d.Letter, printable(d.Order), printable(d.Type), d.Sequence)
		if d.Forecast != nil {
			line += fmt.Sprintf("  %s: %s", d.Forecast.Effect, d.Forecast.Why)
		}
		fmt.Fprintln(t.out, line)
	}
	t.say("%d %s", len(all), verb)
	return nil
}

type dlqRedriveCmd struct {
	decision
	Again bool `help:"Those too that were redriven or discarded already; what their consumer has taken meanwhile has no effect."`
}

// Run redrives.
func (c *dlqRedriveCmd) Run(ctx context.Context, t *terminal) error {
	box, log, found, err := c.pick(ctx, t, c.Again)
	if err != nil {
		return err
	}
	defer log.Close()
	found = box.WithTheirOrders(found)
	var done []decided
	if c.DryRun {
		found, refused := dlq.Whole(found)
		forecasts, err := c.forecast(ctx, t, log, found)
		if err != nil {
			return err
		}
		for i, l := range found {
			done = append(done, decidedOf(l, &forecasts[i]))
		}
		return errors.Join(c.tell(t, "would be redriven", done), refused)
	}
	conf, err := c.kafka(t.environ)
	if err != nil {
		return err
	}
	err = dlq.Redrive(ctx, conf, log, found, c.Reason, func(l *dlq.Letter) { done = append(done, decidedOf(l, nil)) })
	return errors.Join(c.tell(t, "redriven", done), err)
}

type dlqDiscardCmd struct{ decision }

// Run discards.
func (c *dlqDiscardCmd) Run(ctx context.Context, t *terminal) error {
	_, log, found, err := c.pick(ctx, t, false)
	if err != nil {
		return err
	}
	defer log.Close()
	var done []decided
	tell := func(l *dlq.Letter) { done = append(done, decidedOf(l, nil)) }
	if c.DryRun {
		for _, l := range found {
			tell(l)
		}
		return c.tell(t, "would be discarded", done)
	}
	conf, err := c.kafka(t.environ)
	if err != nil {
		return err
	}
	err = dlq.Discard(ctx, conf, found, c.Reason, tell)
	return errors.Join(c.tell(t, "discarded", done), err)
}
