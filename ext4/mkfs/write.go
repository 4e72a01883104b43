package mkfs

import (
	"bytes"

	"ext4img/ext4/layout"
)

const (
	clearChunk  = 1 << 20  // bytes read at a time to find those that are not zero
	foreignHead = 68 << 10 // other file systems keep superblocks before this offset, and in the last foreignTail bytes
	foreignTail = 64 << 10
)

// write writes whole blocks, unless this only checks.
func (b *builder) write(p layout.Pblk, data []byte) error {
	if b.dev == nil {
		return nil
	}
	_, err := b.dev.WriteAt(data, int64(p)*int64(b.g.BlockSize))
	return err
}

// clear makes the blocks of r zero. It writes only blocks that are not zero.
func (b *builder) clear(r run) error {
	bs := int64(b.g.BlockSize)
	buf, zero := make([]byte, clearChunk), make([]byte, clearChunk)
	for off, end := int64(r.start)*bs, int64(r.end)*bs; off < end; {
		part := buf[:min(clearChunk, end-off)]
		if _, err := b.dev.ReadAt(part, off); err != nil {
			return err
		}
		if !bytes.Equal(part, zero[:len(part)]) {
			if _, err := b.dev.WriteAt(zero[:len(part)], off); err != nil {
				return err
			}
		}
		off += int64(len(part))
	}
	return nil
}

// wipe removes the old content: first the superblock, so that a crash leaves no mixture, then the places where other
// file systems and RAIDs have their superblocks, so that the device is not taken for one of them.
func (b *builder) wipe() error {
	if b.o.Zeroed {
		return nil
	}
	blocks := func(bytes int) uint64 { return min(uint64(bytes+b.g.BlockSize-1)/uint64(b.g.BlockSize), b.g.Blocks) }
	if err := b.clear(run{0, blocks(foreignHead)}); err != nil {
		return err
	}
	if err := b.clear(run{b.g.Blocks - blocks(foreignTail), b.g.Blocks}); err != nil {
		return err
	}
	return b.dev.Flush()
}

// writeInodes writes the blocks of inode tables that hold inodes in use. It clears the rest of a table unless the
// descriptor says that it is unused.
func (b *builder) writeInodes() error {
	if !b.o.Zeroed && !b.g.GdtCsum() {
		for group := range b.g.Groups {
			first := uint64(b.desc(group).InodeTable())
			if err := b.clear(run{first, first + uint64(b.g.InodeTableBlocks())}); err != nil {
				return err
			}
		}
	}
	per := layout.Ino(b.g.InodesPerBlock())
	for ino := layout.Ino(1); ino < b.next; ino += per {
		group, index := b.g.InodeGroup(ino)
		block := make([]byte, b.g.BlockSize)
		for i := range min(per, b.next-ino) {
			b.putRecord(block[int(i)*b.g.InodeSize:][:b.g.InodeSize], ino+i)
		}
		if err := b.write(b.desc(group).InodeTable()+layout.Pblk(index/uint32(per)), block); err != nil {
			return err
		}
	}
	return nil
}

// putRecord writes the sealed record of an inode to p. A reserved inode without a record stays empty.
func (b *builder) putRecord(p []byte, ino layout.Ino) {
	if rec := b.records[ino]; rec != nil {
		copy(p, rec)
		layout.InodeType{G: b.g, Ino: ino}.Seal(p)
	}
}

// writeGroups writes the bitmaps and completes the descriptors and the superblock's totals. If descriptors have a
// checksum, it does not write a bitmap that follows from the geometry alone; the descriptor then says so.
func (b *builder) writeGroups() error {
	blocks, inodes := make([]byte, b.g.BlockSize), make([]byte, b.g.BlockSize)
	var freeBlocks uint64
	freeInodes := b.g.Inodes - uint32(b.next-1)
	for group := range b.g.Groups {
		d := b.desc(group)
		used := b.space.bitmap(group, blocks)
		d.SetFreeClusters(b.g.GroupClusters(group) - used)
		freeBlocks += uint64(b.g.GroupClusters(group)-used) * uint64(b.g.ClusterRatio)
		b.countInodes(group, inodes)
		if b.implied(group) {
			d.SetFlags(d.Flags() | layout.DescBlockUninit)
		} else if err := b.bitmap(d.BlockBitmap(), blocks, false, d.SetBlockBitmapCsum); err != nil {
			return err
		}
		if d.Flags()&layout.DescInodeUninit == 0 {
			if err := b.bitmap(d.InodeBitmap(), inodes, true, d.SetInodeBitmapCsum); err != nil {
				return err
			}
		}
		layout.DescType{G: b.g, Group: group}.Seal(d)
	}
	b.super.SetFreeBlocksCount(freeBlocks)
	b.super.SetFreeInodesCount(freeInodes)
	return nil
}

// bitmap writes a bitmap and stores its checksum.
func (b *builder) bitmap(p layout.Pblk, bits []byte, inodes bool, sum func(uint32)) error {
	if b.g.MetadataCsum() {
		sum(b.g.BitmapChecksum(bits, inodes))
	}
	return b.write(p, bits)
}

// countInodes sets a group's counts of inodes and its flags, and fills in its inode bitmap.
func (b *builder) countInodes(group layout.Group, bits []byte) {
	d := b.desc(group)
	first := uint64(group) * uint64(b.g.InodesPerGroup) // number of inodes before this group
	used := uint32(0)
	if last := uint64(b.next - 1); last > first {
		used = uint32(min(last-first, uint64(b.g.InodesPerGroup)))
	}
	clear(bits)
	setBits(bits, 0, used)
	setBits(bits, b.g.InodesPerGroup, uint32(8*len(bits)))
	d.SetFreeInodes(b.g.InodesPerGroup - used)
	var dirs uint32
	for ino := range b.dirs {
		if in, _ := b.g.InodeGroup(ino); in == group {
			dirs++
		}
	}
	d.SetUsedDirs(dirs)
	if !b.g.GdtCsum() {
		return
	}
	d.SetItableUnused(b.g.InodesPerGroup - used)
	var flags uint16
	if used == 0 {
		flags |= layout.DescInodeUninit
	}
	if b.o.Zeroed {
		flags |= layout.DescInodeZeroed
	}
	d.SetFlags(flags)
}

// implied reports whether a group's block bitmap follows from the geometry: only superblock, descriptors and the
// group's own tables are in use. The bitmap of the last group is always written.
func (b *builder) implied(group layout.Group) bool {
	if !b.g.GdtCsum() || group == b.g.Groups-1 {
		return false
	}
	var own, used uint64
	for _, r := range b.ownTables(group) {
		own += r.len()
	}
	for _, r := range b.space.used[group] {
		used += r.len()
	}
	return own == used
}

// writeDescs writes the descriptors: all of them after each superblock or, with meta_bg, one block of them in the
// first, second and last group that it describes.
func (b *builder) writeDescs() error {
	bs := b.g.BlockSize
	padded := make([]byte, int(b.g.DescBlocks)*bs)
	copy(padded, b.descs)
	if b.g.MetaBG() {
		return b.writeMetaDescs(padded)
	}
	for group := range b.g.Groups {
		if !b.g.HasSuper(group) {
			continue
		}
		p := b.g.GroupFirst(group) + 1
		if group == 0 {
			p, _ = b.g.DescLoc(0)
		}
		if err := b.write(p, padded); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) writeMetaDescs(padded []byte) error {
	per := layout.Group(b.g.DescsPerBlock())
	for first := layout.Group(0); first < b.g.Groups; first += per {
		n := int(first / per)
		block := padded[n*b.g.BlockSize:][:b.g.BlockSize]
		for _, group := range []layout.Group{first, first + 1, first + per - 1} {
			if group >= b.g.Groups {
				continue
			}
			// The descriptors are the last blocks of the overhead of such a group.
			if err := b.write(layout.Pblk(b.space.overhead(group).end-1), block); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSupers writes the copies of the superblock, then flushes, then writes the primary one.
func (b *builder) writeSupers() error {
	for group := b.g.Groups - 1; group > 0; group-- {
		if !b.g.HasSuper(group) {
			continue
		}
		block := make([]byte, b.g.BlockSize)
		copy(block, b.super)
		s := layout.Superblock(block[:layout.SuperSize])
		s.SetBlockGroupNr(uint16(group))
		s.Seal()
		if err := b.write(b.g.GroupFirst(group), block); err != nil {
			return err
		}
	}
	if err := b.dev.Flush(); err != nil {
		return err
	}
	p, off := b.g.SuperLoc()
	block := make([]byte, b.g.BlockSize)
	b.super.Seal()
	copy(block[off:], b.super)
	return b.write(p, block)
}
