package extent

import (
	"errors"
	"fmt"
	"math"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// ErrHole is returned by Convert for a range that is not mapped.
var ErrHole = errors.New("not mapped")

// Allocate maps the hole at a logical block to at most n newly allocated blocks, and returns the new extent. It
// begins at lblk. It is shorter than n if the hole ends, if no longer run of blocks is free, or if an extent cannot
// be longer. The error is syscall.ENOSPC if nothing is free, and syscall.EEXIST if there is no hole.
func (m *Mapper) Allocate(h *journal.Handle, ino layout.Ino, lblk layout.Lblk, n uint32, unwritten bool) (layout.Extent, error) {
	f, err := m.change(h, ino)
	if err != nil {
		return layout.Extent{}, err
	}
	if err := f.checkRange(lblk, n); err != nil {
		return layout.Extent{}, err
	}
	if f.kind == mappedByBlocks {
		if unwritten {
			return layout.Extent{}, layout.Unsupportedf("inode %d: mapped by block numbers, which cannot be unwritten", ino)
		}
		return f.allocateBlocks(lblk, n)
	}
	p, err := f.find(lblk)
	if err != nil {
		return layout.Extent{}, err
	}
	if err := f.need(splitCost(len(p)-1) + group.BlockCredits); err != nil {
		return layout.Extent{}, err
	}
	prev, here, next, err := f.around(p, lblk)
	if err != nil {
		return layout.Extent{}, err
	}
	if here.Mapped() {
		return layout.Extent{}, fmt.Errorf("inode %d: logical block %d is mapped: %w", ino, lblk, syscall.EEXIST)
	}
	here.Unwritten = unwritten
	here.Len = min(here.Len, n, here.MaxLen())
	e, implied := f.implied(prev, here, next)
	if !implied {
		if e, err = f.takeData(prev, here, next); err != nil {
			return layout.Extent{}, err
		}
	}
	return e, f.rewrite(p, lblk, e)
}

func (f *file) checkRange(lblk layout.Lblk, n uint32) error {
	if n == 0 {
		return fmt.Errorf("inode %d: no blocks at logical block %d: %w", f.ino, lblk, syscall.EINVAL)
	}
	if uint64(lblk)+uint64(n) > math.MaxUint32 {
		return fmt.Errorf("inode %d: logical blocks %d+%d: %w", f.ino, lblk, n, syscall.EFBIG)
	}
	return nil
}

// cluster is the first block of the logical cluster of a block.
func (f *file) cluster(l uint64) uint64 { return l - l%uint64(f.m.g.ClusterRatio) }

// implied is the extent for want if an extent beside it maps a part of want's first cluster. Then the physical
// cluster is given, up to the end of that logical cluster.
func (f *file) implied(prev, want, next layout.Extent) (layout.Extent, bool) {
	ratio := uint64(f.m.g.ClusterRatio)
	if ratio == 1 {
		return want, false
	}
	base, l := f.cluster(uint64(want.Lblk)), uint64(want.Lblk)
	switch {
	case prev.Len > 0 && prev.End() > base:
		want.Pblk = prev.Pblk + layout.Pblk(l-uint64(prev.Lblk))
	case next.Len > 0 && uint64(next.Lblk) < base+ratio:
		want.Pblk = next.Pblk - layout.Pblk(uint64(next.Lblk)-l)
	default:
		return want, false
	}
	want.Len = uint32(min(uint64(want.Len), base+ratio-l))
	return want, true
}

// takeData allocates blocks for want, or for its first part, in whole clusters.
func (f *file) takeData(prev, want, next layout.Extent) (layout.Extent, error) {
	ratio := uint64(f.m.g.ClusterRatio)
	base, end := f.cluster(uint64(want.Lblk)), want.End()
	if next.Len > 0 {
		// The cluster in which the next extent begins is given already.
		end = min(end, f.cluster(uint64(next.Lblk)))
	}
	clusters := (end - base + ratio - 1) / ratio
	q := group.Request{Goal: f.goal(prev, base, next), Min: uint32(ratio), Max: uint32(clusters * ratio), Root: true}
	p, got, err := f.m.space.Alloc(f.h, q)
	if err != nil {
		return want, fmt.Errorf("inode %d: logical blocks %d+%d: %w", f.ino, want.Lblk, want.Len, err)
	}
	skip := uint64(want.Lblk) - base
	want.Pblk = p + layout.Pblk(skip)
	want.Len = uint32(min(end-uint64(want.Lblk), uint64(got)-skip))
	return want, f.m.inodes.AddBlocks(f.h, f.ino, int64(got))
}

// goal is the best block for logical block l: the one that continues a neighbouring extent.
func (f *file) goal(prev layout.Extent, l uint64, next layout.Extent) layout.Pblk {
	switch {
	case prev.Len > 0 && prev.Pblk+layout.Pblk(l-uint64(prev.Lblk)) < layout.Pblk(f.m.g.Blocks):
		return prev.Pblk + layout.Pblk(l-uint64(prev.Lblk))
	case prev.Len == 0 && next.Len > 0 && uint64(next.Pblk) > uint64(next.Lblk)-l+uint64(f.m.g.FirstDataBlock):
		return next.Pblk - layout.Pblk(uint64(next.Lblk)-l)
	}
	return f.m.space.GoalFor(f.ino)
}

// Insert maps a hole to blocks that the caller has allocated and counted in i_blocks. The error is syscall.EEXIST if
// a part of it is mapped.
func (m *Mapper) Insert(h *journal.Handle, ino layout.Ino, e layout.Extent) error {
	f, err := m.change(h, ino)
	if err != nil {
		return err
	}
	if err := f.checkRange(e.Lblk, e.Len); err != nil {
		return err
	}
	skew := (uint64(e.Pblk) - uint64(e.Lblk)) % uint64(m.g.ClusterRatio)
	if e.Len > e.MaxLen() || e.Pblk == 0 || !m.g.ContainsBlocks(e.Pblk, uint64(e.Len)) || skew != 0 {
		return fmt.Errorf("inode %d: extent of blocks %d+%d: %w", ino, e.Pblk, e.Len, syscall.EINVAL)
	}
	if f.kind == mappedByBlocks {
		return f.insertBlocks(e)
	}
	p, err := f.find(e.Lblk)
	if err != nil {
		return err
	}
	if err := f.need(splitCost(len(p) - 1)); err != nil {
		return err
	}
	_, here, _, err := f.around(p, e.Lblk)
	if err != nil {
		return err
	}
	if here.Mapped() || here.Len < e.Len {
		return fmt.Errorf("inode %d: logical blocks %d+%d are mapped: %w", ino, e.Lblk, e.Len, syscall.EEXIST)
	}
	return f.rewrite(p, e.Lblk, e)
}

// Convert makes exactly the n blocks from lblk on written, or unwritten. They must be mapped, in either state, or
// else the error is ErrHole. Blocks for the tree may come from the pool. The error is syscall.ENOSPC if there is
// none: Widen then finds a range that needs no block.
func (m *Mapper) Convert(h *journal.Handle, ino layout.Ino, lblk layout.Lblk, n uint32, unwritten bool) error {
	f, err := m.Edit(h, ino)
	if err != nil {
		return err
	}
	return f.f.convert(lblk, n, unwritten, group.Pool)
}

// Written makes exactly the n blocks from lblk on written, as Convert does. It takes blocks for the tree from those
// promised after SplitBlocks.
func (m Map) Written(lblk layout.Lblk, n uint32) error {
	return m.f.convert(lblk, n, false, group.Promised)
}

func (f *file) convert(lblk layout.Lblk, n uint32, unwritten bool, reach group.Reach) error {
	err := f.checkRange(lblk, n)
	if err != nil {
		return err
	}
	if f.kind == mappedByBlocks {
		if unwritten {
			return layout.Unsupportedf("inode %d: mapped by block numbers, which cannot be unwritten", f.ino)
		}
		return nil
	}
	f.reach = reach
	for l, end := uint64(lblk), uint64(lblk)+uint64(n); l < end; {
		if l, err = f.convertOne(l, end, unwritten); err != nil {
			return err
		}
	}
	return nil
}

// convertOne converts the part of [l, end) that lies in one extent, and returns the end of that part.
func (f *file) convertOne(l, end uint64, unwritten bool) (uint64, error) {
	p, err := f.findIn(f.way[:0], layout.Lblk(l))
	if err != nil {
		return 0, err
	}
	e, ok := p.extentAt()
	if !ok || e.End() <= l {
		return 0, fmt.Errorf("inode %d: logical block %d: %w", f.ino, l, ErrHole)
	}
	part := e.Cut(l, end)
	if e.Unwritten == unwritten {
		return part.End(), nil
	}
	if err := f.need(splitCost(len(p) - 1)); err != nil {
		return 0, err
	}
	return part.End(), f.rewrite(p, layout.Lblk(l), converted(f.parts[:0], e, part, unwritten)...)
}

// converted appends to parts what an extent becomes if part of it changes its state. A written extent of the greatest
// length is one block too long to be unwritten.
func converted(parts []layout.Extent, e, part layout.Extent, unwritten bool) []layout.Extent {
	if part.Lblk > e.Lblk {
		parts = append(parts, e.Cut(0, uint64(part.Lblk)))
	}
	changed := part
	changed.Unwritten = unwritten
	if most := changed.MaxLen(); changed.Len > most {
		head := changed.Cut(0, uint64(changed.Lblk)+uint64(most))
		parts = append(parts, head)
		changed = changed.Cut(head.End(), changed.End())
	}
	parts = append(parts, changed)
	if part.End() < e.End() {
		parts = append(parts, e.Cut(part.End(), e.End()))
	}
	return parts
}
