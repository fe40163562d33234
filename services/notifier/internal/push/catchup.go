package push

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/kafka"
	"github.com/orderwire/orderwire/services/notifier/internal/cursor"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// slack is how many offsets may lie between a replay and the position when it attaches. They are read while the
// subscription's queue collects what comes meanwhile.
const slack = 512

// catchUp reads what a client has missed, up to the moment in which its subscription is attached.
type catchUp struct {
	hub     *Hub
	who     auth.Principal
	sub     *feed.Subscription
	at      cursor.Cursor
	reading *feed.Reading // nil: it is yet to be opened
	// plan says where to begin, where at does not; start is told then.
	plan *Origin

	stretches chan stretch
	blocked   stretch // kept while there is no slot
	done      chan error
	running   sync.WaitGroup
	cancel    context.CancelFunc
}

// stretch is a piece of the way, after which a session looks at what else there is to do: records, or gaps with where it
// goes on behind them.
type stretch struct {
	steps []feed.Step
	to    *cursor.Cursor
	gaps  []feed.Gap
	start bool // this is where a new subscription begins
}

// newCatchUp reads from a position that may have been passed by the logs' retention meanwhile.
func newCatchUp(s *session, at cursor.Cursor) *catchUp {
	return &catchUp{hub: s.hub, who: s.who, sub: s.sub, at: at}
}

// open takes a slot by one of History's two ways.
func (c *catchUp) open(ctx context.Context, take func(ctx context.Context, customer string) (*feed.Reading, error)) (err error) {
	customer := c.who.Customer
	if c.who.Operator {
		customer = ""
	}
	c.reading, err = take(ctx, customer)
	return err
}

func (c *catchUp) start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	c.stretches, c.done = make(chan stretch), make(chan error, 1)
	c.running.Go(func() { c.done <- c.run(ctx) })
}

// stop ends it and waits; the subscription may be attached then.
func (c *catchUp) stop() {
	if c.cancel == nil { // it has not begun
		c.release()
		return
	}
	c.cancel()
	c.running.Wait()
}

func (c *catchUp) run(ctx context.Context) error {
	defer func() { c.release() }()
	looked := c.reading != nil // where it begins was looked up with it
	for {
		if c.reading == nil {
			if err := c.open(ctx, c.hub.history.OpenWhenFree); err != nil {
				return err
			}
		}
		var err error
		if !looked {
			err = c.bridge(ctx)
			looked = true
		}
		var attached bool
		if err == nil {
			attached, err = c.stage(ctx)
		}
		var cut *kafka.OutOfRangeError
		switch {
		case errors.As(err, &cut) || errors.Is(err, feed.ErrLineage):
			c.hub.seq.Detach(c.sub)
			looked = false
		case errors.Is(err, errBlocked):
			c.hub.seq.Detach(c.sub)
			c.release()
			if err := c.hand(ctx, c.blocked, nil); err != nil {
				return err
			}
			c.blocked = stretch{} // the next turn may be long in coming
		case err != nil || attached:
			return err
		}
	}
}

// stage reads up to where the sequencer is; attached tells that nothing is missing any more then.
func (c *catchUp) stage(ctx context.Context) (attached bool, err error) {
	target, attached, err := c.hub.seq.Attach(c.sub, c.at, slack)
	if err != nil {
		return false, err
	}
	err = c.reading.Read(ctx, c.at.Next.Clone(), target.Next, func(steps []feed.Step) error {
		for _, step := range steps {
			c.at.Next = moved(c.at.Next, step)
		}
		return c.give(ctx, stretch{steps: steps})
	})
	if err != nil {
		return false, err
	}
	c.at.Next = c.at.Next.Max(target.Next)
	return attached, nil
}

// release gives the slot back, where one is held.
func (c *catchUp) release() {
	if c.reading != nil {
		c.reading.Close()
		c.reading = nil
	}
}

// bridge begins where the plan says, or looks what has become of the logs since at.
func (c *catchUp) bridge(ctx context.Context) error {
	s := stretch{start: c.plan != nil}
	var err error
	if c.plan != nil {
		c.at, s.gaps, err = c.plan.resolve(ctx, c.reading)
		c.plan = nil
	} else {
		c.at, s.gaps, err = c.reading.Bridge(ctx, c.at)
	}
	if err != nil {
		return err
	}
	to := cursor.Cursor{Lineage: c.at.Lineage, Next: c.at.Next.Clone()}
	s.to = &to
	return c.give(ctx, s)
}

// blockedAfter is for how long a slot waits for a client that does not take what was read.
const blockedAfter = 200 * time.Millisecond

// errBlocked says that a client has to take what is blocked before there is a slot for it again: it is slow, or had its turn.
var errBlocked = errors.New("others wait for the slot")

// give hands a stretch to the session, or keeps it as blocked: who reads slowly, or a lot, keeps nobody from a slot.
func (c *catchUp) give(ctx context.Context, s stretch) error {
	c.blocked = s
	if c.reading.IsOver() {
		return errBlocked
	}
	timer := time.NewTimer(blockedAfter)
	defer timer.Stop()
	return c.hand(ctx, s, timer.C)
}

func (c *catchUp) hand(ctx context.Context, s stretch, until <-chan time.Time) error {
	select {
	case c.stretches <- s:
		return nil
	case <-until:
		return errBlocked
	case <-ctx.Done():
		return ctx.Err()
	}
}

// moved gives p with a step made; p is changed.
func moved(p cursor.Position, step feed.Step) cursor.Position {
	for len(p[step.Topic]) <= step.Partition {
		p[step.Topic] = append(p[step.Topic], 0)
	}
	p[step.Topic][step.Partition] = max(p[step.Topic][step.Partition], step.Next)
	return p
}

// resolve gives the cursor where a replay begins, and what is gone behind it.
func (o Origin) resolve(ctx context.Context, r *feed.Reading) (cursor.Cursor, []feed.Gap, error) {
	switch {
	case o.earliest:
		at, err := r.Earliest(ctx)
		return at, nil, err
	case o.since != nil:
		at, err := r.Since(ctx, *o.since)
		return at, nil, err
	}
	return r.Bridge(ctx, *o.cursor)
}

// startReplay begins to catch up; the session is not attached meanwhile.
func (s *session) startReplay(ctx context.Context, c *catchUp) {
	s.replay = c
	c.start(ctx)
}

// stopReplay ends it, where there is one.
func (s *session) stopReplay() {
	if s.replay != nil {
		s.replay.stop()
		s.replay = nil
	}
}

// take sends a stretch of what was missed.
func (s *session) take(st stretch) *ending {
	if st.to != nil {
		s.at = *st.to
		if st.start {
			if e := s.send(s.subscribed("replay", s.at.String())); e != nil {
				return e
			}
		}
		return s.tell(st.gaps)
	}
	for _, step := range st.steps {
		s.at.Next = moved(s.at.Next, step)
		if step.Event == nil || !s.sub.Filter().Passes(step.Event) {
			continue
		}
		if e := s.send(step.Event.Message(s.at.String())); e != nil {
			return e
		}
	}
	return nil
}

// caughtUp ends the replay: from here on the subscription's queue has what comes.
func (s *session) caughtUp(ctx context.Context, err error) *ending {
	s.at.Next = s.at.Next.Max(s.replay.at.Next)
	s.replay.cancel()
	s.replay = nil
	if err != nil {
		e := failed(err)
		return &e
	}
	if e := s.send(feed.Own(feed.TypeCaughtUp, nil, s.at.String())); e != nil {
		return e
	}
	return s.sendQueue(ctx)
}
