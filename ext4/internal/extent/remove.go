package extent

import (
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// removeGroups bounds one step of a removal: the number of groups whose blocks it frees.
const removeGroups = 4

// Remove unmaps the logical blocks [from, to), where to of ^0 is the end of the file, and frees their blocks and the
// nodes that become empty. It works from the right and does as much as the handle has credits for, at least
// StepCredits. If that is not all, it returns false, and next: the caller calls it again in another handle with next
// in place of to. A tree that has become small enough goes back into the inode. After an error next is to, because
// the handle must be cancelled.
func (m *Mapper) Remove(h *journal.Handle, ino layout.Ino, from, to layout.Lblk) (done bool, next layout.Lblk, err error) {
	f, err := m.change(h, ino)
	if err != nil {
		return false, to, err
	}
	return f.remove(from, to)
}

// Unmap is Remove for data that stays allocated and counted in i_blocks: it returns the blocks, in whole clusters,
// instead of freeing them. It is for the recovery of fast commits, which move blocks between files.
func (m *Mapper) Unmap(h *journal.Handle, ino layout.Ino, from, to layout.Lblk) (gone []group.Run, done bool, next layout.Lblk, err error) {
	f, err := m.change(h, ino)
	if err != nil {
		return nil, false, to, err
	}
	f.kept = &gone
	done, next, err = f.remove(from, to)
	return gone, done, next, err
}

// remove does as much as the handle has room for.
func (f *file) remove(from, to layout.Lblk) (done bool, next layout.Lblk, err error) {
	f.reach = group.Pool
	step := f.removeLast
	if f.kind == mappedByBlocks {
		step = f.removeLastBlocks
	}
	next = to
	for steps := 0; from < next; steps++ {
		if f.h.Room() < f.m.StepCredits() {
			if steps > 0 {
				return false, next, nil
			}
			if err := f.need(f.m.StepCredits()); err != nil {
				return false, to, err
			}
		}
		if next, err = step(from, next); err != nil {
			return false, to, err
		}
	}
	return true, from, nil
}

// removeLast removes the last extent in [from, to), or its last part, and returns its first block: from there on,
// nothing in the range is mapped. It returns from if nothing was left to remove.
func (f *file) removeLast(from, to layout.Lblk) (layout.Lblk, error) {
	p, err := f.find(to - 1)
	if err != nil {
		return to, err
	}
	p, e, ok, err := f.left(p)
	if err != nil || !ok || e.End() <= uint64(from) {
		return from, err
	}
	part := e.Cut(uint64(from), uint64(to))
	if most := removeGroups * f.m.g.BlocksPerGroup; part.Len > most {
		part = part.Cut(part.End()-uint64(most), part.End())
	}
	// Find out which blocks of the first and the last cluster stay mapped.
	prev, next, err := f.beside(p, e, part)
	if err != nil {
		return to, err
	}
	gone := f.clusters(prev, part, next)
	if f.kept == nil {
		f.spare = gone
	}
	var rest []layout.Extent
	if part.Lblk > e.Lblk {
		rest = append(rest, e.Cut(0, uint64(part.Lblk)))
	}
	if part.End() < e.End() {
		rest = append(rest, e.Cut(part.End(), e.End()))
	}
	if p, err = f.find(e.Lblk); err != nil {
		return to, err
	}
	if err := f.rewrite(p, e.Lblk, rest...); err != nil {
		return to, err
	}
	if f.kept == nil {
		gone, f.spare = f.spare, run{}
	}
	return part.Lblk, f.giveData(gone)
}

// beside returns where the mapped blocks before and after a part of extent e lie: those before end at the first
// result, those after begin at the second. Only bigalloc needs this.
func (f *file) beside(p path, e, part layout.Extent) (prev, next uint64, err error) {
	prev, next = 0, 1<<32
	if f.m.g.ClusterRatio == 1 {
		return prev, next, nil
	}
	if part.Lblk > e.Lblk {
		prev = uint64(part.Lblk)
	} else {
		before := append(path(nil), p...)
		before.leaf().at--
		_, other, ok, err := f.left(before)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			prev = other.End()
		}
	}
	if part.End() < e.End() {
		return prev, part.End(), nil
	}
	_, other, ok, err := f.right(p)
	if ok {
		next = uint64(other.Lblk)
	}
	return prev, next, err
}

// run is a number of contiguous blocks, in whole clusters.
type run struct {
	p layout.Pblk
	n uint64
}

// clusters returns the clusters of a part of an extent, without those that also hold blocks before prev or from next
// on.
func (f *file) clusters(prev uint64, part layout.Extent, next uint64) run {
	ratio := uint64(f.m.g.ClusterRatio)
	first, end := f.cluster(uint64(part.Lblk)), f.cluster(part.End()+ratio-1)
	p := part.Pblk - layout.Pblk(uint64(part.Lblk)-first)
	if prev > first {
		first, p = first+ratio, p+layout.Pblk(ratio)
	}
	if next < end {
		end -= ratio
	}
	if first >= end {
		return run{}
	}
	return run{p, end - first}
}
