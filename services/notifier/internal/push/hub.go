package push

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/orderwire/orderwire/pkg/auth"
	"github.com/orderwire/orderwire/pkg/web"
	"github.com/orderwire/orderwire/services/notifier/internal/feed"
)

// verifier tells who a token is about.
type verifier interface {
	Verify(token string) (auth.Principal, error)
}

// listener tells for how long Kafka has been silent.
type listener interface{ Silent() time.Duration }

// Hub has all sessions of this instance.
type Hub struct {
	config   Config
	seq      *feed.Sequencer
	history  *feed.History
	live     listener
	verifier verifier
	log      *slog.Logger
	metrics  *metrics

	mu       sync.Mutex
	sessions map[*session]struct{}
	held     int            // places, with and without a session
	perName  map[string]int // places by customer, operators aside
	draining bool
	all      sync.WaitGroup // sessions
}

// NewHub makes one; Run it.
func NewHub(c Config, seq *feed.Sequencer, h *feed.History, live listener, v verifier, log *slog.Logger, m *metrics) *Hub {
	return &Hub{
		config: c, seq: seq, history: h, live: live, verifier: v, log: log, metrics: m,
		sessions: map[*session]struct{}{}, perName: map[string]int{},
	}
}

// Draining tells whether this instance takes nobody any more.
func (h *Hub) Draining() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.draining
}

// ErrDraining is the refusal of an instance that is about to end; another one takes the client.
var ErrDraining = &web.Problem{
	Status: http.StatusServiceUnavailable, Code: "draining", Detail: "this instance is about to end; another one takes you", RetryAfter: time.Second,
}

// admit takes a place for a customer, or refuses.
func (h *Hub) admit(p auth.Principal) error {
	lost := h.live.Silent() > h.config.LostAfter
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.draining:
		return ErrDraining
	case lost:
		return web.Unavailable("Kafka has not answered for a while")
	case h.held >= h.config.MaxConnections:
		return &web.Problem{
			Status: http.StatusServiceUnavailable, Code: "overloaded", Detail: "this instance has all the connections that it takes",
			RetryAfter: 5 * time.Second,
		}
	case !p.Operator && h.perName[p.Customer] >= h.config.MaxPerCustomer:
		return &web.Problem{
			Status: http.StatusTooManyRequests, Code: "too_many_connections", RetryAfter: 5 * time.Second,
			Detail: "a customer has at most " + strconv.Itoa(h.config.MaxPerCustomer) + " connections at once",
		}
	}
	h.held++
	if !p.Operator {
		h.perName[p.Customer]++
	}
	return nil
}

// dismiss gives a place back.
func (h *Hub) dismiss(p auth.Principal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held--
	if p.Operator {
		return
	}
	if h.perName[p.Customer]--; h.perName[p.Customer] == 0 {
		delete(h.perName, p.Customer)
	}
}

// begin lists a session; false while draining. leave is its end, and all.Done that of its goroutines.
func (h *Hub) begin(s *session, transport string, w wire) bool {
	s.transport, s.wire = transport, w
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return false
	}
	h.sessions[s] = struct{}{}
	h.all.Add(1)
	h.metrics.connections.WithLabelValues(s.transport).Inc()
	return true
}

func (h *Hub) leave(s *session, e ending) {
	h.mu.Lock()
	delete(h.sessions, s)
	h.mu.Unlock()
	h.metrics.connections.WithLabelValues(s.transport).Dec()
	h.metrics.closed.WithLabelValues(s.transport, strconv.Itoa(e.code)).Inc()
	h.log.Debug("connection ended", "transport", s.transport, "customer", s.who.Customer, "code", e.code, "reason", e.reason)
	h.dismiss(s.who)
}

// cutAfter is how long sessions have for their last words once the drain window is over.
const cutAfter = 500 * time.Millisecond

// Run lets sessions come and go until ctx ends. Then it takes no more, ends each at a random moment within the drain
// window, and returns when all have ended. It ends all when Kafka is silent for too long.
func (h *Hub) Run(ctx context.Context) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-look.C:
			if h.live.Silent() > h.config.LostAfter {
				h.each(func(s *session) { s.end(ending{code: codeKafkaLost, reason: "kafka is lost"}) })
			}
		}
	}
	h.drain()
	return nil
}

func (h *Hub) drain() {
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	h.each(func(s *session) {
		var slot time.Duration
		if h.config.DrainWindow > 0 {
			slot = rand.N(h.config.DrainWindow) //nolint:gosec // jitter is no secret
		}
		s.restartIn(slot)
	})
	cut := time.AfterFunc(h.config.DrainWindow+cutAfter, func() {
		h.each(func(s *session) { s.cut() })
	})
	defer cut.Stop()
	h.all.Wait()
}

func (h *Hub) each(do func(*session)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.sessions {
		do(s)
	}
}

// refusal turns an error of the feed into what a client is told.
func refusal(err error) error {
	switch {
	case errors.Is(err, feed.ErrNotStarted):
		return web.Unavailable("Kafka has not been reached yet")
	case errors.Is(err, feed.ErrBusy):
		return &web.Problem{
			Status: http.StatusServiceUnavailable, Code: "catching_up_is_full", Detail: "too many clients are catching up; try again",
			RetryAfter: 2 * time.Second,
		}
	case errors.Is(err, feed.ErrNoPartition):
		return badFilter("after: %v", feed.ErrNoPartition)
	}
	return err
}
