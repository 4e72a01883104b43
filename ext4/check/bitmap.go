package check

import (
	"math/bits"
	"sync/atomic"
)

// A bitmap is a set of n numbers from base on. It is kept in chunks that are made only when a number is added to
// them: an empty group of a large file system costs one pointer. All methods may be called by several goroutines at
// once.
type bitmap struct {
	per    uint32 // numbers in a chunk
	base   uint64
	n      uint64
	chunks []atomic.Pointer[[]uint64]
}

func newBitmap(base, n uint64, per uint32) *bitmap {
	return &bitmap{per: per, base: base, n: n, chunks: make([]atomic.Pointer[[]uint64], (n+uint64(per)-1)/uint64(per))}
}

// words returns the words of a chunk, and makes the chunk if it does not exist.
func (b *bitmap) words(chunk uint64) []uint64 {
	if w := b.chunks[chunk].Load(); w != nil {
		return *w
	}
	w := make([]uint64, (b.per+63)/64)
	if b.chunks[chunk].CompareAndSwap(nil, &w) {
		return w
	}
	return *b.chunks[chunk].Load()
}

// peek returns the words of a chunk, or nil if the chunk is empty.
func (b *bitmap) peek(chunk uint64) []uint64 {
	if chunk >= uint64(len(b.chunks)) {
		return nil
	}
	if w := b.chunks[chunk].Load(); w != nil {
		return *w
	}
	return nil
}

func (b *bitmap) test(i uint64) bool {
	i -= b.base // a number below base wraps around to one beyond the end
	if i >= b.n {
		return false
	}
	w := b.peek(i / uint64(b.per))
	k := i % uint64(b.per)
	return w != nil && atomic.LoadUint64(&w[k/64])>>(k%64)&1 != 0
}

// set adds i and reports whether it was a member before. A number beyond the end is ignored.
func (b *bitmap) set(i uint64) bool {
	i -= b.base // a number below base wraps around to one beyond the end
	if i >= b.n {
		return false
	}
	k := i % uint64(b.per)
	w := b.words(i / uint64(b.per))
	bit := uint64(1) << (k % 64)
	return atomic.OrUint64(&w[k/64], bit)&bit != 0
}

// setRange adds n numbers from i on and calls dup for the runs of numbers that were members before.
func (b *bitmap) setRange(i, n uint64, dup func(i, n uint64)) {
	b.eachMask(i, n, func(chunk, k, mask uint64) {
		w := b.words(chunk)
		if old := atomic.OrUint64(&w[k], mask) & mask; old != 0 && dup != nil {
			b.eachRun(chunk, k, old, dup)
		}
	})
}

// runs calls fn for the runs of members among n numbers from i on.
func (b *bitmap) runs(i, n uint64, fn func(i, n uint64)) {
	b.eachMask(i, n, func(chunk, k, mask uint64) {
		if w := b.peek(chunk); w != nil {
			b.eachRun(chunk, k, atomic.LoadUint64(&w[k])&mask, fn)
		}
	})
}

// eachMask calls fn for each word that holds some of the n numbers from i on: with the chunk, the word in it, and the
// bits.
func (b *bitmap) eachMask(i, n uint64, fn func(chunk, k, mask uint64)) {
	i -= b.base
	for end := min(i+n, b.n); i < end; {
		chunk, k := i/uint64(b.per), i%uint64(b.per)
		take := min(64-k%64, uint64(b.per)-k, end-i)
		fn(chunk, k/64, (^uint64(0)>>(64-take))<<(k%64))
		i += take
	}
}

// eachRun calls fn for the runs of bits in a word.
func (b *bitmap) eachRun(chunk, k, word uint64, fn func(i, n uint64)) {
	base := b.base + chunk*uint64(b.per) + 64*k
	for word != 0 {
		from := uint64(bits.TrailingZeros64(word))
		n := uint64(bits.TrailingZeros64(^(word >> from)))
		fn(base+from, n)
		word &^= ^uint64(0) >> (64 - n) << from
	}
}

// merge adds the members of a chunk of another bitmap with chunks of the same size.
func (b *bitmap) merge(chunk uint64, words []uint64) {
	if chunk >= uint64(len(b.chunks)) {
		return
	}
	w := b.words(chunk)
	for i, v := range words {
		if v != 0 {
			atomic.OrUint64(&w[i], v)
		}
	}
}

// count is the number of members.
func (b *bitmap) count() uint64 {
	var n uint64
	for c := range b.chunks {
		for _, w := range b.peek(uint64(c)) {
			n += uint64(bits.OnesCount64(w))
		}
	}
	return n
}

// eachIn calls fn for every member of one chunk in ascending order.
func (b *bitmap) eachIn(chunk uint64, fn func(uint64)) {
	for k, w := range b.peek(chunk) {
		for ; w != 0; w &= w - 1 {
			fn(b.base + chunk*uint64(b.per) + uint64(k)*64 + uint64(bits.TrailingZeros64(w)))
		}
	}
}
