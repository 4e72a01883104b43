package inode

import (
	"fmt"

	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
)

// mapBlocks finds the first n blocks of a file that belongs to the file system itself; 0 is a hole. Package extent,
// which maps files, is above this one. Hence this small walk for the orphan file.
func (t *Table) mapBlocks(r journal.Reader, ino layout.Ino, in layout.Inode, n int) ([]layout.Pblk, error) {
	out := make([]layout.Pblk, n)
	if !in.HasFlag(layout.FlagExtents) {
		return out, t.mapIndirect(r, ino, in, out)
	}
	root, err := layout.ParseExtentNode(in.Block())
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", ino, err)
	}
	if err := t.g.CheckExtentRoot(ino, in.Block()); err != nil {
		return nil, err
	}
	budget := n + layout.MaxExtentDepth // nodes: each leads to at least one block of the file
	return out, t.mapNode(r, layout.ExtentNodeType{G: t.g, Ino: ino, Gen: in.Generation()}, root, out, &budget)
}

func (t *Table) mapNode(r journal.Reader, typ layout.ExtentNodeType, n layout.ExtentNode, out []layout.Pblk, budget *int) error {
	for i := range n.Entries() {
		if uint64(n.Key(i)) >= uint64(len(out)) {
			break
		}
		if n.Leaf() {
			e := n.Extent(i)
			for b := uint32(0); b < e.Len && int64(e.Lblk)+int64(b) < int64(len(out)); b++ {
				out[int(e.Lblk)+int(b)] = e.Pblk + layout.Pblk(b)
			}
			continue
		}
		if *budget--; *budget < 0 {
			return layout.Corruptf("inode %d: more extent nodes than blocks", typ.Ino)
		}
		child := n.Index(i).Child
		p, err := r.Read(buf.Ref{Block: uint64(child), Len: t.g.BlockSize, Type: typ})
		if err != nil {
			return fmt.Errorf("inode %d: %w", typ.Ino, err)
		}
		node, err := layout.ParseExtentNode(p)
		if err != nil {
			return fmt.Errorf("inode %d: extent node: block %d: %w", typ.Ino, child, err)
		}
		if node.Depth() != n.Depth()-1 {
			return layout.Corruptf("inode %d: extent node: block %d: depth %d below depth %d", typ.Ino, child, node.Depth(), n.Depth())
		}
		if err := t.mapNode(r, typ, node, out, budget); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) mapIndirect(r journal.Reader, ino layout.Ino, in layout.Inode, out []layout.Pblk) error {
	for l := range out {
		path, ok := t.g.IndirectPath(layout.Lblk(l))
		if !ok {
			return layout.Corruptf("inode %d: block %d: beyond an indirect map", ino, l)
		}
		p := layout.BlockList(in.Block()).Get(path[0])
		for _, i := range path[1:] {
			if p == 0 || !t.g.ContainsBlocks(p, 1) {
				break
			}
			list, err := r.Read(buf.Ref{Block: uint64(p), Len: t.g.BlockSize, Type: layout.IndirectType{G: t.g, Ino: ino}})
			if err != nil {
				return fmt.Errorf("inode %d: %w", ino, err)
			}
			p = layout.BlockList(list).Get(i)
		}
		if p != 0 && !t.g.ContainsBlocks(p, 1) {
			return layout.Corruptf("inode %d: block %d at %d of %d", ino, l, p, t.g.Blocks)
		}
		out[l] = p
	}
	return nil
}
