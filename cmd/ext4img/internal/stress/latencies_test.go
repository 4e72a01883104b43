package stress

import (
	"math"
	"testing"
	"time"
)

// TestLatencies: quantiles are right to a 32nd.
func TestLatencies(t *testing.T) {
	var l latencies
	for i := 1; i <= 100000; i++ {
		l.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0.5: 50000, 0.99: 99000, 0.999: 99900} {
		if got := float64(l.quantile(q).Microseconds()); math.Abs(got-want) > want/32+1 {
			t.Errorf("quantile %v: %v us, want %v", q, got, want)
		}
	}
	if l.max != 100*time.Millisecond {
		t.Errorf("max %v", l.max)
	}
	for _, n := range []uint64{0, 31, 32, 33, 1000, 1 << 40, math.MaxInt64} {
		if b := bucket(n); floor(b) > n || floor(b+1) <= n {
			t.Errorf("%d is in bucket %d, from %d to %d", n, b, floor(b), floor(b+1))
		}
	}
}
