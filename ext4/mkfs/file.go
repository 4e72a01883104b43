package mkfs

import (
	"fmt"

	"ext4img/ext4/layout"
)

// A file is an inode that is being made.
type file struct {
	ino  layout.Ino
	rec  layout.Inode
	runs []run // its blocks, without holes
	tree uint64
}

// newFile makes the record of an inode, without blocks.
func (b *builder) newFile(ino layout.Ino, mode uint16, links uint16) *file {
	rec := layout.Inode(make([]byte, b.g.InodeSize))
	rec.SetMode(mode)
	rec.SetLinks(links)
	rec.SetExtraIsize(b.g.WantExtraIsize)
	rec.SetAtime(b.o.Time)
	rec.SetCtime(b.o.Time)
	rec.SetMtime(b.o.Time)
	rec.SetCrtime(b.o.Time)
	b.records[ino] = rec
	return &file{ino: ino, rec: rec}
}

// allocate allocates n blocks for the file, from goal on, maps them from logical block 0, and sets size and i_blocks.
func (b *builder) allocate(f *file, goal, n uint64) error {
	runs, err := b.space.data(goal, n)
	if err != nil {
		return fmt.Errorf("inode %d: %d blocks: %w", f.ino, n, err)
	}
	f.runs = runs
	f.rec.SetSize(n * uint64(b.g.BlockSize))
	if b.g.Incompat&layout.IncompatExtents != 0 {
		err = b.mapExtents(f)
	} else {
		err = b.mapIndirect(f)
	}
	if err != nil {
		return fmt.Errorf("inode %d: %w", f.ino, err)
	}
	b.setBlocks(f, n+f.tree)
	return nil
}

// setBlocks sets i_blocks, in sectors. Every cluster counts as a whole.
func (b *builder) setBlocks(f *file, n uint64) {
	if b.g.Bigalloc() {
		n = f.tree * b.space.ratio()
		for _, r := range f.runs {
			n += b.space.roundUp(r.len())
		}
	}
	f.rec.SetRawBlocks(n * uint64(b.g.BlockSize/512))
}

// block is the physical block of a logical one.
func (f *file) block(l uint64) layout.Pblk {
	for _, r := range f.runs {
		if l < r.len() {
			return layout.Pblk(r.start + l)
		}
		l -= r.len()
	}
	return 0
}

// treeBlock allocates a block for a node of the file's map, near its data.
func (b *builder) treeBlock(f *file) (layout.Pblk, error) {
	runs, err := b.space.data(f.runs[0].start, 1)
	if err != nil {
		return 0, err
	}
	f.tree++
	return layout.Pblk(runs[0].start), nil
}

// mapExtents builds the extent tree from its leaves upwards.
func (b *builder) mapExtents(f *file) error {
	f.rec.SetFlags(f.rec.Flags() | layout.FlagExtents)
	var extents []layout.Extent
	var at uint64
	for _, r := range f.runs {
		for r.start < r.end {
			n := min(r.len(), uint64(layout.MaxWrittenLen)&^(b.space.ratio()-1))
			extents = append(extents, layout.Extent{Lblk: layout.Lblk(at), Pblk: layout.Pblk(r.start), Len: uint32(n)})
			at += n
			r.start += n
		}
	}
	put := func(n layout.ExtentNode, i, from int) { n.PutExtent(i, extents[from]) }
	count, depth := len(extents), 0
	for count > layout.ExtentNodeCapacity(layout.InodeBlockSize) {
		index, err := b.extentLevel(f, depth, count, put)
		if err != nil {
			return err
		}
		put = func(n layout.ExtentNode, i, from int) { n.PutIndex(i, index[from]) }
		count, depth = len(index), depth+1
	}
	fillNode(layout.InitExtentNode(f.rec.Block(), depth), 0, count, put)
	return nil
}

// extentLevel writes count entries to as many nodes as needed, and returns the index entries for those nodes.
func (b *builder) extentLevel(f *file, depth, count int, put func(n layout.ExtentNode, i, from int)) ([]layout.ExtentIndex, error) {
	var index []layout.ExtentIndex
	room := layout.ExtentNodeCapacity(b.g.BlockSize)
	for from := 0; from < count; from += room {
		p, err := b.treeBlock(f)
		if err != nil {
			return nil, err
		}
		node := layout.InitExtentNode(make([]byte, b.g.BlockSize), depth)
		fillNode(node, from, min(room, count-from), put)
		layout.ExtentNodeType{G: b.g, Ino: f.ino}.Seal(node)
		if err := b.write(p, node); err != nil {
			return nil, err
		}
		index = append(index, layout.ExtentIndex{Lblk: node.Key(0), Child: p})
	}
	return index, nil
}

func fillNode(n layout.ExtentNode, from, count int, put func(n layout.ExtentNode, i, from int)) {
	n.Resize(0, 0, count)
	for i := range count {
		put(n, i, from+i)
	}
}

// mapIndirect maps the blocks as ext2 and ext3 do.
func (b *builder) mapIndirect(f *file) error {
	var all []uint32
	for _, r := range f.runs {
		for p := r.start; p < r.end; p++ {
			all = append(all, uint32(p))
		}
	}
	const direct = 12
	root := layout.BlockList(f.rec.Block())
	for i := 0; i < direct && len(all) > 0; i++ {
		root.Set(i, layout.Pblk(all[0]))
		all = all[1:]
	}
	for level := 1; len(all) > 0; level++ {
		if level > 3 {
			return layout.Unsupportedf("%d blocks too many for an indirect map", len(all))
		}
		p, rest, err := b.indirect(f, level, all)
		if err != nil {
			return err
		}
		root.Set(direct+level-1, p)
		all = rest
	}
	return nil
}

// indirect writes an indirect block of a level and all blocks below it, for as many data blocks as it can map.
func (b *builder) indirect(f *file, level int, all []uint32) (layout.Pblk, []uint32, error) {
	p, err := b.treeBlock(f)
	if err != nil {
		return 0, nil, err
	}
	list := layout.BlockList(make([]byte, b.g.BlockSize))
	for i := 0; i < list.Len() && len(all) > 0; i++ {
		child := layout.Pblk(all[0])
		if level == 1 {
			all = all[1:]
		} else if child, all, err = b.indirect(f, level-1, all); err != nil {
			return 0, nil, err
		}
		list.Set(i, child)
	}
	return p, all, b.write(p, list)
}
