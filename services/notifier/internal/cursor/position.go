package cursor

import "slices"

// Position is the next offset of every partition of each of Topics.
type Position [len(Topics)][]int64

// Clone gives a copy that shares nothing.
func (p Position) Clone() Position {
	for t := range p {
		p[t] = slices.Clone(p[t])
	}
	return p
}

// At gives the next offset of a partition; ok is false where the position does not know the partition.
func (p Position) At(topic, partition int) (next int64, ok bool) {
	if partition >= len(p[topic]) {
		return 0, false
	}
	return p[topic][partition], true
}

// Covers tells whether p has reached q in every partition that q knows.
func (p Position) Covers(q Position) bool {
	for t := range q {
		for i, next := range q[t] {
			if mine, ok := p.At(t, i); !ok || mine < next {
				return false
			}
		}
	}
	return true
}

// Distance is the number of offsets from p up to q, over the partitions where q is ahead. A partition that p does not
// know counts from offset 0.
func (p Position) Distance(q Position) int64 {
	var sum int64
	for t := range q {
		for i, next := range q[t] {
			mine, _ := p.At(t, i)
			sum += max(next-mine, 0)
		}
	}
	return sum
}

// Max gives, for each partition, the one that is further.
func (p Position) Max(q Position) Position {
	sum := p.Clone()
	for t := range q {
		for i, next := range q[t] {
			if i >= len(sum[t]) {
				sum[t] = append(sum[t], next)
				continue
			}
			sum[t][i] = max(sum[t][i], next)
		}
	}
	return sum
}
