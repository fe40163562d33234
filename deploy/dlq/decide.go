package dlq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// patience bounds the wait for a broker, and that for its answer to each record.
const patience = 15 * time.Second

// sender writes a record and waits until it is in the log.
type sender interface {
	Send(ctx context.Context, m *kafka.Message) error
}

// Redrive hands letters back to their consumers, in the given order, and marks each. told is called for each that is
// done. It stops at the first error: what was not told may have been handed back all the same, and is still open. Letters
// that are not whole are passed over, and are in the error.
func Redrive(ctx context.Context, c kafka.Config, log *topics.Log, letters []*Letter, reason string, told func(*Letter)) error {
	letters, refused := Whole(letters)
	return errors.Join(refused, withProducer(ctx, c, letters, func(p sender) error {
		return eachPage(ctx, log, letters, func(page []*Letter, contents []*Content) error {
			return redrive(ctx, p, page, contents, reason, told)
		})
	}))
}

func redrive(ctx context.Context, p sender, letters []*Letter, contents []*Content, reason string, told func(*Letter)) error {
	for i, l := range letters {
		if err := p.Send(ctx, l.retry(contents[i])); err != nil {
			return fmt.Errorf("redrive %s: %w", l.ID, err)
		}
		if err := p.Send(ctx, l.mark(Redriven, reason, time.Now())); err != nil {
			return fmt.Errorf("remember that %s was redriven: %w", l.ID, err)
		}
		told(l)
	}
	return nil
}

// Discard marks letters as done with.
func Discard(ctx context.Context, c kafka.Config, letters []*Letter, reason string, told func(*Letter)) error {
	return withProducer(ctx, c, letters, func(p sender) error {
		for _, l := range letters {
			if err := p.Send(ctx, l.mark(Discarded, reason, time.Now())); err != nil {
				return fmt.Errorf("discard %s: %w", l.ID, err)
			}
			told(l)
		}
		return nil
	})
}

// withProducer gives do a producer that is connected, for as long as it takes.
func withProducer(ctx context.Context, c kafka.Config, letters []*Letter, do func(sender) error) error {
	if len(letters) == 0 {
		return nil
	}
	p, err := kafka.NewProducer(c, "orderctl", topicsFor(letters), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	err = connected(ctx, p)
	if err == nil {
		err = do(patient{p})
	}
	stop()
	if closing := <-ended; err == nil {
		err = closing
	}
	return err
}

func connected(ctx context.Context, p interface{ Connected() bool }) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	tooLong := time.After(patience)
	for !p.Connected() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tooLong:
			return &topics.UnreachableError{Err: fmt.Errorf("no broker takes records within %s; nothing was written", patience)}
		case <-tick.C:
		}
	}
	return nil
}

// patient is a sender that does not wait for ever.
type patient struct{ sender }

// Send gives up an answer that does not come. Whether the record is in the log is then unknown; that its letter is still
// open is not: the mark that settles it comes last.
func (p patient) Send(ctx context.Context, m *kafka.Message) error {
	wait, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	err := p.sender.Send(wait, m)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(wait), errNoAnswer) {
		return &topics.UnreachableError{Err: errNoAnswer}
	}
	return err
}

var errNoAnswer = fmt.Errorf("no answer within %s: whether it is written is unknown; list the letters again, what is open can be decided on again", patience)
