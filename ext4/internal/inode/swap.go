package inode

import (
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// SwapMaps exchanges the content of two regular files: what i_block maps, its size, and the blocks that it counts. All
// else stays with each. own is how many file system blocks of each i_blocks are not mapped: those of attributes.
//
// The nodes of an extent tree carry checksums of their inode, which this leaves as they are: the inodes must have the
// same seed (layout.Geometry.TwinGeneration). Neither may have its data inline.
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
