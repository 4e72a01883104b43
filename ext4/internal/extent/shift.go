package extent

import (
	"fmt"
	"math"
	"syscall"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Shift moves the map of the logical blocks [from, to) by delta blocks; to of ^0 is the end of the file. To collapse
// a range, delta is negative, and the range before from was removed. To insert a range, delta is positive and to is
// ^0. An extent that begins before from is split there first. Blocks stay where they are on disk.
//
// It moves one leaf after the other, as many as the handle has credits for, in the order that keeps the tree valid at
// every step: from the left when it moves to the left, from the right when it moves to the right. If it returns
// false, the caller calls it again in another handle with next in place of from or, if delta is positive, of to. A
// crash in between leaves a valid file of which a part has moved, as in the kernel. A caller that has kept the
// arguments can complete the move.
//
// After an error next is the value that was passed. The error is syscall.EINVAL if the target is not free or, with
// bigalloc, if delta is not a multiple of the cluster; syscall.EFBIG if the target lies beyond the largest block of a
// file.
func (m *Mapper) Shift(h *journal.Handle, ino layout.Ino, from, to layout.Lblk, delta int64) (done bool, next layout.Lblk, err error) {
	s := shift{from: from, to: to, delta: delta}
	start := s.next()
	if s.file, err = m.change(h, ino); err != nil {
		return false, start, err
	}
	s.reach = group.Pool
	if s.kind == mappedByBlocks {
		return false, start, layout.Unsupportedf("inode %d: mapped by block numbers: its map cannot be shifted", ino)
	}
	ratio := int64(m.g.ClusterRatio)
	if delta == 0 || delta%ratio != 0 || int64(from)%ratio != 0 || int64(from)+delta < 0 || delta > math.MaxUint32 {
		return false, start, fmt.Errorf("inode %d: shift of logical block %d by %d: %w", ino, from, delta, syscall.EINVAL)
	}
	for steps := 0; !done; steps++ {
		if pause, err := s.pause(steps); err != nil {
			return false, start, err
		} else if pause {
			return false, s.next(), nil
		}
		switch {
		case steps == 0:
			err = s.splitAtStart()
		case delta < 0:
			done, err = s.collapseLeaf()
		default:
			done, err = s.insertLeaf()
		}
		if err != nil {
			return false, start, err
		}
	}
	return true, s.next(), nil
}

// pause reports whether the handle must end before the next step. If not, the handle has credits for the step.
func (s *shift) pause(steps int) (bool, error) {
	if s.h.Room() >= s.m.StepCredits() {
		return false, nil
	}
	whole, err := s.whole()
	if err != nil || steps > 0 && whole {
		return whole, err
	}
	return false, s.need(s.m.StepCredits())
}

// shift is the part of a Shift that remains to be done.
type shift struct {
	*file
	from, to layout.Lblk
	delta    int64
	inside   bool // the last extent moved to the left ended inside a cluster
}

func (s *shift) next() layout.Lblk {
	if s.delta < 0 {
		return s.from
	}
	return s.to
}

// whole reports whether the blocks still to be moved share no cluster with those already moved: then a handle may end
// here.
func (s *shift) whole() (bool, error) {
	ratio := uint64(s.m.g.ClusterRatio)
	if ratio == 1 || s.delta < 0 && !s.inside {
		return true, nil
	}
	if s.delta < 0 {
		p, err := s.find(s.from)
		if err != nil {
			return false, err
		}
		_, e, ok, err := s.rightFrom(p, s.from)
		return !ok || uint64(e.Lblk) >= uint64(s.from)+ratio, err
	}
	p, err := s.find(s.to - 1)
	if err != nil {
		return false, err
	}
	_, e, ok, err := s.left(p)
	return !ok || e.Lblk < s.from || e.End() <= s.cluster(uint64(s.to)), err
}

// splitAtStart makes an extent begin at from if one covers it.
func (s *shift) splitAtStart() error {
	p, err := s.find(s.from)
	if err != nil {
		return err
	}
	e, ok := p.extentAt()
	if at := uint64(s.from); ok && uint64(e.Lblk) < at && e.End() > at {
		return s.rewrite(p, s.from, e.Cut(0, at), e.Cut(at, e.End()))
	}
	return nil
}

// collapseLeaf moves the first extents of the range, up to the end of their leaf, to the left.
func (s *shift) collapseLeaf() (done bool, err error) {
	p, err := s.find(s.from)
	if err != nil {
		return false, err
	}
	prevEnd := uint64(0)
	if _, prev, ok, err := s.leftOf(p, s.from); err != nil {
		return false, err
	} else if ok {
		prevEnd = prev.End()
	}
	p, first, ok, err := s.rightFrom(p, s.from)
	if err != nil || !ok || first.Lblk >= s.to {
		return true, err
	}
	target := int64(first.Lblk) + s.delta
	if target < int64(prevEnd) {
		return false, fmt.Errorf("inode %d: shift of logical block %d by %d: target is mapped: %w", s.ino, first.Lblk, s.delta, syscall.EINVAL)
	}
	i := p.leaf().at
	end := i
	for end < p.leaf().node.Entries() && p.leaf().node.Key(end) < s.to {
		end++
	}
	// The edge is aligned to a cluster, as from must be: the blocks still to be moved lie after those moved.
	edge := p.leaf().node.Extent(end - 1).End()
	s.from, s.inside = layout.Lblk(s.cluster(edge)), s.cluster(edge) != edge
	if err := s.move(p, i, end); err != nil {
		return false, err
	}
	return false, s.join(layout.Lblk(target))
}

// insertLeaf moves the last extents of the range, down to the beginning of their leaf, to the right.
func (s *shift) insertLeaf() (done bool, err error) {
	if s.to <= s.from {
		return true, nil
	}
	p, err := s.find(s.to - 1)
	if err != nil {
		return false, err
	}
	_, after, more, err := s.right(p)
	if err != nil {
		return false, err
	}
	p, last, ok, err := s.left(p)
	if err != nil || !ok || last.Lblk < s.from {
		return true, err
	}
	switch target := last.End() + uint64(s.delta); {
	case more && target > uint64(after.Lblk):
		return false, fmt.Errorf("inode %d: shift of logical block %d by %d: target is mapped: %w", s.ino, last.Lblk, s.delta, syscall.EINVAL)
	case target > math.MaxUint32:
		return false, fmt.Errorf("inode %d: shift of logical block %d by %d: %w", s.ino, last.Lblk, s.delta, syscall.EFBIG)
	}
	i := p.leaf().at
	for i > 0 && p.leaf().node.Key(i-1) >= s.from {
		i--
	}
	s.to = p.leaf().node.Key(i)
	return false, s.move(p, i, p.leaf().at+1)
}

// leftOf is the last extent that begins before l, given the path found for l.
func (f *file) leftOf(p path, l layout.Lblk) (path, layout.Extent, bool, error) {
	if e, ok := p.extentAt(); ok && e.Lblk == l {
		p = append(path(nil), p...)
		p.leaf().at--
	}
	return f.left(p)
}

// rightFrom is the first extent that begins at l or after it, given the path found for l.
func (f *file) rightFrom(p path, l layout.Lblk) (path, layout.Extent, bool, error) {
	if e, ok := p.extentAt(); ok && e.Lblk == l {
		return p, e, true, nil
	}
	return f.right(p)
}

// move adds delta to the keys of the extents [i, end) of a leaf.
func (s *shift) move(p path, i, end int) error {
	leaf, err := s.writable(p, len(p)-1)
	if err != nil {
		return err
	}
	for k := i; k < end; k++ {
		leaf.SetKey(k, layout.Lblk(int64(leaf.Key(k))+s.delta))
	}
	if i > 0 {
		return nil
	}
	return s.fixKeys(p, len(p)-1)
}

// join merges the extent at l with its neighbours.
func (f *file) join(l layout.Lblk) error {
	p, err := f.find(l)
	if err != nil {
		return err
	}
	e, ok := p.extentAt()
	if !ok {
		return nil
	}
	return f.rewrite(p, l, e)
}
