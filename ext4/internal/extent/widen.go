package extent

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/layout"
)

// Widen finds what can be made written without a block for the tree, where there is none: the n blocks from lblk on,
// which lie in one unwritten extent, and of the rest of that extent what lies before them, or behind them, or both. It is
// the range [from, to) for Convert, after the caller has cleared on the device what was added. Of those ranges that
// need no more entries than the leaf has room for, it is the smallest.
//
// Nothing from limit on is added: beyond the end of a file no block may be written. syscall.ENOSPC if no range will do.
// The caller sees to it that nobody writes into the extent until it is converted.
func (m Map) Widen(lblk layout.Lblk, n uint32, limit layout.Lblk) (from, to layout.Lblk, err error) {
	f := m.f
	p, err := f.findIn(f.way[:0], lblk)
	if err != nil {
		return 0, 0, err
	}
	e, ok := p.extentAt()
	first, end := uint64(lblk), uint64(lblk)+uint64(n)
	if !ok || !e.Unwritten || n == 0 || e.End() < end {
		return 0, 0, fmt.Errorf("inode %d: logical blocks %d+%d: not in one unwritten extent: %w", f.ino, lblk, n, syscall.EINVAL)
	}
	for _, part := range wider(e, e.Cut(first, end), uint64(limit)) {
		leaf := p.leaf()
		w := windowFor(leaf.node, leaf.at, lblk, converted(f.parts[:0], e, part, false))
		if leaf.node.Entries()-w.drop+len(w.put) <= f.capacity(leaf.node) {
			return part.Lblk, layout.Lblk(part.End()), nil
		}
	}
	return 0, 0, fmt.Errorf("inode %d: logical blocks %d+%d: no room in the extent tree: %w", f.ino, lblk, n, syscall.ENOSPC)
}

// wider is a part of an extent and what it can be widened to, the smallest first.
func wider(e, part layout.Extent, limit uint64) []layout.Extent {
	first, end := uint64(part.Lblk), part.End()
	out := []layout.Extent{part, e.Cut(0, end)}
	if e.End() <= limit {
		out = append(out, e.Cut(first, e.End()), e)
	}
	slices.SortStableFunc(out, func(a, b layout.Extent) int { return cmp.Compare(a.Len, b.Len) })
	return out
}
