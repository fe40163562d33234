package dlq

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/orderwire/orderwire/deploy/internal/topics"
	"github.com/orderwire/orderwire/pkg/kafka"
)

// sender writes a record and waits until it is in the log.
type sender interface {
	Send(ctx context.Context, m *kafka.Message) error
}

// Redrive hands letters back to their consumers, in the given order, and marks each. told is called for each that is
// done. It stops at the first error: what was not told may have been handed back all the same, and is still open.
func Redrive(ctx context.Context, c kafka.Config, letters []*Letter, reason string, told func(*Letter)) error {
	log, err := topics.Open(c)
	if err != nil {
		return err
	}
	defer log.Close()
	return withProducer(ctx, c, letters, func(p sender) error {
		return eachPage(ctx, log, letters, func(page []*Letter, contents []*Content) error {
			return redrive(ctx, p, page, contents, reason, told)
		})
	})
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
		err = do(p)
	}
	stop()
	if closing := <-ended; err == nil {
		err = closing
	}
	return err
}

func connected(ctx context.Context, p *kafka.Producer) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !p.Connected() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
