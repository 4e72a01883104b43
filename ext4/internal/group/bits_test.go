package group

import (
	"testing"

	"pgregory.net/rapid"
)

// TestBits compares the arithmetic on words with the plain one on single bits.
func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0xFF, 0x0F, 0x81, 0xA5}), 32, 32).Draw(t, "bitmap")
		size := uint32(len(b) * 8)
		get := func(b []byte, i uint32) bool { return b[i/8]>>(i%8)&1 != 0 }
		from := rapid.Uint32Range(0, size).Draw(t, "from")
		to := rapid.Uint32Range(from, size).Draw(t, "to")
		plain := func(want bool) uint32 {
			for i := from; i < to; i++ {
				if get(b, i) == want {
					return i
				}
			}
			return to
		}
		if got, want := nextOne(b, from, to), plain(true); got != want {
			t.Fatalf("nextOne(%d, %d) = %d, want %d", from, to, got, want)
		}
		if got, want := nextZero(b, from, to), plain(false); got != want {
			t.Fatalf("nextZero(%d, %d) = %d, want %d", from, to, got, want)
		}
		var ones uint32
		for i := range to {
			if get(b, i) {
				ones++
			}
		}
		if got := countOnes(b, to); got != ones {
			t.Fatalf("countOnes(%d) = %d, want %d", to, got, ones)
		}
		checkBestRun(t, b, from, to, get)
		set, cleared, or := append([]byte(nil), b...), append([]byte(nil), b...), append([]byte(nil), b...)
		setBits(set, from, to-from)
		clearBits(cleared, from, to-from)
		orBits(or, set)
		for i := range size {
			in := i >= from && i < to
			if get(set, i) != (get(b, i) || in) || get(cleared, i) != (get(b, i) && !in) || get(or, i) != get(set, i) {
				t.Fatalf("bit %d after setting or clearing [%d, %d)", i, from, to)
			}
		}
	})
}

func checkBestRun(t *rapid.T, b []byte, from, to uint32, get func([]byte, uint32) bool) {
	want := rapid.Uint32Range(1, 40).Draw(t, "want")
	var longest, shortest, run uint32
	for i := from; i <= to; i++ {
		if i < to && !get(b, i) {
			run++
			continue
		}
		longest = max(longest, run)
		if run >= want && (shortest == 0 || run < shortest) {
			shortest = run
		}
		run = 0
	}
	best := shortest
	if best == 0 {
		best = longest
	}
	x, ok := bestRun(b, from, to, want)
	if ok != (shortest > 0) || x.n != best {
		t.Fatalf("bestRun(%d, %d, %d) = %v, %t; want %d, %t", from, to, want, x, ok, best, shortest > 0)
	}
	if x.n > 0 && (x.at < from || x.at+x.n > to || nextOne(b, x.at, x.at+x.n) != x.at+x.n) {
		t.Fatalf("bestRun(%d, %d, %d) = %v: not free", from, to, want, x)
	}
}
