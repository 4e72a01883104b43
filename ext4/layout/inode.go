package layout

import (
	"fmt"
	"time"

	"ext4img/aio/block"
)

// File types and permission bits of i_mode.
const (
	ModeTypeMask uint16 = 0xF000
	ModeSocket   uint16 = 0xC000
	ModeSymlink  uint16 = 0xA000
	ModeRegular  uint16 = 0x8000
	ModeBlockDev uint16 = 0x6000
	ModeDir      uint16 = 0x4000
	ModeCharDev  uint16 = 0x2000
	ModeFIFO     uint16 = 0x1000
	ModeSetUID   uint16 = 0x800
	ModeSetGID   uint16 = 0x400
	ModeSticky   uint16 = 0x200
	ModePermMask uint16 = 0xFFF
)

// Bits of i_flags.
const (
	FlagSecRm       uint32 = 0x1
	FlagUnRm        uint32 = 0x2
	FlagCompr       uint32 = 0x4
	FlagSync        uint32 = 0x8
	FlagImmutable   uint32 = 0x10
	FlagAppend      uint32 = 0x20
	FlagNoDump      uint32 = 0x40
	FlagNoAtime     uint32 = 0x80
	FlagEncrypt     uint32 = 0x800
	FlagIndex       uint32 = 0x1000 // hashed directory
	FlagImagic      uint32 = 0x2000
	FlagJournalData uint32 = 0x4000
	FlagNoTail      uint32 = 0x8000
	FlagDirSync     uint32 = 0x10000
	FlagTopDir      uint32 = 0x20000
	FlagHugeFile    uint32 = 0x40000 // i_blocks counts file system blocks
	FlagExtents     uint32 = 0x80000
	FlagVerity      uint32 = 0x100000
	FlagEAInode     uint32 = 0x200000
	FlagInlineData  uint32 = 0x10000000
	FlagProjInherit uint32 = 0x20000000
	FlagCasefold    uint32 = 0x40000000
)

// InodeBlockSize is the size of i_block in bytes.
const InodeBlockSize = 60

const inodeBlockOff = 0x28

// Inode is a view on an inode record of the file system's inode size: 128 bytes or more. Fields beyond 128 bytes
// exist only if i_extra_isize covers them. Reading a field that does not exist gives 0, and setting it does nothing.
type Inode []byte

// Mode is i_mode: type and permissions.
func (i Inode) Mode() uint16 { return le.Uint16(i[0x0:]) }

// SetMode sets i_mode.
func (i Inode) SetMode(v uint16) { le.PutUint16(i[0x0:], v) }

// Type is the type bits of i_mode: ModeRegular and others.
func (i Inode) Type() uint16 { return i.Mode() & ModeTypeMask }

// IsDir tells whether it is a directory.
func (i Inode) IsDir() bool { return i.Type() == ModeDir }

// IsRegular tells whether it is a regular file.
func (i Inode) IsRegular() bool { return i.Type() == ModeRegular }

// IsSymlink tells whether it is a symbolic link.
func (i Inode) IsSymlink() bool { return i.Type() == ModeSymlink }

// UID is i_uid.
func (i Inode) UID() uint32 { return uint32(le.Uint16(i[0x2:])) | uint32(le.Uint16(i[0x78:]))<<16 }

// SetUID sets i_uid.
func (i Inode) SetUID(v uint32) {
	le.PutUint16(i[0x2:], uint16(v))
	le.PutUint16(i[0x78:], uint16(v>>16))
}

// GID is i_gid.
func (i Inode) GID() uint32 { return uint32(le.Uint16(i[0x18:])) | uint32(le.Uint16(i[0x7A:]))<<16 }

// SetGID sets i_gid.
func (i Inode) SetGID(v uint32) {
	le.PutUint16(i[0x18:], uint16(v))
	le.PutUint16(i[0x7A:], uint16(v>>16))
}

// Size is i_size in bytes.
func (i Inode) Size() uint64 { return lohi(le.Uint32(i[0x4:]), le.Uint32(i[0x6C:])) }

// SetSize sets i_size.
func (i Inode) SetSize(v uint64) {
	le.PutUint32(i[0x4:], uint32(v))
	le.PutUint32(i[0x6C:], uint32(v>>32))
}

// Dtime is i_dtime: when it was deleted, seconds; for an orphan, the next inode of the orphan list.
func (i Inode) Dtime() uint32 { return le.Uint32(i[0x14:]) }

// SetDtime sets i_dtime.
func (i Inode) SetDtime(v uint32) { le.PutUint32(i[0x14:], v) }

// Links is i_links_count.
func (i Inode) Links() uint16 { return le.Uint16(i[0x1A:]) }

// SetLinks sets i_links_count.
func (i Inode) SetLinks(v uint16) { le.PutUint16(i[0x1A:], v) }

// RawBlocks is i_blocks as it is stored: in sectors of 512 bytes, or in file system blocks if FlagHugeFile is set.
func (i Inode) RawBlocks() uint64 {
	return lohi(le.Uint32(i[0x1C:]), uint32(le.Uint16(i[0x74:])))
}

// SetRawBlocks sets i_blocks, of which 48 bits are stored.
func (i Inode) SetRawBlocks(v uint64) {
	le.PutUint32(i[0x1C:], uint32(v))
	le.PutUint16(i[0x74:], uint16(v>>32))
}

// Flags is i_flags.
func (i Inode) Flags() uint32 { return le.Uint32(i[0x20:]) }

// SetFlags sets i_flags.
func (i Inode) SetFlags(v uint32) { le.PutUint32(i[0x20:], v) }

// HasFlag tells whether any of the flags is set.
func (i Inode) HasFlag(f uint32) bool { return i.Flags()&f != 0 }

// Version is i_version, with its high half if the record has it.
func (i Inode) Version() uint64 { return lohi(le.Uint32(i[0x24:]), i.extra(0x98)) }

// SetVersion sets i_version.
func (i Inode) SetVersion(v uint64) {
	le.PutUint32(i[0x24:], uint32(v))
	i.setExtra(0x98, uint32(v>>32))
}

// Block is i_block, 60 bytes of the record: the root of the extent tree, block numbers, a short symlink's text, a
// device number or inline data.
func (i Inode) Block() []byte {
	return i[inodeBlockOff : inodeBlockOff+InodeBlockSize : inodeBlockOff+InodeBlockSize]
}

// Generation is i_generation.
func (i Inode) Generation() uint32 { return le.Uint32(i[0x64:]) }

// SetGeneration sets i_generation.
func (i Inode) SetGeneration(v uint32) { le.PutUint32(i[0x64:], v) }

// FileACL is i_file_acl: the block of extended attributes, or 0.
func (i Inode) FileACL() Pblk {
	return Pblk(lohi(le.Uint32(i[0x68:]), uint32(le.Uint16(i[0x76:]))))
}

// SetFileACL sets i_file_acl.
func (i Inode) SetFileACL(p Pblk) {
	le.PutUint32(i[0x68:], uint32(p))
	le.PutUint16(i[0x76:], uint16(p>>32))
}

// ExtraIsize is i_extra_isize: the number of bytes beyond 128 that hold fields. Extended attributes follow them.
func (i Inode) ExtraIsize() int {
	if len(i) < GoodOldInodeSize+2 {
		return 0
	}
	return int(le.Uint16(i[0x80:]))
}

// SetExtraIsize sets i_extra_isize, if the record is long enough to have it.
func (i Inode) SetExtraIsize(v int) {
	if len(i) >= GoodOldInodeSize+2 {
		le.PutUint16(i[0x80:], uint16(v))
	}
}

// has reports whether the n bytes at off, beyond 128, are fields of this record.
func (i Inode) has(off, n int) bool {
	return off+n <= len(i) && off+n <= GoodOldInodeSize+i.ExtraIsize()
}

func (i Inode) extra(off int) uint32 {
	if !i.has(off, 4) {
		return 0
	}
	return le.Uint32(i[off:])
}

func (i Inode) setExtra(off int, v uint32) {
	if i.has(off, 4) {
		le.PutUint32(i[off:], v)
	}
}

// ProjectID is i_projid.
func (i Inode) ProjectID() uint32 { return i.extra(0x9C) }

// SetProjectID sets i_projid.
func (i Inode) SetProjectID(v uint32) { i.setExtra(0x9C, v) }

// A timestamp says where a time is stored: the seconds, and a word with nanoseconds and two more bits of seconds.
type timestamp struct{ sec, extra int }

var (
	atime  = timestamp{0x8, 0x8C}
	ctime  = timestamp{0xC, 0x84}
	mtime  = timestamp{0x10, 0x88}
	crtime = timestamp{0x90, 0x94}
)

// Atime is i_atime.
func (i Inode) Atime() time.Time { return i.time(atime) }

// Ctime is i_ctime.
func (i Inode) Ctime() time.Time { return i.time(ctime) }

// Mtime is i_mtime.
func (i Inode) Mtime() time.Time { return i.time(mtime) }

// Crtime is i_crtime, or the zero Time if the record has none.
func (i Inode) Crtime() time.Time {
	if !i.has(crtime.sec, 4) {
		return time.Time{}
	}
	return i.time(crtime)
}

// SetAtime sets i_atime. Like all times it is clipped to what the record can hold: the years 1901 to 2446 or, without
// the extra field, 1901 to 2038 and whole seconds.
func (i Inode) SetAtime(t time.Time) { i.setTime(atime, t) }

// SetCtime sets i_ctime.
func (i Inode) SetCtime(t time.Time) { i.setTime(ctime, t) }

// SetMtime sets i_mtime.
func (i Inode) SetMtime(t time.Time) { i.setTime(mtime, t) }

// SetCrtime sets i_crtime, if the record has it.
func (i Inode) SetCrtime(t time.Time) {
	if i.has(crtime.sec, 4) {
		i.setTime(crtime, t)
	}
}

func (i Inode) time(at timestamp) time.Time {
	sec := int64(int32(le.Uint32(i[at.sec:])))
	x := i.extra(at.extra)
	return time.Unix(sec+int64(x&3)<<32, int64(x>>2))
}

func (i Inode) setTime(at timestamp, t time.Time) {
	const lowest, highest = -1 << 31, 1<<31 - 1 + 3<<32
	sec, nsec := t.Unix(), int64(t.Nanosecond())
	top := int64(1<<31 - 1)
	if i.has(at.extra, 4) {
		top = highest
	}
	switch {
	case sec <= lowest:
		sec, nsec = lowest, 0
	case sec >= top:
		sec, nsec = top, 0
	}
	le.PutUint32(i[at.sec:], uint32(sec))
	epoch := uint32((sec-int64(int32(sec)))>>32) & 3
	i.setExtra(at.extra, epoch|uint32(nsec)<<2)
}

// FastSymlink reports whether a symbolic link's text is stored in i_block.
func (i Inode) FastSymlink() bool {
	return i.IsSymlink() && i.Size() < InodeBlockSize && i.Size() > 0 && !i.HasFlag(FlagExtents|FlagInlineData|FlagEAInode)
}

// MapsBlocks tells whether i_block is a map of blocks, and not inline data, the text of a short symbolic link or a device.
func (i Inode) MapsBlocks() bool {
	switch i.Type() {
	case ModeRegular, ModeDir:
		return !i.HasFlag(FlagInlineData)
	case ModeSymlink:
		return !i.HasFlag(FlagInlineData) && !i.FastSymlink()
	}
	return false
}

// Device is the major and minor number of a device inode.
func (i Inode) Device() (major, minor uint32) {
	if v := le.Uint32(i.Block()); v != 0 {
		return v >> 8 & 0xFF, v & 0xFF
	}
	v := le.Uint32(i.Block()[4:])
	return v & 0xFFF00 >> 8, v&0xFF | v>>12&0xFFF00
}

// SetDevice stores a device number, in the old form if it fits, else in the new one.
func (i Inode) SetDevice(major, minor uint32) {
	b := i.Block()
	clear(b)
	if major < 256 && minor < 256 {
		le.PutUint32(b, major<<8|minor)
		return
	}
	le.PutUint32(b[4:], minor&0xFF|major<<8|minor&^0xFF<<12)
}

// hasChecksumHi tells whether the record has the high half of the checksum.
func (i Inode) hasChecksumHi() bool { return i.has(0x82, 2) }

// Checksum is i_checksum; 16 bits of it in a record without the high half.
func (i Inode) Checksum() uint32 {
	v := uint32(le.Uint16(i[0x7C:]))
	if i.hasChecksumHi() {
		v |= uint32(le.Uint16(i[0x82:])) << 16
	}
	return v
}

// InodeSeed is the seed of the checksums that belong to an inode: of its record, extent nodes and directory blocks.
func (g *Geometry) InodeSeed(ino Ino, generation uint32) uint32 {
	return csum32(csum32(g.CsumSeed, uint32(ino)), generation)
}

// TwinGeneration is the generation with which inode ino has the same InodeSeed as inode of with generation gen.
// Blocks with checksums for the one inode are then valid for the other. There is exactly one such generation, because
// a CRC over four more bytes depends only on the sum of those bytes and the CRC so far.
func (g *Geometry) TwinGeneration(ino, of Ino, gen uint32) uint32 {
	return gen ^ csum32(g.CsumSeed, uint32(of)) ^ csum32(g.CsumSeed, uint32(ino))
}

// InodeChecksum computes the checksum of an inode record, in the form in which Checksum returns it.
func (g *Geometry) InodeChecksum(ino Ino, i Inode) uint32 {
	c := g.InodeSeed(ino, i.Generation())
	c = block.Crc32c(c, i[:0x7C])
	c = block.Crc32c(c, []byte{0, 0})
	c = block.Crc32c(c, i[0x7E:GoodOldInodeSize])
	if len(i) > GoodOldInodeSize {
		c = block.Crc32c(c, i[GoodOldInodeSize:0x82])
		if i.hasChecksumHi() {
			c = block.Crc32c(c, []byte{0, 0})
		} else {
			c = block.Crc32c(c, i[0x82:0x84])
		}
		c = block.Crc32c(c, i[0x84:])
	}
	if !i.hasChecksumHi() {
		c &= 0xFFFF
	}
	return c
}

// InodeType is the buf.Type of an inode record.
type InodeType struct {
	G   *Geometry
	Ino Ino
}

// Owner is the inode that the object belongs to.
func (t InodeType) Owner() Ino { return t.Ino }

// String names the object in errors: buf.Type.
func (t InodeType) String() string { return fmt.Sprintf("inode %d", t.Ino) }

// Verify checks the checksum, then the structure. A record of zeros has never been used and is accepted. The kernel
// maintains checksums of records only if the creator is Linux. For other creators the checksum is stored, as
// e2fsprogs does, but not verified.
func (t InodeType) Verify(p []byte) error {
	if err := t.Check(p); err != nil || !t.G.MetadataCsum() || t.G.CreatorOS != OSLinux {
		return err
	}
	i := Inode(p)
	if got, want := i.Checksum(), t.G.InodeChecksum(t.Ino, i); got != want && !allZero(p) {
		return csumError(t.String(), got, want)
	}
	return nil
}

// Check checks the size and i_extra_isize.
func (t InodeType) Check(p []byte) error {
	if len(p) != t.G.InodeSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.InodeSize)
	}
	if n := Inode(p).ExtraIsize(); n > len(p)-GoodOldInodeSize || n%4 != 0 {
		return Corruptf("%s: i_extra_isize %d, want a multiple of 4 up to %d", t, n, len(p)-GoodOldInodeSize)
	}
	return nil
}

// Seal stores the checksum.
func (t InodeType) Seal(p []byte) {
	if !t.G.MetadataCsum() {
		return
	}
	i := Inode(p)
	c := t.G.InodeChecksum(t.Ino, i)
	le.PutUint16(i[0x7C:], uint16(c))
	if i.hasChecksumHi() {
		le.PutUint16(i[0x82:], uint16(c>>16))
	}
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
