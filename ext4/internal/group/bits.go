package group

import (
	"encoding/binary"
	"math/bits"
)

// The bit arithmetic of bitmaps: pure, word by word. A bitmap's length is a multiple of 8 bytes.

// nextBit is the first set bit in [from, to) of the bitmap b after each word is xored with flip, or to.
func nextBit(b []byte, from, to uint32, flip uint64) uint32 {
	for from < to {
		w := (binary.LittleEndian.Uint64(b[from>>6<<3:]) ^ flip) & (^uint64(0) << (from & 63))
		if w != 0 {
			return min(from&^63+uint32(bits.TrailingZeros64(w)), to)
		}
		from = from&^63 + 64
	}
	return to
}

func nextOne(b []byte, from, to uint32) uint32  { return nextBit(b, from, to, 0) }
func nextZero(b []byte, from, to uint32) uint32 { return nextBit(b, from, to, ^uint64(0)) }

// eachWord calls fn for each 64-bit word that [from, from+n) touches, with the mask of the bits in it.
func eachWord(b []byte, from, n uint32, fn func(word []byte, mask uint64)) {
	for end := from + n; from < end; {
		last := min(end, from&^63+64)
		mask := ^uint64(0) << (from & 63)
		if last&63 != 0 {
			mask &= 1<<(last&63) - 1
		}
		fn(b[from>>6<<3:][:8], mask)
		from = last
	}
}

func setBits(b []byte, from, n uint32) {
	eachWord(b, from, n, func(p []byte, mask uint64) {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)|mask)
	})
}

func clearBits(b []byte, from, n uint32) {
	eachWord(b, from, n, func(p []byte, mask uint64) {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)&^mask)
	})
}

// countOnes counts the set bits in [0, n).
func countOnes(b []byte, n uint32) uint32 {
	var c int
	whole := n &^ 63
	for i := uint32(0); i < whole/8; i += 8 {
		c += bits.OnesCount64(binary.LittleEndian.Uint64(b[i:]))
	}
	if n > whole {
		c += bits.OnesCount64(binary.LittleEndian.Uint64(b[whole/8:]) & (1<<(n-whole) - 1))
	}
	return uint32(c)
}

// orBits sets in b every bit that is set in x.
func orBits(b, x []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], binary.LittleEndian.Uint64(b[i:])|binary.LittleEndian.Uint64(x[i:]))
	}
}

// A span is n clusters, or inodes, of a group from index at on.
type span struct{ at, n uint32 }

// bestRun looks in [from, to) for the shortest run of at least want zeros. If there is none, it returns the longest
// run.
func bestRun(b []byte, from, to, want uint32) (span, bool) {
	var best span
	for at := nextZero(b, from, to); at < to; {
		end := nextOne(b, at, to)
		n := end - at
		if n == want {
			return span{at, n}, true
		}
		if fits := n > want; fits && (best.n < want || n < best.n) || !fits && best.n < want && n > best.n {
			best = span{at, n}
		}
		at = nextZero(b, end, to)
	}
	return best, best.n >= want
}
