package mkfs

import "ext4img/ext4/layout"

// makeResize makes inode 7, which owns the blocks reserved for more descriptors. Its double indirect block lists
// those of group 0, each at the index that is its number modulo the entries of a block. Each of these blocks lists
// its own copies in other groups.
func (b *builder) makeResize() error {
	if !b.g.ResizeInode {
		return nil
	}
	f := b.newFile(layout.ResizeIno, layout.ModeRegular|0o600, 1)
	runs, err := b.space.data(b.tablesEnd(), 1)
	if err != nil {
		return err
	}
	perBlock := b.g.BlockSize / 4
	double := layout.BlockList(make([]byte, b.g.BlockSize))
	primary := uint64(b.g.FirstDataBlock) + 1
	if b.g.BlockSize == layout.MinBlockSize && b.g.FirstDataBlock == 0 {
		// In group 0 the boot block precedes the superblock. In other groups nothing does, but kernel and e2fsck
		// still expect the copies at the same distance.
		primary++
	}
	reserved := make([]byte, int(b.g.ReservedGDT)*b.g.BlockSize)
	used := uint64(1)
	for i := range int(b.g.ReservedGDT) {
		n := uint64(b.g.DescBlocks) + uint64(i)
		copies := layout.BlockList(reserved[i*b.g.BlockSize:][:b.g.BlockSize])
		count := 0
		for group := layout.Group(1); group < b.g.Groups; group++ {
			if b.g.HasSuper(group) {
				copies.Set(count, layout.Pblk(primary+n+uint64(group)*uint64(b.g.BlocksPerGroup)))
				count++
			}
		}
		double.Set(int(n)%perBlock, layout.Pblk(primary+n))
		used += 1 + uint64(count)
	}
	if len(reserved) > 0 {
		if err := b.write(layout.Pblk(primary+uint64(b.g.DescBlocks)), reserved); err != nil {
			return err
		}
	}
	layout.BlockList(f.rec.Block()).Set(13, layout.Pblk(runs[0].start))
	f.rec.SetSize(uint64(12+perBlock+perBlock*perBlock) * uint64(b.g.BlockSize))
	f.rec.SetRawBlocks(used * b.space.ratio() * uint64(b.g.BlockSize/512)) // each block counts as a cluster
	return b.write(layout.Pblk(runs[0].start), double)
}
