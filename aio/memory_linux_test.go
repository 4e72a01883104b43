package aio

import (
	"testing"

	"ext4img/aio/block"
)

// TestArenaHuge: an arena that fills half a huge page or more starts at a huge page, and has no more room than asked
// for.
func TestArenaHuge(t *testing.T) {
	const huge = 2 << 20
	for _, size := range []int{huge / 2, huge, 3*huge - 4096, 5 << 20} {
		a, err := NewArena(size, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if !block.IsAligned(a.mem, huge) || a.Size() != size {
			t.Errorf("%d bytes: %d, at a huge page %v", size, a.Size(), block.IsAligned(a.mem, huge))
		}
		p, err := a.Alloc(size)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p {
			p[i] = 1
		}
		if _, err := a.Alloc(1); err != ErrArenaFull {
			t.Errorf("%d bytes: room beyond them: %v", size, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
