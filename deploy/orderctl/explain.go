package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orderwire/orderwire/deploy/inspect"
	"github.com/orderwire/orderwire/deploy/internal/client"
	"github.com/orderwire/orderwire/deploy/internal/documents"
	events "github.com/orderwire/orderwire/proto-events"
)

// explainCmd tells one order's story.
type explainCmd struct {
	direct
	Order string `arg:"" type:"given" help:"The order's id."`
}

// Run prints one screen.
func (c *explainCmd) Run(ctx context.Context, t *terminal) error {
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
	s, err := inspect.Explain(ctx, log, databases, c.Order)
	var unknown *inspect.NotFoundError
	if errors.As(err, &unknown) { // as order show says it
		return &client.Problem{Status: http.StatusNotFound, Code: "order_not_found", Detail: unknown.Error()}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(s)
	}
	return t.printStory(s, time.Now())
}

func (t *terminal) printStory(s *inspect.Story, now time.Time) error {
	fmt.Fprintf(t.out, "order %s", printable(s.Order))
	if o := s.Documents[documents.OrderAPI].Order; o != nil {
		fmt.Fprintf(t.out, " of %s: %s", printable(o.CustomerID), o.Status)
	}
	fmt.Fprintf(t.out, "\n%s", printable(s.Waits.For))
	if !s.Waits.Since.IsZero() {
		fmt.Fprintf(t.out, " Since %s, %s ago.", s.Waits.Since.Local().Format(millis), now.Sub(s.Waits.Since).Round(time.Second))
	}
	trace := strings.Join(s.Traces, ", ")
	if trace == "" {
		trace = "none"
	}
	fmt.Fprintf(t.out, "\ntrace %s\n\n", trace)

	rows := [][]string{{"SERVICE", "VERSION", "SAYS", "HAS HEARD", "HAS SAID", "OUTBOX"}}
	for _, service := range documents.Services() {
		d := s.Documents[service]
		e := d.Envelope()
		if e == nil {
			rows = append(rows, []string{service, "-", "knows nothing of it", "", "", ""})
			continue
		}
		rows = append(rows, []string{service, fmt.Sprint(e.Version), facts(d), counts(e.Seen), counts(e.Sequences), outbox(e)})
	}
	if err := t.table(rows); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	rows = [][]string{{"TIME", "AFTER", "DELAY", "SOURCE", "TYPE", "SEQ", "WHERE", "READERS", "CHANGED"}}
	for _, e := range s.Events {
		note := strings.Join(e.Changed, ",")
		if e.Repeat {
			note = "(repeat)"
		}
		if e.Unreadable != "" {
			note = printable(e.Unreadable)
		}
		rows = append(rows, []string{
			e.Time.Local().Format("15:04:05.000"), span(e.Time.Sub(s.Events[0].Time)), span(time.Duration(e.Delay * float64(time.Second))),
			printable(e.Source), printable(e.Type), fmt.Sprint(e.Sequence), where(e.Topic, e.Partition, e.Offset), readers(e.Readers), note,
		})
	}
	if err := t.table(rows); err != nil {
		return err
	}
	if len(s.Letters) == 0 {
		return nil
	}
	fmt.Fprintln(t.out)
	return t.table(letterRows(s.Letters))
}

// span shows a short time in milliseconds, a long one in seconds.
func span(d time.Duration) string {
	if d < time.Minute && d > -time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// facts of a document, in a few words.
func facts(d documents.Document) string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	switch {
	case d.Order != nil:
		o := d.Order
		say("%s", o.Status)
		if o.CancelRequestedAt != nil {
			say("cancellation asked for %s", clock(*o.CancelRequestedAt))
		}
		if o.AddressRevision > 0 {
			say("address revision %d", o.AddressRevision)
		}
		if o.Stock != nil {
			say("stock %s", events.Word(o.Stock.Status))
		}
		if o.Shipment != nil {
			say("shipment %s", events.Word(o.Shipment.Status))
		}
	case d.Reservation != nil:
		r := d.Reservation
		say("%s", strings.TrimSpace(r.Status+" "+r.Cause))
		if r.Request != nil {
			say("asks for shipping, address revision %d", r.Request.AddressRevision)
			if r.Request.CancelRequested {
				say("and to stop it")
			}
		}
		for _, i := range r.Short {
			say("%s: %d wanted, %d there", i.SKU, i.Wanted, i.Available)
		}
	case d.Shipment != nil:
		p := d.Shipment
		say("%s", strings.TrimSpace(p.Status+" "+p.FailureReason))
		if p.TrackingNumber != "" {
			say("%s", p.TrackingNumber)
		}
		if p.AddressRefused {
			say("address revision %d refused", p.AddressRevision)
		}
		if p.CancelRefused {
			say("cancellation refused")
		}
	}
	return printable(strings.Join(said, ", "))
}

// counts shows sequences by name.
func counts(of map[string]int64) string {
	var all []string
	for name, n := range of {
		all = append(all, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func outbox(e *documents.Envelope) string {
	if len(e.Outbox) == 0 {
		return "empty"
	}
	var all []string
	for _, entry := range e.Outbox {
		all = append(all, fmt.Sprintf("%s %d", entry.Type(), entry.Sequence))
	}
	return strings.Join(all, ", ")
}

// readers shows what became of an event; that it was taken goes without saying.
func readers(of map[string]string) string {
	var all []string
	for _, service := range documents.Services() {
		switch of[service] {
		case "":
		case "taken":
			all = append(all, service)
		default:
			all = append(all, service+": "+of[service])
		}
	}
	return strings.Join(all, ", ")
}
