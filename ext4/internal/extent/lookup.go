package extent

import (
	"fmt"
	"math"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Lookup returns what is at a logical block, from that block on: the rest of its extent, or a hole (Pblk 0) up to the
// next extent or to the largest block of a file. In a file mapped by block numbers, contiguous blocks form an extent;
// Lookup finds as much of it as one indirect block holds.
func (m *Mapper) Lookup(r journal.Reader, ino layout.Ino, lblk layout.Lblk) (layout.Extent, error) {
	f, err := m.Open(r, ino)
	if err != nil {
		return layout.Extent{}, err
	}
	return f.Lookup(lblk)
}

// A Map is one inode as Open or Edit read it, for several look-ups or conversions. It is valid until the inode
// changes in another way: under a view until the view is closed, in a handle until another method of Mapper changes
// the inode. It belongs to one goroutine.
type Map struct{ f *file }

// Open reads an inode for look-ups.
func (m *Mapper) Open(r journal.Reader, ino layout.Ino) (Map, error) {
	f, err := m.open(r, ino)
	return Map{f}, err
}

// Edit reads an inode for conversions in a handle.
func (m *Mapper) Edit(h *journal.Handle, ino layout.Ino) (Map, error) {
	f, err := m.change(h, ino)
	return Map{f}, err
}

// Inode is the inode's record. It must not be changed.
func (m Map) Inode() layout.Inode { return m.f.raw }

// Lookup is Mapper.Lookup. If blocks are metadata of the file system, as far as its Space knows, the error is
// layout.ErrCorrupt.
func (m Map) Lookup(lblk layout.Lblk) (layout.Extent, error) {
	e, err := m.f.lookup(lblk)
	if err == nil && e.Mapped() {
		if err = m.f.m.space.InMetadata(e.Pblk, uint64(e.Len)); err != nil {
			err = fmt.Errorf("inode %d: logical block %d: %w", m.f.ino, lblk, err)
		}
	}
	return e, err
}

func (f *file) lookup(lblk layout.Lblk) (layout.Extent, error) {
	if lblk > layout.MaxLblk {
		return layout.Extent{}, fmt.Errorf("inode %d: logical block %d: %w", f.ino, lblk, syscall.EFBIG)
	}
	switch f.kind {
	case mappedByExtents:
		p, err := f.findIn(f.way[:0], lblk)
		if err != nil {
			return layout.Extent{}, err
		}
		if e, ok := p.extentAt(); ok && e.End() > uint64(lblk) {
			return e.Cut(uint64(lblk), e.End()), nil
		}
		_, here, _, err := f.around(p, lblk)
		return here, err
	case mappedByBlocks:
		return f.lookupBlocks(lblk)
	}
	return hole(lblk, math.MaxUint32), nil
}

func hole(from layout.Lblk, end uint64) layout.Extent {
	return layout.Extent{Lblk: from, Len: uint32(end - uint64(from))}
}

// Walk calls fn for every extent from a logical block on, in order. An extent that covers that block is cut to begin
// there. Walk ends when fn returns false. fn must not change the file.
func (m *Mapper) Walk(r journal.Reader, ino layout.Ino, from layout.Lblk, fn func(layout.Extent) (more bool, err error)) error {
	f, err := m.open(r, ino)
	if err != nil {
		return err
	}
	switch f.kind {
	case mappedByExtents:
		return f.walkExtents(from, fn)
	case mappedByBlocks:
		return f.walkBlocks(from, fn)
	}
	return nil
}

func (f *file) walkExtents(from layout.Lblk, fn func(layout.Extent) (bool, error)) error {
	p, err := f.find(from)
	if err != nil {
		return err
	}
	if e, ok := p.extentAt(); !ok || e.End() <= uint64(from) {
		p.leaf().at++
	}
	for ok := true; ok; {
		for leaf := p.leaf(); leaf.at < leaf.node.Entries(); leaf.at++ {
			e := leaf.node.Extent(leaf.at)
			if more, err := fn(e.Cut(max(uint64(from), uint64(e.Lblk)), e.End())); err != nil || !more {
				return err
			}
		}
		if p, ok, err = f.toward(p, 1); err != nil {
			return err
		}
	}
	return nil
}

// Node describes one node of a map, for callers that show it.
type Node struct {
	Level   int         // 0 is the root
	Depth   int         // levels below it
	Block   layout.Pblk // 0 for the root, which is in the inode
	First   layout.Lblk // the first logical block of its range: its key in the node above
	Entries int
	Max     int
	Extents []layout.Extent      // the extents of a leaf
	Indexes []layout.ExtentIndex // the entries of any other node; in a file mapped by block numbers, the indirect blocks below
}

// Nodes calls fn for every node of the map, from left to right, each before the nodes below it.
func (m *Mapper) Nodes(r journal.Reader, ino layout.Ino, fn func(Node) error) error {
	f, err := m.open(r, ino)
	if err != nil {
		return err
	}
	switch f.kind {
	case mappedByExtents:
		root, err := f.root()
		if err != nil {
			return err
		}
		return f.nodesBelow(step{node: root, end: math.MaxUint32}, 0, 0, fn)
	case mappedByBlocks:
		return f.nodesOfBlocks(fn)
	}
	return nil
}

func (f *file) nodesBelow(s step, level int, first layout.Lblk, fn func(Node) error) error {
	n := Node{Level: level, Depth: s.node.Depth(), Block: s.block, First: first, Entries: s.node.Entries(), Max: s.node.Max()}
	for i := range n.Entries {
		if s.node.Leaf() {
			n.Extents = append(n.Extents, s.node.Extent(i))
		} else {
			n.Indexes = append(n.Indexes, s.node.Index(i))
		}
	}
	if err := fn(n); err != nil {
		return err
	}
	for i, x := range n.Indexes {
		s.at = i
		below, err := f.child(&s)
		if err != nil {
			return err
		}
		if err := f.nodesBelow(below, level+1, x.Lblk, fn); err != nil {
			return err
		}
	}
	return nil
}
