package check

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestBitmap(t *testing.T) {
	const base, n = 7, 1000
	r := rand.New(rand.NewPCG(1, 2))
	b, want := newBitmap(base, n, 96), map[uint64]bool{}
	for range 3000 {
		i := r.Uint64N(n+40) + base - 20 // beyond both ends too
		inside := i-base < n
		if got := b.set(i); got != (want[i] && inside) {
			t.Fatalf("set %d: was there: %v", i, got)
		}
		if inside {
			want[i] = true
		}
		if i = r.Uint64N(n + 40); b.test(i) != want[i] {
			t.Fatalf("test %d: %v", i, b.test(i))
		}
	}
	if b.count() != uint64(len(want)) {
		t.Errorf("count %d, want %d", b.count(), len(want))
	}
	got, last := 0, uint64(0)
	for c := range b.chunks {
		b.eachIn(uint64(c), func(i uint64) {
			if !want[i] || i < last {
				t.Errorf("each: %d after %d", i, last)
			}
			got, last = got+1, i
		})
	}
	if got != len(want) {
		t.Errorf("each: %d, want %d", got, len(want))
	}
}

func TestBitmapIsSafeForManyGoroutines(t *testing.T) {
	b := newBitmap(0, 1<<16, 1<<10)
	var wg sync.WaitGroup
	var first [4]int
	for k := range first {
		wg.Go(func() {
			for i := range uint64(1 << 16) {
				if !b.set(i) {
					first[k]++
				}
			}
		})
	}
	wg.Wait()
	if sum := first[0] + first[1] + first[2] + first[3]; sum != 1<<16 || b.count() != 1<<16 {
		t.Errorf("%d were the first, %d are set", sum, b.count())
	}
}
