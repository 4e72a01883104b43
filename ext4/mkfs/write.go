package mkfs

import (
	"bytes"

	"ext4img/ext4/layout"
)

const (
	clearChunk  = 1 << 20  // how much is read at once to find what is not zero
	foreignHead = 68 << 10 // up to here, and from foreignTail before the end, others keep their superblocks
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

// clear makes the blocks of r zero, writing only where they are not.
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

// wipe takes away what is there: the superblock first, so that nobody sees a mixture, and where other file systems and RAIDs
// have theirs, so that nobody takes the device for one of those.
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

// writeInodes writes the blocks of the inode tables that hold inodes in use, and clears the tables where their being
// unused is not on record.
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

// putRecord puts the sealed record of an inode to p. A reserved inode without one stays empty.
func (b *builder) putRecord(p []byte, ino layout.Ino) {
	if rec := b.records[ino]; rec != nil {
		copy(p, rec)
		layout.InodeType{G: b.g, Ino: ino}.Seal(p)
	}
}

// writeGroups writes the bitmaps and completes the descriptors and the superblock's totals. Where descriptors have a
// checksum, a bitmap that follows from the geometry alone is not written, and its group says so.
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

// bitmap writes a bitmap and notes its checksum.
func (b *builder) bitmap(p layout.Pblk, bits []byte, inodes bool, sum func(uint32)) error {
	if b.g.MetadataCsum() {
		sum(b.g.BitmapChecksum(bits, inodes))
	}
	return b.write(p, bits)
}

// countInodes sets a group's counts of inodes and flags, and fills in its inode bitmap.
func (b *builder) countInodes(group layout.Group, bits []byte) {
	d := b.desc(group)
	first := uint64(group) * uint64(b.g.InodesPerGroup) // inodes before this group
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

// implied tells whether a group's block bitmap follows from the geometry: nothing is in use there but superblock,
// descriptors and the group's own tables. The last group's is always written.
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

// writeDescs writes the descriptors: all of them behind each superblock, or with meta_bg one block of them in the first,
// second and last group that it describes.
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
			// The descriptors stand at the end of what such a group begins with.
			if err := b.write(layout.Pblk(b.space.overhead(group).end-1), block); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSupers writes the copies of the superblock, and the primary one behind a flush of all else.
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
