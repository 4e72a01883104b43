package inode

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// SwapMaps exchanges the content of two regular files: their maps in i_block, their sizes, and the blocks that they
// count. Everything else stays. own is the number of file system blocks in each i_blocks that are not mapped: those
// of attributes.
//
// The nodes of an extent tree carry checksums that depend on their inode, and SwapMaps leaves the nodes as they are.
// So the inodes must have the same seed (layout.Geometry.TwinGeneration). Neither may have inline data.
func (t *Table) SwapMaps(h *journal.Handle, a, b layout.Ino, own [2]int64) error {
	x, err := t.Edit(h, a)
	if err != nil {
		return err
	}
	y, err := t.Edit(h, b)
	if err != nil {
		return err
	}
	if !x.IsRegular() || !y.IsRegular() || (x.Flags()|y.Flags())&layout.FlagInlineData != 0 {
		return layout.Corruptf("inodes %d and %d: maps that cannot be exchanged", a, b)
	}
	mapped := [2]uint64{t.Blocks(x), t.Blocks(y)}
	for i, n := range own {
		if t.sectors(uint64(n)) > mapped[i] {
			return layout.Corruptf("inode %d: i_blocks: %d sectors, %d blocks of attributes", []layout.Ino{a, b}[i], mapped[i], n)
		}
		mapped[i] -= t.sectors(uint64(n))
	}
	old := append([]byte(nil), x.Block()...)
	copy(x.Block(), y.Block())
	copy(y.Block(), old)
	flags := (x.Flags() ^ y.Flags()) & layout.FlagExtents
	x.SetFlags(x.Flags() ^ flags)
	y.SetFlags(y.Flags() ^ flags)
	size := x.Size()
	x.SetSize(y.Size())
	y.SetSize(size)
	if err := t.setBlocks(x, a, mapped[1]+t.sectors(uint64(own[0]))); err != nil {
		return err
	}
	return t.setBlocks(y, b, mapped[0]+t.sectors(uint64(own[1])))
}
