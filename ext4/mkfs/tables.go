package mkfs

import (
	"fmt"

	"ext4img/ext4/layout"
)

// placeTables gives every group its bitmaps and its inode table. Those of a flex group are together, after the
// descriptors of its first group. As mke2fs does, it leaves room there for the groups that are added when the file
// system grows.
func (b *builder) placeTables() error {
	flex := layout.Group(b.g.FlexSize)
	for first := layout.Group(0); first < b.g.Groups; first += flex {
		if err := b.placeFlex(first, min(first+flex, b.g.Groups)); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) placeFlex(first, end layout.Group) error {
	base := b.space.overhead(first).end
	limit := uint64(b.g.GroupFirst(end-1)) + uint64(b.g.GroupBlocks(end-1))
	flex, table := uint64(b.g.FlexSize), uint64(b.g.InodeTableBlocks())
	kinds := []struct {
		goal, n uint64
		set     func(layout.Desc, layout.Pblk)
	}{
		{base, 1, layout.Desc.SetBlockBitmap},
		{base + flex, 1, layout.Desc.SetInodeBitmap},
		{base + 2*flex, table, layout.Desc.SetInodeTable},
	}
	for _, k := range kinds {
		goal := k.goal
		for group := first; group < end; group++ {
			p, ok := b.space.contiguous(goal, limit, k.n)
			if !ok {
				p, ok = b.space.contiguous(base, limit, k.n)
			}
			if !ok {
				return fmt.Errorf("group %d: no room for an inode table of %d blocks: fewer inodes or larger groups", group, table)
			}
			k.set(b.desc(group), layout.Pblk(p))
			goal = p + k.n
		}
	}
	return nil
}

// ownTables lists the runs of a group's bitmaps and inode table that lie in the group itself.
func (b *builder) ownTables(group layout.Group) []run {
	d := b.desc(group)
	var own []run
	for _, r := range []run{
		{uint64(d.BlockBitmap()), uint64(d.BlockBitmap()) + 1},
		{uint64(d.InodeBitmap()), uint64(d.InodeBitmap()) + 1},
		{uint64(d.InodeTable()), uint64(d.InodeTable()) + uint64(b.g.InodeTableBlocks())},
	} {
		if in, _ := b.g.GroupOf(layout.Pblk(r.start)); in == group {
			own = append(own, r)
		}
	}
	return own
}
