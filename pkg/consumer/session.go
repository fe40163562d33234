package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/orderwire/orderwire/pkg/chaos"
)

// members is what sarama calls back: a session per assignment.
type members struct{ g *Group }

// Setup starts the one loop that handles batches.
func (m *members) Setup(s sarama.ConsumerGroupSession) error {
	run := newSession(m.g, s)
	m.g.session.Store(run)
	go run.loop()
	chaos.Pass(chaos.Join)
	id := s.MemberID()
	m.g.memberID.Store(&id)
	m.g.log.Info("joined the consumer group", "claims", s.Claims(), "generation", s.GenerationID())
	return nil
}

// Cleanup waits for the batch in flight: its marks are committed behind this call.
func (m *members) Cleanup(s sarama.ConsumerGroupSession) error {
	run := m.g.session.Swap(nil)
	<-run.ended
	run.forget()
	return nil
}

// ConsumeClaim fills one partition's queue. It never returns for a bad record: that would end the session of all.
func (m *members) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	run := m.g.session.Load()
	p := run.add(topicPartition{claim.Topic(), claim.Partition()})
	first := true
	for {
		select {
		case <-s.Context().Done():
			return nil
		case message, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			if first {
				run.checkStart(claim, message.Offset)
				first = false
			}
			run.behind(p, message.Offset, claim.HighWaterMarkOffset())
			if !run.push(p, message) {
				return nil
			}
		}
	}
}

// session is the life of one assignment.
type session struct {
	g      *Group
	sarama sarama.ConsumerGroupSession
	ended  chan struct{} // closed when the loop has ended

	mu         sync.Mutex
	partitions map[topicPartition]*partition
	order      []topicPartition // taken in turn
	limit      int              // of the next batch, in records
	failures   int              // of whole batches, in a row
	probed     bool             // the last turn was for partitions that had failed
	wake       chan struct{}
}

func newSession(g *Group, s sarama.ConsumerGroupSession) *session {
	return &session{
		g: g, sarama: s, ended: make(chan struct{}), partitions: map[topicPartition]*partition{},
		limit: g.config.MaxRecords, wake: make(chan struct{}, 1),
	}
}

func (s *session) add(tp topicPartition) *partition {
	p := &partition{tp: tp, room: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partitions[tp] = p
	s.order = append(s.order, tp)
	return p
}

// push queues a record; it waits while the partition is full, and says false when the session is over.
func (s *session) push(p *partition, m *sarama.ConsumerMessage) bool {
	r := &Record{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Time: m.Timestamp,
		Key: m.Key, Value: m.Value, Headers: m.Headers,
	}
	if chaos.On(chaos.MarkOnReceipt) {
		s.sarama.MarkOffset(m.Topic, m.Partition, m.Offset+1, "")
	}
	if !s.g.config.Wants(r) {
		s.g.metrics.outcomes.WithLabelValues(m.Topic, "unread").Inc()
		r.unread, r.Key, r.Value, r.Headers = true, nil, nil, nil
	}
	for {
		s.mu.Lock()
		if !p.full() {
			p.push(r)
			s.mu.Unlock()
			s.signal()
			return true
		}
		s.mu.Unlock()
		select {
		case <-s.sarama.Context().Done():
			return false
		case <-p.room:
		}
	}
}

// behind remembers where a partition ends and reports how far this member is behind: records that are read and not
// finished count, or a partition that is held would look healthy.
func (s *session) behind(p *partition, read, end int64) {
	s.mu.Lock()
	p.end = end
	next := read
	if len(p.queue) > 0 {
		next = p.queue[0].Offset
	}
	s.mu.Unlock()
	s.lag(p.tp, end-next)
}

func (s *session) lag(tp topicPartition, records int64) {
	s.g.metrics.lag.WithLabelValues(tp.topic, strconv.Itoa(int(tp.partition))).Set(float64(max(records, 0)))
}

func (s *session) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// loop handles one batch after the other until the session ends.
func (s *session) loop() {
	defer close(s.ended)
	ctx := s.sarama.Context()
	for ctx.Err() == nil {
		batch, idle := s.collect(time.Now())
		if len(batch) > 0 {
			s.runOnce(ctx, batch)
			continue
		}
		timer := time.NewTimer(idle)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// runOnce handles one batch and settles it, in no more than the handler's time-out for each of the two; some grace after the
// session's end its context is cancelled.
func (s *session) runOnce(ctx context.Context, batch []share) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(s.g.config.grace())
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ended:
		}
	})
	defer stop()
	outcomes := s.handle(work, batch)
	if chaos.Enabled && s.isRedriven(batch) {
		chaos.Pass(chaos.Redrive)
	}
	if len(outcomes) > 0 {
		chaos.Pass(chaos.BeforeMark)
	}
	s.settle(work, batch, outcomes)
}

// share is what a batch takes of one partition: the first n records of its queue.
type share struct {
	tp topicPartition
	n  int
}

// collect takes what is at hand: of each partition that is not held a fair part, in turn, up to the limits. Records
// stay queued until they are finished. With nothing to take it says how long to wait for a held partition.
func (s *session) collect(now time.Time) (batch []share, idle time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle = time.Minute
	var ready []topicPartition
	for _, tp := range s.order {
		p := s.partitions[tp]
		switch {
		case len(p.queue) == 0:
		case now.Before(p.held):
			idle = min(idle, p.held.Sub(now))
		default:
			ready = append(ready, tp)
		}
	}
	// What failed by itself is tried by itself: it must not spoil the batch of the others. They have every other turn.
	if s.probed = !s.probed; s.probed {
		for _, tp := range ready {
			if s.partitions[tp].failures > 0 {
				s.rotate()
				return []share{{tp, 1}}, 0
			}
		}
	}
	healthy := slices.DeleteFunc(slices.Clone(ready), func(tp topicPartition) bool { return s.partitions[tp].failures > 0 })
	if len(healthy) > 0 {
		ready = healthy
	} else if len(ready) > 0 {
		return []share{{ready[0], 1}}, 0
	}
	records, bytes := 0, 0
	for i, tp := range ready {
		p := s.partitions[tp]
		fair := max((s.limit-records)/(len(ready)-i), 1)
		n := 0
		for n < len(p.queue) && n < fair && records < s.limit && (bytes < s.g.config.MaxBytes || records == 0) {
			bytes += p.queue[n].size()
			records++
			n++
		}
		if n > 0 {
			batch = append(batch, share{tp, n})
		}
	}
	s.rotate()
	return batch, idle
}

// rotate lets another partition come first next time.
func (s *session) rotate() {
	if len(s.order) > 1 {
		s.order = append(s.order[1:], s.order[0])
	}
}

// records gives the records of a batch that somebody wants.
func (s *session) records(batch []share) []*Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []*Record
	for _, sh := range batch {
		for _, r := range s.partitions[sh.tp].queue[:sh.n] {
			if !r.unread {
				records = append(records, r)
			}
		}
	}
	return records
}

var errHandler = errors.New("the handler broke its contract")

// handle calls the handler; what it does not survive is an outcome like any other.
func (s *session) handle(ctx context.Context, batch []share) (outcomes map[*Record]error) {
	records := s.records(batch)
	outcomes = make(map[*Record]error, len(records))
	if len(records) == 0 {
		return outcomes
	}
	all := func(err error) {
		for _, r := range records {
			outcomes[r] = err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.g.config.HandlerTimeout)
	defer cancel()
	begun := time.Now()
	defer func() {
		s.g.metrics.seconds.Observe(time.Since(begun).Seconds())
		s.g.metrics.size.Observe(float64(len(records)))
		if p := recover(); p != nil {
			s.g.log.Error("the handler panicked; its batch will be tried again", "panic", p, "stack", string(debug.Stack()))
			all(fmt.Errorf("%w: panic: %v", errHandler, p))
		}
	}()
	errs := s.g.handler(ctx, slices.Clone(records))
	if len(errs) != len(records) {
		all(fmt.Errorf("%w: %d outcomes for %d records", errHandler, len(errs), len(records)))
		return outcomes
	}
	for i, r := range records {
		outcomes[r] = errs[i]
	}
	return outcomes
}

// settle finishes each partition's records up to the first that must be tried again, and decides how to go on.
func (s *session) settle(ctx context.Context, batch []share, outcomes map[*Record]error) {
	total, done := 0, 0
	var failing []topicPartition
	var cause error
	if chaos.On(chaos.MarkOutOfOrder) {
		for _, sh := range batch {
			forgive(s.taken(sh), outcomes)
		}
	}
	bounded, cancel := context.WithTimeout(ctx, s.g.config.HandlerTimeout) // a dead letter may find no broker for long
	defer cancel()
	if dead := s.dead(batch, outcomes); len(dead) > 0 {
		s.g.bury(bounded, dead, outcomes)
	}
	for _, sh := range batch {
		n, err := s.finish(sh, outcomes)
		total, done = total+sh.n, done+n
		if err != nil {
			failing, cause = append(failing, sh.tp), err
		}
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(failing) == 0:
		s.failures = 0
		s.limit = min(2*s.limit, s.g.config.MaxRecords)
		s.g.metrics.progress.SetToCurrentTime()
	case done == 0 && total > 1:
		// Nothing went through. A smaller batch finds out whether it is one record's fault or everybody's.
		s.failures++
		s.limit = max(total/2, 1)
		pause := wait(s.failures)
		for _, tp := range failing {
			s.partitions[tp].held = now.Add(pause)
		}
	default:
		for _, tp := range failing {
			s.partitions[tp].hold(now, wait)
		}
		if done > 0 {
			s.failures = 0
			s.limit = min(2*s.limit, s.g.config.MaxRecords)
			s.g.metrics.progress.SetToCurrentTime()
		}
	}
	held := 0
	for _, p := range s.partitions {
		if now.Before(p.held) {
			held++
		}
	}
	s.g.metrics.held.Set(float64(held))
	if cause != nil && ctx.Err() == nil {
		s.g.log.Warn("records will be tried again", "partitions", fmt.Sprint(failing), "batch", total, "finished", done, "error", cause)
	}
}

// taken gives the records of a share.
func (s *session) taken(sh share) []*Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[sh.tp].queue[:sh.n]
}

// dead gives the records of a batch whose dead letters are to be written: of each partition those before the first one
// that must be tried again, in order.
func (s *session) dead(batch []share, outcomes map[*Record]error) (dead []*Record) {
	for _, sh := range batch {
		for _, r := range s.taken(sh) {
			if outcomes[r] == nil {
				continue
			}
			if !IsPermanent(outcomes[r]) {
				break
			}
			if !r.buried {
				dead = append(dead, r)
			}
		}
	}
	return dead
}

// finish marks the finished records of one partition's share and drops them from its queue; it stops at the first one
// that must be tried again and says why.
func (s *session) finish(sh share, outcomes map[*Record]error) (n int, err error) {
	records := s.taken(sh)
	for _, r := range records {
		outcome := outcomes[r]
		kind := "done"
		switch {
		case r.unread:
			kind = ""
		case outcome == nil:
		case IsPermanent(outcome):
			kind = "dead"
		default:
			kind, err = "retried", outcome
		}
		if kind != "" {
			s.g.metrics.outcomes.WithLabelValues(r.Topic, kind).Inc()
		}
		if err != nil {
			break
		}
		n++
	}
	if n == 0 {
		return 0, err
	}
	next := records[n-1].Offset + 1
	s.sarama.MarkOffset(sh.tp.topic, sh.tp.partition, next, "")
	chaos.Pass(chaos.BeforeCommit)
	s.mu.Lock()
	p := s.partitions[sh.tp]
	p.finish(n)
	end := p.end
	s.mu.Unlock()
	s.lag(sh.tp, end-next)
	return n, err
}

// checkStart raises the alarm when a claim does not start where the group had committed: the log was truncated or the
// topic re-created. A re-read is harmless; a hole means that records were lost before this group saw them. Marks below
// a committed offset are ignored, so it is reset.
func (s *session) checkStart(claim sarama.ConsumerGroupClaim, offset int64) {
	if claim.InitialOffset() >= 0 {
		return // the client starts at the committed offset, or reports it out of range as a negative one
	}
	committed, err := s.g.committed(claim.Topic(), claim.Partition())
	if err != nil {
		s.g.log.Warn("cannot tell where the group had committed", "topic", claim.Topic(), "partition", claim.Partition(), "error", err)
		return
	}
	if committed < 0 || committed == offset {
		return
	}
	kind := "reread"
	if committed < offset {
		kind = "hole"
	} else {
		s.sarama.ResetOffset(claim.Topic(), claim.Partition(), offset, "")
	}
	s.g.metrics.alarms.WithLabelValues(kind).Inc()
	s.g.log.Error("a partition does not start where the group had committed", "kind", kind, "topic", claim.Topic(),
		"partition", claim.Partition(), "committed", committed, "offset", offset)
}

// committed asks the group's coordinator; -1 when nothing was ever committed.
func (g *Group) committed(topic string, partition int32) (int64, error) {
	config := *g.sarama
	config.Metadata.Retry.Max = 1 // a claim waits for this
	admin, err := sarama.NewClusterAdmin(g.kafka.Brokers, &config)
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	offsets, err := admin.ListConsumerGroupOffsets(g.config.Group, map[string][]int32{topic: {partition}})
	if err != nil {
		return 0, err
	}
	block := offsets.GetBlock(topic, partition)
	if block == nil {
		return -1, nil
	}
	return block.Offset, nil
}
