package extent

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Inspect checks what a file's map says of the logical blocks [from, to) before any of them is freed; to of ^0 is the
// end of the file. Every node must be whole and in its place, no block may be mapped twice or be metadata, all must
// be marked in use, and i_blocks must count as many. If something is wrong the error is layout.ErrCorrupt. Then
// nothing may be freed: an error half way would leave the file in pieces. An inode without a map passes.
//
// Inspect cannot know whether another file claims the same blocks.
func (m *Mapper) Inspect(r journal.Reader, ino layout.Ino, from, to layout.Lblk) error {
	return m.inspect(r, ino, from, to, 0)
}

// InspectAll is Inspect for all of a file that is to be deleted. i_blocks must also count the blocks beside the map: of
// the attributes and of the Hurd's translator.
func (m *Mapper) InspectAll(r journal.Reader, ino layout.Ino) error {
	in, err := m.inodes.Read(r, ino)
	if err != nil {
		return err
	}
	beside := uint64(0)
	for _, p := range []layout.Pblk{m.g.FileACL(in), m.g.Translator(in)} {
		if p != 0 {
			beside += uint64(m.g.ClusterRatio)
		}
	}
	return m.inspect(r, ino, 0, ^layout.Lblk(0), beside)
}

func (m *Mapper) inspect(r journal.Reader, ino layout.Ino, from, to layout.Lblk, beside uint64) error {
	f, err := m.open(r, ino)
	if err != nil {
		return err
	}
	f.strict = true
	s := inspection{file: f, from: uint64(from), to: uint64(to), beside: beside}
	if to == ^layout.Lblk(0) {
		s.to = math.MaxUint32 + 1 // what stands at the very end is wrong, and looked at as well
	}
	switch f.kind {
	case mappedByBlocks:
		err = s.lists()
	case mappedByExtents:
		err = s.tree()
	}
	if err == nil {
		err = s.judge()
	}
	if err != nil {
		return fmt.Errorf("map of inode %d: %w", ino, layout.InInode(ino, err))
	}
	return nil
}

// inspection is what Inspect has found so far.
type inspection struct {
	*file
	from, to uint64
	beside   uint64      // blocks that i_blocks counts and the map has not
	runs     []group.Run // whole clusters of data and nodes
	end      uint64      // end of the last logical cluster of the data seen so far
	endP     layout.Pblk // end of that cluster on disk
}

// tree checks the nodes that lead to the range.
func (s *inspection) tree() error {
	root, err := s.root()
	if err != nil {
		return err
	}
	return s.node(step{node: root, end: math.MaxUint32})
}

func (s *inspection) node(n step) error {
	for i := range n.node.Entries() {
		if uint64(n.node.Key(i)) >= s.to {
			return nil
		}
		if n.node.Leaf() {
			e := n.node.Extent(i)
			if e.End() <= s.from {
				continue
			}
			if err := s.data(e.Cut(s.from, s.to)); err != nil {
				return err
			}
			continue
		}
		if i+1 < n.node.Entries() && uint64(n.node.Key(i+1)) <= s.from {
			continue
		}
		n.at = i
		below, err := s.child(&n)
		if err != nil {
			return err
		}
		s.own(below.block)
		if err := s.node(below); err != nil {
			return err
		}
	}
	return nil
}

// lists checks the indirect blocks that lead to the range.
func (s *inspection) lists() error {
	top, err := s.top()
	if err != nil {
		return err
	}
	left := s.m.g.Blocks
	return s.list(top, &left)
}

func (s *inspection) list(l list, left *uint64) error {
	for i := range l.Len() {
		level, first, span := s.entry(l, i)
		if first >= s.to {
			return nil
		}
		if l.Get(i) == 0 || first+span <= s.from {
			continue
		}
		if level < 0 {
			if err := s.data(layout.Extent{Lblk: layout.Lblk(first), Pblk: l.Get(i), Len: 1}); err != nil {
				return err
			}
			continue
		}
		if *left == 0 {
			return layout.Corruptf("more indirect blocks than the file system has blocks")
		}
		*left--
		below, err := s.below(l, i)
		if err != nil {
			return err
		}
		s.own(below.block)
		if err := s.list(below, left); err != nil {
			return err
		}
	}
	return nil
}

// own records a block of the map.
func (s *inspection) own(block layout.Pblk) {
	ratio := layout.Pblk(s.m.g.ClusterRatio)
	s.note(block-block%ratio, uint64(ratio))
}

// data records the clusters of an extent that follows those recorded so far. Two extents may share a cluster on disk
// only if they share a logical cluster of the file.
func (s *inspection) data(e layout.Extent) error {
	ratio := uint64(s.m.g.ClusterRatio)
	if (uint64(e.Pblk)-uint64(e.Lblk))%ratio != 0 {
		return layout.Corruptf("logical block %d at block %d: not at the same place in a cluster of %d", e.Lblk, e.Pblk, ratio)
	}
	first, end := s.cluster(uint64(e.Lblk)), s.cluster(e.End()+ratio-1)
	p := e.Pblk - layout.Pblk(uint64(e.Lblk)-first)
	if first < s.end {
		if p+layout.Pblk(s.end-first) != s.endP {
			return layout.Corruptf("logical block %d at block %d: its cluster is at block %d as well", e.Lblk, e.Pblk, s.endP-layout.Pblk(ratio))
		}
		first, p = s.end, s.endP
	}
	if first < end {
		s.note(p, end-first)
		s.end, s.endP = end, p+layout.Pblk(end-first)
	}
	return nil
}

func (s *inspection) note(p layout.Pblk, n uint64) {
	n = min(n, s.m.g.Blocks-uint64(p))
	if last := len(s.runs) - 1; last >= 0 && s.runs[last].Start+layout.Pblk(s.runs[last].Len) == p {
		s.runs[last].Len += n
		return
	}
	s.runs = append(s.runs, group.Run{Start: p, Len: n})
}

// judge checks everything that was recorded.
func (s *inspection) judge() error {
	slices.SortFunc(s.runs, func(a, b group.Run) int { return cmp.Compare(a.Start, b.Start) })
	total := s.beside
	for i, r := range s.runs {
		if i > 0 && r.Start < s.runs[i-1].Start+layout.Pblk(s.runs[i-1].Len) {
			return layout.Corruptf("block %d is mapped twice", r.Start)
		}
		if err := s.m.space.InUse(s.r, r.Start, r.Len); err != nil {
			return err
		}
		total += r.Len
	}
	need := total * uint64(s.m.g.BlockSize/512)
	if have := s.m.inodes.Blocks(s.raw); need > have {
		return layout.Corruptf("i_blocks: %d sectors, want at least %d", have, need)
	}
	return nil
}
