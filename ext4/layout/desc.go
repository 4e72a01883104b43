package layout

import (
	"fmt"

	"ext4img/aio/block"
)

// Values of bg_flags.
const (
	DescInodeUninit = 1 // the inode bitmap and table on disk mean nothing
	DescBlockUninit = 2 // the block bitmap on disk means nothing
	DescInodeZeroed = 4 // the inode table is zeroed
)

// Desc is a view on a group descriptor: 32 bytes, or 64 and more with the 64bit feature.
type Desc []byte

// wide tells whether the descriptor has the high halves.
func (d Desc) wide() bool { return len(d) >= MinDescSize64 }

func (d Desc) split16(lo, hi int) uint32 {
	v := uint32(le.Uint16(d[lo:]))
	if d.wide() {
		v |= uint32(le.Uint16(d[hi:])) << 16
	}
	return v
}

func (d Desc) setSplit16(lo, hi int, v uint32) {
	le.PutUint16(d[lo:], uint16(v))
	if d.wide() {
		le.PutUint16(d[hi:], uint16(v>>16))
	}
}

func (d Desc) split32(lo, hi int) Pblk {
	if !d.wide() {
		return Pblk(le.Uint32(d[lo:]))
	}
	return Pblk(lohi(le.Uint32(d[lo:]), le.Uint32(d[hi:])))
}

func (d Desc) setSplit32(lo, hi int, v Pblk) {
	le.PutUint32(d[lo:], uint32(v))
	if d.wide() {
		le.PutUint32(d[hi:], uint32(v>>32))
	}
}

// BlockBitmap is bg_block_bitmap: the block of the block bitmap.
func (d Desc) BlockBitmap() Pblk { return d.split32(0x0, 0x20) }

// SetBlockBitmap sets bg_block_bitmap.
func (d Desc) SetBlockBitmap(p Pblk) { d.setSplit32(0x0, 0x20, p) }

// InodeBitmap is bg_inode_bitmap: the block of the inode bitmap.
func (d Desc) InodeBitmap() Pblk { return d.split32(0x4, 0x24) }

// SetInodeBitmap sets bg_inode_bitmap.
func (d Desc) SetInodeBitmap(p Pblk) { d.setSplit32(0x4, 0x24, p) }

// InodeTable is bg_inode_table: the first block of the inode table.
func (d Desc) InodeTable() Pblk { return d.split32(0x8, 0x28) }

// SetInodeTable sets bg_inode_table.
func (d Desc) SetInodeTable(p Pblk) { d.setSplit32(0x8, 0x28, p) }

// FreeClusters is bg_free_blocks_count: free clusters (blocks without bigalloc).
func (d Desc) FreeClusters() uint32 { return d.split16(0xc, 0x2c) }

// SetFreeClusters sets bg_free_blocks_count.
func (d Desc) SetFreeClusters(v uint32) { d.setSplit16(0xc, 0x2c, v) }

// FreeInodes is bg_free_inodes_count: free inodes.
func (d Desc) FreeInodes() uint32 { return d.split16(0xe, 0x2e) }

// SetFreeInodes sets bg_free_inodes_count.
func (d Desc) SetFreeInodes(v uint32) { d.setSplit16(0xe, 0x2e, v) }

// UsedDirs is bg_used_dirs_count: directories.
func (d Desc) UsedDirs() uint32 { return d.split16(0x10, 0x30) }

// SetUsedDirs sets bg_used_dirs_count.
func (d Desc) SetUsedDirs(v uint32) { d.setSplit16(0x10, 0x30, v) }

// ItableUnused is bg_itable_unused: inodes at the end of the table that were never used.
func (d Desc) ItableUnused() uint32 { return d.split16(0x1c, 0x32) }

// SetItableUnused sets bg_itable_unused.
func (d Desc) SetItableUnused(v uint32) { d.setSplit16(0x1c, 0x32, v) }

// BlockBitmapCsum is bg_block_bitmap_csum: the checksum of the block bitmap, 16 bits of it in a short descriptor.
func (d Desc) BlockBitmapCsum() uint32 { return d.split16(0x18, 0x38) }

// SetBlockBitmapCsum sets bg_block_bitmap_csum.
func (d Desc) SetBlockBitmapCsum(v uint32) { d.setSplit16(0x18, 0x38, v) }

// InodeBitmapCsum is bg_inode_bitmap_csum: the checksum of the inode bitmap, 16 bits of it in a short descriptor.
func (d Desc) InodeBitmapCsum() uint32 { return d.split16(0x1a, 0x3a) }

// SetInodeBitmapCsum sets bg_inode_bitmap_csum.
func (d Desc) SetInodeBitmapCsum(v uint32) { d.setSplit16(0x1a, 0x3a, v) }

// Flags is bg_flags: DescInodeUninit and others.
func (d Desc) Flags() uint16 { return le.Uint16(d[0x12:]) }

// SetFlags sets bg_flags.
func (d Desc) SetFlags(v uint16) { le.PutUint16(d[0x12:], v) }

// Checksum is bg_checksum: the checksum of the descriptor.
func (d Desc) Checksum() uint16 { return le.Uint16(d[0x1e:]) }

// SetChecksum sets bg_checksum.
func (d Desc) SetChecksum(v uint16) { le.PutUint16(d[0x1e:], v) }

// DescChecksum computes the checksum of a group's descriptor. It is 0 if descriptors carry no checksum.
func (g *Geometry) DescChecksum(group Group, d Desc) uint16 {
	var num [4]byte
	le.PutUint32(num[:], uint32(group))
	switch {
	case g.MetadataCsum():
		c := block.Crc32c(block.Crc32c(g.CsumSeed, num[:]), d[:0x1E])
		return uint16(block.Crc32c(block.Crc32c(c, []byte{0, 0}), d[0x20:]))
	case g.GdtCsum():
		c := Crc16(0xFFFF, g.UUID[:])
		return Crc16(Crc16(Crc16(c, num[:]), d[:0x1E]), d[0x20:])
	}
	return 0
}

// DescType is the buf.Type of one group's descriptor.
type DescType struct {
	G     *Geometry
	Group Group
}

// String names the object in errors: buf.Type.
func (t DescType) String() string { return fmt.Sprintf("descriptor of group %d", t.Group) }

// Verify checks the checksum, then the structure.
func (t DescType) Verify(p []byte) error {
	if err := t.checksum(p); err != nil {
		return err
	}
	return t.Check(p)
}

// checksum checks the size and the checksum.
func (t DescType) checksum(p []byte) error {
	if err := t.size(p); err != nil {
		return err
	}
	d := Desc(p)
	if want := t.G.DescChecksum(t.Group, d); t.G.GdtCsum() && d.Checksum() != want {
		return csumError(t.String(), uint32(d.Checksum()), uint32(want))
	}
	return nil
}

// Check checks that bitmaps and inode table lie in the file system and that the counts are possible.
func (t DescType) Check(p []byte) error {
	if err := t.size(p); err != nil {
		return err
	}
	d, g := Desc(p), t.G
	for _, b := range []struct {
		name string
		at   Pblk
	}{{"block bitmap", d.BlockBitmap()}, {"inode bitmap", d.InodeBitmap()}} {
		if !g.ContainsBlocks(b.at, 1) {
			return Corruptf("%s: %s at block %d of %d", t, b.name, b.at, g.Blocks)
		}
	}
	if err := t.table(d); err != nil {
		return err
	}
	if n := d.FreeClusters(); n > g.GroupClusters(t.Group) {
		return Corruptf("%s: %d clusters free of %d", t, n, g.GroupClusters(t.Group))
	}
	if n := max(d.FreeInodes(), d.ItableUnused(), d.UsedDirs()); n > g.InodesPerGroup {
		return Corruptf("%s: %d inodes free, %d unused, %d directories of %d inodes", t, d.FreeInodes(), d.ItableUnused(), d.UsedDirs(), g.InodesPerGroup)
	}
	return nil
}

// table checks that the inode table lies in the file system.
func (t DescType) table(d Desc) error {
	if !t.G.ContainsBlocks(d.InodeTable(), uint64(t.G.InodeTableBlocks())) {
		return Corruptf("%s: inode table at block %d of %d", t, d.InodeTable(), t.G.Blocks)
	}
	return nil
}

func (t DescType) size(p []byte) error {
	if len(p) != t.G.DescSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.DescSize)
	}
	return nil
}

// Seal stores the checksum.
func (t DescType) Seal(p []byte) {
	if t.G.GdtCsum() {
		Desc(p).SetChecksum(t.G.DescChecksum(t.Group, Desc(p)))
	}
}

// DescTableType is the buf.Type of a descriptor of which only the inode table matters: for callers that read inodes. Wrong
// bitmaps and counts stop nobody from reading.
type DescTableType struct{ DescType }

// Verify checks the checksum, then where the inode table is.
func (t DescTableType) Verify(p []byte) error {
	if err := t.checksum(p); err != nil {
		return err
	}
	return t.table(Desc(p))
}

// BitmapChecksum computes the checksum of a bitmap as its group's descriptor stores it: short descriptors store only
// 16 bits.
func (g *Geometry) BitmapChecksum(p []byte, inodes bool) uint32 {
	n := g.ClustersPerGroup / 8
	if inodes {
		n = (g.InodesPerGroup + 7) / 8
	}
	c := block.Crc32c(g.CsumSeed, p[:min(int(n), len(p))])
	if g.DescSize < MinDescSize64 {
		c &= 0xFFFF
	}
	return c
}

// BitmapType is the buf.Type of a group's block or inode bitmap. The checksum is stored in the descriptor; Want is
// that stored checksum. Code that changes the bitmap must change the descriptor too.
type BitmapType struct {
	G      *Geometry
	Group  Group
	Inodes bool
	Want   uint32
}

// String names the object in errors: buf.Type.
func (t BitmapType) String() string {
	if t.Inodes {
		return fmt.Sprintf("inode bitmap of group %d", t.Group)
	}
	return fmt.Sprintf("block bitmap of group %d", t.Group)
}

// Verify compares the checksum with Want.
func (t BitmapType) Verify(p []byte) error {
	if !t.G.MetadataCsum() {
		return t.Check(p)
	}
	if got := t.G.BitmapChecksum(p, t.Inodes); got != t.Want {
		return csumError(t.String(), t.Want, got)
	}
	return t.Check(p)
}

// Check checks the size.
func (t BitmapType) Check(p []byte) error {
	if len(p) != t.G.BlockSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.BlockSize)
	}
	return nil
}

// Seal does nothing: see BitmapType.
func (t BitmapType) Seal([]byte) {}

// PlainType is the buf.Type of a block without structure or checksum of its own: an indirect block, a symlink's text.
type PlainType struct{ Name string }

// String names the object in errors: buf.Type.
func (t PlainType) String() string { return t.Name }

// Verify accepts everything.
func (PlainType) Verify([]byte) error { return nil }

// Check accepts everything.
func (PlainType) Check([]byte) error { return nil }

// Seal does nothing.
func (PlainType) Seal([]byte) {}
