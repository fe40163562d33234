package consumer

import (
	"context"
	"time"

	"github.com/IBM/sarama"
)

// endsEvery is how often it is asked where full partitions end.
const endsEvery = 10 * time.Second

// offsets is what a sarama.Client tells of a log.
type offsets interface {
	GetOffset(topic string, partition int32, time int64) (int64, error)
}

// watchEnds keeps the lag of partitions true that are too full to be read on: the end of their log is known from what was
// read last, and so their lag would stand still just where it grows.
func (g *Group) watchEnds(ctx context.Context, client offsets) {
	ticker := time.NewTicker(endsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s := g.session.Load()
		if s == nil {
			continue
		}
		for _, p := range s.full() {
			end, err := client.GetOffset(p.tp.topic, p.tp.partition, sarama.OffsetNewest)
			if err != nil { // the next round asks again
				g.log.Debug("ask where a log ends", "topic", p.tp.topic, "partition", p.tp.partition, "error", err)
				continue
			}
			s.moveEnd(p, end)
		}
	}
}

// full gives the partitions that take no more at the moment.
func (s *session) full() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*partition
	for _, p := range s.partitions {
		if p.full() {
			all = append(all, p)
		}
	}
	return all
}

// moveEnd notes where a partition ends, unless it is another's meanwhile.
func (s *session) moveEnd(p *partition, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sarama.Context().Err() != nil || len(p.queue) == 0 {
		return
	}
	p.end = max(p.end, end)
	s.lag(p.tp, p.end-p.queue[0].Offset)
}

// forget ends what the session tells of its partitions: others do from now on.
func (s *session) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.g.metrics.lag.Reset()
	s.g.metrics.held.Set(0)
}
