package stress

import (
	"math/bits"
	"time"
)

// latencies counts durations in buckets 1/32 of their size wide: memory is bounded, however long the run.
type latencies struct {
	count [64 * 32]uint64
	total uint64
	max   time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.count[bucket(uint64(max(d, 0)))]++
	l.total++
	l.max = max(l.max, d)
}

func (l *latencies) merge(o *latencies) {
	for i, n := range o.count {
		l.count[i] += n
	}
	l.total += o.total
	l.max = max(l.max, o.max)
}

// bucket is the index of a number: its magnitude and the five bits below the first.
func bucket(n uint64) int {
	if n < 32 {
		return int(n)
	}
	shift := bits.Len64(n) - 6
	return (shift+1)*32 + int(n>>shift&31)
}

// floor is the smallest number in a bucket.
func floor(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	return (32 + uint64(i%32)) << (i/32 - 1)
}

// quantile is the duration that a share q of all do not exceed.
func (l *latencies) quantile(q float64) time.Duration {
	want := uint64(q * float64(l.total))
	seen := uint64(0)
	for i, n := range l.count {
		if seen += n; n > 0 && seen > want {
			return min(time.Duration(floor(i+1)-1), l.max)
		}
	}
	return l.max
}

// Latency is a summary of latencies, in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (l *latencies) summary() Latency {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	return Latency{us(l.quantile(0.5)), us(l.quantile(0.99)), us(l.quantile(0.999)), us(l.max)}
}
