package extent

import (
	"fmt"
	"math"

	"ext4img/ext4/layout"
	"ext4img/journal/buf"
)

// A file of ext2 or ext3 is mapped by block numbers: 12 of them in i_block, the rest over one, two and three levels
// of indirect blocks. This file reads them as extents.

// list is a list of block numbers on the way to the data: i_block or an indirect block.
type list struct {
	layout.BlockList
	block layout.Pblk // 0 for i_block
	level int         // 0 holds the numbers of data blocks; -1 is i_block, whose entries have different levels
	first uint64      // the logical block of its first entry
}

// dataEnd is the index after the last entry for a data block.
func (l list) dataEnd() int {
	if l.level < 0 {
		return layout.DirectBlocks
	}
	return l.Len()
}

func (f *file) listRef(block layout.Pblk) buf.Ref {
	return buf.Ref{Block: uint64(block), Len: f.m.g.BlockSize, Type: layout.IndirectType{G: f.m.g, Ino: f.ino}}
}

// top is i_block as a list.
func (f *file) top() (list, error) {
	b, err := f.iblock()
	if err != nil {
		return list{}, err
	}
	if err := f.m.g.CheckBlockList(b); err != nil {
		return list{}, layout.Corruptf("i_block of inode %d: %v", f.ino, err)
	}
	return list{BlockList: b, level: -1}, nil
}

// entry returns what entry i of a list covers: the level of the list below (-1 for a data block), the first logical
// block, and the number of logical blocks.
func (f *file) entry(l list, i int) (level int, first, span uint64) {
	if l.level >= 0 {
		span = f.m.g.IndirectSpan(l.level)
		return l.level - 1, l.first + uint64(i)*span, span
	}
	first = uint64(min(i, layout.DirectBlocks))
	for level = -1; level < i-layout.DirectBlocks; level++ {
		if level >= 0 {
			first += f.m.g.IndirectSpan(level + 1)
		}
	}
	return level, first, f.m.g.IndirectSpan(level + 1)
}

// below reads the list that entry i of a list leads to.
func (f *file) below(l list, i int) (list, error) {
	block := l.Get(i)
	if err := f.m.space.InMetadata(block, 1); err != nil {
		return list{}, fmt.Errorf("indirect block of inode %d: %w", f.ino, err)
	}
	b, err := f.r.Read(f.listRef(block))
	if err != nil {
		return list{}, err
	}
	level, first, _ := f.entry(l, i)
	return list{BlockList: b, block: block, level: level, first: first}, nil
}

// walkBlocks calls fn for the runs of blocks from a logical block on. No run is longer than an extent may be.
func (f *file) walkBlocks(from layout.Lblk, fn func(layout.Extent) (bool, error)) error {
	top, err := f.top()
	if err != nil {
		return err
	}
	w := blockWalk{file: f, from: uint64(from), fn: fn, left: f.m.g.Blocks, more: true}
	if err := w.walk(top); err != nil || !w.more || w.run.Len == 0 {
		return err
	}
	_, err = fn(w.run)
	return err
}

type blockWalk struct {
	*file
	from uint64
	fn   func(layout.Extent) (bool, error)
	run  layout.Extent // found and not yet reported
	left uint64        // bound for the indirect blocks still to come: a file cannot have more than the file system has blocks
	more bool
}

func (w *blockWalk) walk(l list) error {
	for i := 0; i < l.Len() && w.more; i++ {
		level, first, span := w.entry(l, i)
		if first+span <= w.from || l.Get(i) == 0 {
			continue
		}
		if first >= math.MaxUint32 {
			return nil
		}
		if level < 0 {
			if err := w.add(layout.Extent{Lblk: layout.Lblk(first), Pblk: l.Get(i), Len: 1}); err != nil {
				return err
			}
			continue
		}
		if w.left == 0 {
			return layout.Corruptf("inode %d: more indirect blocks than the file system has blocks", w.ino)
		}
		w.left--
		below, err := w.below(l, i)
		if err != nil {
			return err
		}
		if err := w.walk(below); err != nil {
			return err
		}
	}
	return nil
}

// add adds one more block to the run. If the block does not continue the run, add reports the run and begins another.
func (w *blockWalk) add(e layout.Extent) (err error) {
	if w.run.Len > 0 && w.run.Joins(e) {
		w.run.Len++
		return nil
	}
	if w.run.Len > 0 {
		w.more, err = w.fn(w.run)
	}
	w.run = e
	return err
}

// lookupBlocks is Lookup for a file mapped by block numbers. It looks for the end of a run in one list only.
func (f *file) lookupBlocks(l layout.Lblk) (layout.Extent, error) {
	if uint64(l) < f.m.g.IndirectEnd() {
		steps, err := f.listsTo(uint64(l), false)
		if err != nil {
			return layout.Extent{}, err
		}
		s := steps[len(steps)-1]
		if level, _, _ := f.entry(s.list, s.at); level < 0 && s.Get(s.at) != 0 {
			e := layout.Extent{Lblk: l, Pblk: s.Get(s.at), Len: 1}
			for i := s.at + 1; i < s.dataEnd() && s.Get(i) == s.Get(i-1)+1; i++ {
				e.Len++
			}
			return e, nil
		}
	}
	here := hole(l, math.MaxUint32)
	err := f.walkBlocks(l, func(e layout.Extent) (bool, error) {
		here = hole(l, uint64(e.Lblk))
		return false, nil
	})
	return here, err
}

// nodesOfBlocks is Nodes for a file mapped by block numbers. It gives an index for each indirect block, and extents
// for the blocks in a list of data blocks.
func (f *file) nodesOfBlocks(fn func(Node) error) error {
	top, err := f.top()
	if err != nil {
		return err
	}
	left := f.m.g.Blocks
	return f.nodesBelowList(top, 0, &left, fn)
}

func (f *file) nodesBelowList(l list, depth int, left *uint64, fn func(Node) error) error {
	n := Node{Level: depth, Depth: l.level, Block: l.block, First: layout.Lblk(l.first), Max: l.Len()}
	if depth == 0 {
		n.Depth = layout.IndirectLevels
	}
	var lists []int
	for i := range l.Len() {
		level, first, _ := f.entry(l, i)
		if l.Get(i) == 0 || first >= math.MaxUint32 {
			continue
		}
		n.Entries++
		e := layout.Extent{Lblk: layout.Lblk(first), Pblk: l.Get(i), Len: 1}
		switch last := len(n.Extents) - 1; {
		case level >= 0:
			lists = append(lists, i)
			n.Indexes = append(n.Indexes, layout.ExtentIndex{Lblk: e.Lblk, Child: e.Pblk})
		case last >= 0 && n.Extents[last].Joins(e):
			n.Extents[last].Len++
		default:
			n.Extents = append(n.Extents, e)
		}
	}
	if err := fn(n); err != nil {
		return err
	}
	for _, i := range lists {
		if *left == 0 {
			return layout.Corruptf("inode %d: more indirect blocks than the file system has blocks", f.ino)
		}
		*left--
		below, err := f.below(l, i)
		if err != nil {
			return err
		}
		if err := f.nodesBelowList(below, depth+1, left, fn); err != nil {
			return err
		}
	}
	return nil
}
