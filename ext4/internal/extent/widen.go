package extent

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/layout"
)

// Widen finds a range that can be made written without a block for the tree, when no block is to be had. The n blocks
// from lblk on must lie in one unwritten extent. The range adds the rest of that extent before them, or after them,
// or both. The caller clears the added blocks on the device and then calls Convert for [from, to). Of the ranges that
// need no more entries than the leaf has room for, Widen returns the smallest.
//
// It adds no block from limit on: beyond the end of a file no block may be written. The error is syscall.ENOSPC if no
// range will do. The caller makes sure that no other write goes to the extent until it is converted.
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

// wider returns the ranges to which a part of an extent can be widened, the smallest first.
func wider(e, part layout.Extent, limit uint64) []layout.Extent {
	first, end := uint64(part.Lblk), part.End()
	out := []layout.Extent{part, e.Cut(0, end)}
	if e.End() <= limit {
		out = append(out, e.Cut(first, e.End()), e)
	}
	slices.SortStableFunc(out, func(a, b layout.Extent) int { return cmp.Compare(a.Len, b.Len) })
	return out
}
