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
		err := audit.Follow(ctx, config, func(r *audit.Report) error { return a.print(t, r) })
		if errors.Is(err, audit.ErrViolated) {
			return exitCode(exitFailed)
		}
		return err
	}
	report, err := audit.Run(ctx, config)
	if err != nil {
		return err
	}
	if err := a.print(t, report); err != nil {
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

func (a *auditCmd) print(t *terminal, r *audit.Report) error {
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
		fmt.Fprintln(t.out, "\n"+restless(r))
	}
	return nil
}

// restless says what is behind violations of what only holds at rest, and when to look again.
func restless(r *audit.Report) string {
	total := 0
	for _, i := range r.Invariants {
		total += i.Total
	}
	m := r.Moving
	again := "What waits is taken in within seconds: audit again then."
	if m.Parcels > 0 {
		again = fmt.Sprintf("The simulated carrier has %d parcels to act on, so far until %s; with make run each is delivered a minute after its order: audit again then.",
			m.Parcels, m.Due.Local().Format(time.TimeOnly))
	}
	who := fmt.Sprintf("%d order(s)", m.Orders)
	if m.Orders == 0 { // records wait, or stock was moved while it was read
		who = "Something"
	}
	text := fmt.Sprintf("%s not at rest yet: %d of the %d violations are of what only holds at rest. %s What is still violated is real.",
		who, m.Violations, total, again)
	if others := total - m.Violations; others > 0 {
		text += fmt.Sprintf(" The other %d are real now.", others)
	}
	return text
}
