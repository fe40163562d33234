package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/orderwire/orderwire/deploy/audit"
)

// auditMemory is what the garbage collector is asked to stay within, in bytes.
const auditMemory = 200 << 20

// auditGarbage is how much garbage may pile up before it is collected, in per cent of what lives.
const auditGarbage = 50

// auditCmd checks the invariants from outside.
type auditCmd struct {
	direct
	Quiesced bool     `xor:"mode" help:"Nothing moves, so all equalities must hold: no requests, empty outboxes, no lag."`
	Live     bool     `xor:"mode" help:"Documents against the log only, while everything goes on (the default)."`
	All      bool     `help:"List every violation, not the first hundred of each invariant only."`
	Follow   bool     `help:"Go on with what is new until interrupted; live only."`
	Ignore   *os.File `placeholder:"FILE" help:"Records that somebody wrote on purpose: {\"topic\",\"partition\",\"offset\"} a line."`
	Accepted *os.File `placeholder:"FILE" help:"Orders that clients were told are placed: an id a line."`
}

// Run exits with 0 only if all invariants hold.
func (a *auditCmd) Run(ctx context.Context, t *terminal) error {
	if a.Follow && a.Quiesced {
		t.say("orderctl: --follow is for a live system: leave --quiesced out")
		return exitCode(exitUsage)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(auditMemory))
	defer debug.SetGCPercent(debug.SetGCPercent(auditGarbage))
	config, err := a.config(t)
	if err != nil {
		return err
	}
	if a.Follow {
		err := audit.Follow(ctx, config, func(r *audit.Report) error { return a.print(t, r, time.Now()) })
		if errors.Is(err, audit.ErrViolated) {
			return exitCode(exitFailed)
		}
		return err
	}
	began := time.Now()
	report, err := audit.Run(ctx, config)
	if err != nil {
		return err
	}
	if err := a.print(t, report, began); err != nil {
		return err
	}
	if !report.Holds() {
		return exitCode(exitFailed)
	}
	return nil
}

func (a *auditCmd) config(t *terminal) (audit.Config, error) {
	k, err := a.kafka(t.environ)
	if err != nil {
		return audit.Config{}, err
	}
	c := audit.Config{
		Kafka: k, MongoDB: a.MongoDB, Quiesced: a.Quiesced, All: a.All, Say: t.say,
		Databases: audit.Databases{OrderAPI: a.Databases["order-api"], Inventory: a.Databases["inventory"], Shipping: a.Databases["shipping"]},
	}
	if a.Accepted != nil {
		c.Accepted = a.Accepted
	}
	if a.Ignore != nil {
		if c.Ignore, err = audit.ReadIgnore(a.Ignore); err != nil {
			return c, fmt.Errorf("--ignore: %w", err)
		}
	}
	return c, nil
}

// print tells what an audit that began at a time has found.
func (a *auditCmd) print(t *terminal, r *audit.Report, began time.Time) error {
	switch {
	case a.JSON && a.Follow: // a report a line
		return json.NewEncoder(t.out).Encode(r)
	case a.JSON:
		return t.printJSON(r)
	}
	fmt.Fprintf(t.out, "%s: %d orders, %d events, %d dead letters; %d records ignored, %d of others, %d unreadable; the log of %d partitions begins late\n",
		r.Mode, r.Orders, r.Events, r.DeadLetters, r.Ignored, r.Unknown, r.Malformed, r.Truncated)
	rows := [][]string{{"", "", "CHECKED", "VIOLATED"}}
	for _, i := range r.Invariants {
		verdict := fmt.Sprint(i.Total)
		switch {
		case i.Skipped != "":
			verdict = "not checked: " + i.Skipped
		case i.Holds:
			verdict = "holds"
		}
		rows = append(rows, []string{i.ID, i.Says, fmt.Sprint(i.Checked), verdict})
	}
	if err := t.table(rows); err != nil {
		return err
	}
	for _, i := range r.Invariants {
		for _, v := range i.Violations {
			mark := ""
			if v.Moving {
				mark = " (not at rest)"
			}
			fmt.Fprintf(t.out, "%s%s: %s\n", i.ID, mark, v)
		}
		if i.LeftOut > 0 {
			fmt.Fprintf(t.out, "%s: and %d more (--all lists them)\n", i.ID, i.LeftOut)
		}
	}
	if r.Moving != nil {
		fmt.Fprintln(t.out, "\n"+restless(r, began))
	}
	return nil
}

// restless says what is behind violations of what only holds at rest, and when to look again.
func restless(r *audit.Report, began time.Time) string {
	total := 0
	for _, i := range r.Invariants {
		total += i.Total
	}
	m := r.Moving
	again := "What waits is taken in within seconds, where all services run: audit again then."
	switch {
	case m.Parcels > 0 && m.Due.Before(began): // reading takes its time, in which more falls due
		again = fmt.Sprintf("The simulated carrier is overdue with %d parcels: is shipping running? Audit again when it has acted.", m.Parcels)
	case m.Parcels > 0:
		again = fmt.Sprintf("The simulated carrier acts on %d parcels until %s at least; with make run each is delivered a minute after its order: audit again then.",
			m.Parcels, when(m.Due, began))
	}
	who := fmt.Sprintf("%d order(s)", m.Orders)
	if m.Orders == 0 { // records wait, or stock was moved while it was read
		who = "Something is"
	}
	text := fmt.Sprintf("%s not at rest yet: %d of the %d violations are of what only holds at rest. %s What is still violated is real.",
		who, m.Violations, total, again)
	if others := total - m.Violations; others > 0 {
		text += fmt.Sprintf(" The other %d are real now.", others)
	}
	return text
}

// when is a moment as it is read on the day of another: with its date where that is not the same.
func when(at, today time.Time) string {
	if at, today := at.Local(), today.Local(); at.Format(time.DateOnly) == today.Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return clock(at)
}
