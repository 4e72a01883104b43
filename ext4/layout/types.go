// Package layout is the on-disk format of ext4 as pure functions over bytes: offsets, views, checksums, feature bits
// and geometry. It does no I/O, keeps no state, and never panics: every view checks its bounds once, when it is made.
//
// A view (Superblock, Desc, Inode, …) is a slice of the bytes themselves. Reading a field decodes it. Setting a field
// changes its bytes and no others, so fields that this package does not know survive.
//
// Comments give the kernel's field names; its documentation (Documentation/filesystems/ext4) is the source.
package layout

import "encoding/binary"

// Ino is an inode number; the first is 1.
type Ino uint32

// Lblk is a logical block: the number of a block within a file.
type Lblk uint32

// Pblk is a physical block: the number of a block within the file system.
type Pblk uint64

// Group is the number of a block group.
type Group uint32

// Inode numbers with a fixed meaning.
const (
	BadBlocksIno Ino = 1
	RootIno      Ino = 2
	UserQuotaIno Ino = 3
	GrpQuotaIno  Ino = 4
	BootIno      Ino = 5
	UndelDirIno  Ino = 6
	ResizeIno    Ino = 7
	JournalIno   Ino = 8
	ExcludeIno   Ino = 9
	ReplicaIno   Ino = 10
	GoodOldFirst Ino = 11 // the first inode that is not reserved, in revision 0 and by default
)

// MaxLblk is the largest logical block a file may have (EXT_MAX_BLOCKS - 1, where EXT_MAX_BLOCKS itself means "to the end").
const MaxLblk Lblk = 0xFFFFFFFE

var le = binary.LittleEndian

// lohi joins the two halves of a split 48- or 64-bit field.
func lohi(lo, hi uint32) uint64 { return uint64(hi)<<32 | uint64(lo) }
