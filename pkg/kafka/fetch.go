package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// fetchVersion is the newest that sarama speaks; it needs Kafka 2.7.
const fetchVersion = 12

// Bounds of what a reader holds of the brokers' answers, all together, as they come, and of the least of one answer. A
// batch that is larger comes all the same (KIP-74). Unpacked it takes some ten times as much, and there are many readers:
// the notifier has eight for clients that catch up.
const (
	maxFetchBytes = 1 << 20
	minFetchBytes = 64 << 10
)

// fetch reads those partitions that one broker leads.
type fetch struct {
	broker     *sarama.Broker
	conf       *sarama.Config
	partitions []Partition
	epochs     map[Partition]int32
	maxBytes   int32 // of an answer
}

// loop fetches until something is wrong. The broker answers as soon as it has anything, or after MaxWaitTime.
func (f *fetch) loop(ctx context.Context, mu *sync.Mutex, next map[Partition]int64, take func([]Chunk) error) error {
	for {
		mu.Lock()
		request := f.request(next)
		mu.Unlock()
		response, err := await(ctx, func() (*sarama.FetchResponse, error) { return f.broker.Fetch(request) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			_ = f.broker.Close() // the next round opens it again
			return fmt.Errorf("fetch from %s: %w", f.broker.Addr(), err)
		}
		if err := f.hand(response, mu, next, take); err != nil {
			return err
		}
	}
}

func (f *fetch) request(next map[Partition]int64) *sarama.FetchRequest {
	request := &sarama.FetchRequest{
		Version: fetchVersion, MinBytes: 1, MaxBytes: f.maxBytes, Isolation: f.conf.Consumer.IsolationLevel,
		MaxWaitTime:  int32(f.conf.Consumer.MaxWaitTime / time.Millisecond),
		SessionEpoch: -1, // no fetch session (KIP-227)
	}
	for _, p := range f.partitions {
		request.AddBlock(p.Topic, p.Number, next[p], f.conf.Consumer.Fetch.Default, f.epochs[p])
	}
	return request
}

// hand gives what an answer holds to take, and moves on only when that took it.
func (f *fetch) hand(response *sarama.FetchResponse, mu *sync.Mutex, next map[Partition]int64, take func([]Chunk) error) error {
	mu.Lock()
	defer mu.Unlock()
	var chunks []Chunk
	var wrong, missing error
	full := false
	for _, p := range f.partitions {
		block := response.GetBlock(p.Topic, p.Number)
		switch {
		case block == nil:
			missing = errors.Join(missing, fmt.Errorf("fetch %s/%d: %w", p.Topic, p.Number, sarama.ErrIncompleteResponse))
		case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
			wrong = &stopError{&OutOfRangeError{p, next[p]}}
		case !errors.Is(block.Err, sarama.ErrNoError):
			wrong = errors.Join(wrong, fmt.Errorf("fetch %s/%d: %w", p.Topic, p.Number, block.Err))
		default:
			c := visible(p, next[p], block)
			chunks, full = append(chunks, c), full || c.Next > next[p]
		}
	}
	if !full { // else there may have been no room for the others, and the next request has them in another order
		wrong = errors.Join(wrong, missing)
	}
	if len(chunks) > 0 {
		if err := take(chunks); err != nil {
			return err
		}
	}
	for _, c := range chunks {
		next[c.Partition] = c.Next
	}
	return wrong
}

// visible gives the records of a block that were committed, from offset on (KIP-98: a transaction is aborted from its
// first offset to its abort marker).
func visible(p Partition, offset int64, block *sarama.FetchResponseBlock) Chunk {
	c := Chunk{Partition: p, Next: offset}
	aborting := map[int64]bool{}
	ahead := block.AbortedTransactions // in the order of their first offsets
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil || batch.PartialTrailingRecord {
			break
		}
		for len(ahead) > 0 && ahead[0].FirstOffset <= batch.LastOffset() {
			aborting[ahead[0].ProducerID] = true
			ahead = ahead[1:]
		}
		c.Next = max(c.Next, batch.LastOffset()+1)
		switch {
		case batch.Control:
			if isAbort(batch) {
				delete(aborting, batch.ProducerID)
			}
			continue
		case batch.IsTransactional && aborting[batch.ProducerID]:
			continue
		}
		for _, r := range batch.Records {
			if at := batch.FirstOffset + r.OffsetDelta; at >= offset {
				c.Records = append(c.Records, Record{
					Offset: at, Time: batch.FirstTimestamp.Add(r.TimestampDelta), Key: r.Key, Value: r.Value, Headers: r.Headers,
				})
			}
		}
	}
	return c
}

// isAbort reads a control record's key: its version and its type, 0 for abort, each an int16.
func isAbort(batch *sarama.RecordBatch) bool {
	return len(batch.Records) > 0 && len(batch.Records[0].Key) >= 4 && binary.BigEndian.Uint16(batch.Records[0].Key[2:]) == 0
}
