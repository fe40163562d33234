package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/orderwire/orderwire/pkg/outbox"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/order-api/internal/order"
)

// Allow is asked before a command about the very state that the command will change; its error is the answer.
type Allow func(*order.Order) error

// Edit applies a patch. A patch that changes nothing writes nothing.
func (s *Store) Edit(ctx context.Context, id string, allow Allow, p order.Patch, trace string) (*order.Order, error) {
	return s.command(ctx, id, allow, trace, func(o *order.Order, _ time.Time) (bool, error) {
		return o.Edit(p)
	}, events.OrderUpdated)
}

// Cancel notes that the customer wants out. A repeated cancel writes nothing.
func (s *Store) Cancel(ctx context.Context, id string, allow Allow, trace string) (*order.Order, error) {
	return s.command(ctx, id, allow, trace, (*order.Order).Cancel, events.OrderCancelRequested, events.OrderUpdated)
}

// command is one guarded write of a client's: decided on the order as it is, decided again if somebody else was faster.
func (s *Store) command(ctx context.Context, id string, allow Allow, trace string,
	do func(*order.Order, time.Time) (bool, error), types ...events.Type,
) (*order.Order, error) {
	token := rand.Text()
	d, err := s.orders.Update(ctx, id, func(d *document) error { return s.decide(d, token, allow, trace, do, types...) })
	if err != nil {
		return nil, fmt.Errorf("change order %s: %w", id, notFound(err))
	}
	return d.order(), nil
}

// decide makes a command's write of the order as it was read. Where its own earlier try got no answer and was made all the
// same, the token tells: by its revision the order would look as if somebody else had changed it.
func (s *Store) decide(d *document, token string, allow Allow, trace string, do func(*order.Order, time.Time) (bool, error), types ...events.Type) error {
	if d.Command == token {
		return outbox.ErrUnchanged
	}
	o := d.order()
	if err := allow(o); err != nil {
		return err
	}
	at, before := order.Now(s.now()), o.Snapshot()
	changed, err := do(o, at)
	switch {
	case err != nil:
		return err
	case !changed:
		return outbox.ErrUnchanged
	case len(d.Outbox) >= maxUnsent:
		return ErrBusy
	}
	d.Command = token
	return d.publish(before, at, trace, nil, types...)
}
