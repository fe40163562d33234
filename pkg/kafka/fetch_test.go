package kafka

import (
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"
)

// batch makes one of n records that starts at an offset.
func batch(first int64, n int, change ...func(*sarama.RecordBatch)) *sarama.Records {
	b := &sarama.RecordBatch{FirstOffset: first, LastOffsetDelta: int32(max(n-1, 0))}
	for i := range n {
		b.Records = append(b.Records, &sarama.Record{OffsetDelta: int64(i), Value: []byte("v")})
	}
	for _, c := range change {
		c(b)
	}
	return &sarama.Records{RecordBatch: b}
}

func transaction(producer int64) func(*sarama.RecordBatch) {
	return func(b *sarama.RecordBatch) { b.IsTransactional, b.ProducerID = true, producer }
}

// marker ends a transaction; kind is 0 for abort, 1 for commit.
func marker(producer int64, kind byte) func(*sarama.RecordBatch) {
	return func(b *sarama.RecordBatch) {
		b.IsTransactional, b.ProducerID, b.Control = true, producer, true
		b.Records[0].Key = []byte{0, 0, 0, kind}
	}
}

func TestVisible_GivesCommittedRecordsAndHowFarItGot(t *testing.T) {
	for name, c := range map[string]struct {
		from    int64
		sets    []*sarama.Records
		aborted []*sarama.AbortedTransaction
		want    []int64
		next    int64
	}{
		"nothing":                       {from: 7, next: 7},
		"plain records":                 {from: 0, sets: []*sarama.Records{batch(0, 2), batch(2, 1)}, want: []int64{0, 1, 2}, next: 3},
		"a batch that begins before":    {from: 1, sets: []*sarama.Records{batch(0, 3)}, want: []int64{1, 2}, next: 3},
		"a hole before a batch":         {from: 1, sets: []*sarama.Records{batch(5, 1)}, want: []int64{5}, next: 6},
		"a batch cut short":             {from: 0, sets: []*sarama.Records{batch(0, 1), batch(1, 1, func(b *sarama.RecordBatch) { b.PartialTrailingRecord = true })}, want: []int64{0}, next: 1},
		"compacted at its end":          {from: 0, sets: []*sarama.Records{batch(0, 1, func(b *sarama.RecordBatch) { b.LastOffsetDelta = 4 })}, want: []int64{0}, next: 5},
		"a committed transaction":       {from: 0, sets: []*sarama.Records{batch(0, 2, transaction(1)), batch(2, 1, marker(1, 1))}, want: []int64{0, 1}, next: 3},
		"only a marker":                 {from: 2, sets: []*sarama.Records{batch(2, 1, marker(1, 1))}, next: 3},
		"an aborted transaction":        {from: 0, sets: []*sarama.Records{batch(0, 2, transaction(1)), batch(2, 1, marker(1, 0)), batch(3, 1)}, aborted: []*sarama.AbortedTransaction{{ProducerID: 1, FirstOffset: 0}}, want: []int64{3}, next: 4},
		"aborted, and then a committed": {from: 0, sets: []*sarama.Records{batch(0, 1, transaction(1)), batch(1, 1, marker(1, 0)), batch(2, 1, transaction(1)), batch(3, 1, marker(1, 1))}, aborted: []*sarama.AbortedTransaction{{ProducerID: 1, FirstOffset: 0}}, want: []int64{2}, next: 4},
		"aborted beside a committed":    {from: 0, sets: []*sarama.Records{batch(0, 1, transaction(1)), batch(1, 1, transaction(2)), batch(2, 1, marker(1, 0)), batch(3, 1, marker(2, 1))}, aborted: []*sarama.AbortedTransaction{{ProducerID: 1, FirstOffset: 0}}, want: []int64{1}, next: 4},
		"aborted later on":              {from: 0, sets: []*sarama.Records{batch(0, 1, transaction(1)), batch(1, 1, marker(1, 1)), batch(2, 1, transaction(1)), batch(3, 1, marker(1, 0))}, aborted: []*sarama.AbortedTransaction{{ProducerID: 1, FirstOffset: 2}}, want: []int64{0}, next: 4},
	} {
		got := visible(Partition{"t", 0}, c.from, &sarama.FetchResponseBlock{RecordsSet: c.sets, AbortedTransactions: c.aborted})
		var offsets []int64
		for _, r := range got.Records {
			offsets = append(offsets, r.Offset)
		}
		require.Equal(t, c.want, offsets, name)
		require.Equal(t, c.next, got.Next, name)
	}
}

func TestHand_WhatAFullAnswerLeavesOutIsAskedForAgain(t *testing.T) {
	a, b := Partition{"t", 0}, Partition{"t", 1}
	f := fetch{partitions: []Partition{a, b}}
	answer := func(sets ...*sarama.Records) *sarama.FetchResponse {
		return &sarama.FetchResponse{Blocks: map[string]map[int32]*sarama.FetchResponseBlock{"t": {1: {RecordsSet: sets}}}}
	}
	next := map[Partition]int64{a: 5, b: 0}
	taken := 0
	take := func(chunks []Chunk) error { taken += len(chunks); return nil }
	var mu sync.Mutex
	require.NoError(t, f.hand(answer(batch(0, 2)), &mu, next, take))
	require.Equal(t, map[Partition]int64{a: 5, b: 2}, next)
	require.Equal(t, 1, taken)

	require.ErrorIs(t, f.hand(answer(), &mu, next, take), sarama.ErrIncompleteResponse, "there was room for it")
}
