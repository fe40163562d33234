package store

import (
	"strconv"
	"sync/atomic"
	"testing"
)

// BenchmarkPlace shows what grouping gives: go test -bench Place -cpu 1 sets GOMAXPROCS; callers are 64 per core.
func BenchmarkPlace(b *testing.B) {
	for name, keyed := range map[string]bool{"without a key": false, "with a key": true} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			var n atomic.Int64
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i, key := n.Add(1), ""
					if keyed {
						key = strconv.FormatInt(i, 10)
					}
					if _, err := s.Place(b.Context(), placement("c-"+strconv.FormatInt(i%1000, 10), key)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
		})
	}
}
