package consumer

import "time"

// What one partition may hold in memory beyond the batch at hand.
const (
	maxQueued      = 1000
	maxQueuedBytes = 1 << 20
)

type topicPartition struct {
	topic     string
	partition int32
}

// partition is the queue of one claim: records that were read and are not finished, in order.
type partition struct {
	tp       topicPartition
	end      int64 // of the log, when a record was last read
	queue    []*Record
	bytes    int
	held     time.Time // nothing is taken before; zero: not held
	failures int       // in a row
	room     chan struct{}
}

func (p *partition) full() bool { return len(p.queue) >= maxQueued || p.bytes >= maxQueuedBytes }

func (p *partition) push(r *Record) {
	p.queue = append(p.queue, r)
	p.bytes += r.size()
}

// finish drops the first n records, and tells the claim that there is room.
func (p *partition) finish(n int) {
	for i, r := range p.queue[:n] {
		p.bytes -= r.size()
		p.queue[i] = nil // the array behind the slice would keep it
	}
	p.queue = p.queue[n:]
	p.held, p.failures = time.Time{}, 0
	select {
	case p.room <- struct{}{}:
	default:
	}
}

func (p *partition) hold(now time.Time, wait func(failures int) time.Duration) {
	p.failures++
	p.held = now.Add(wait(p.failures))
}
