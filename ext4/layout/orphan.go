package layout

import (
	"fmt"

	"ext4img/aio/block"
)

// OrphanMagic is ob_magic, in the tail of each block of the orphan file.
const OrphanMagic = 0x0B10CA04

const orphanTailSize = 8 // struct ext4_orphan_block_tail: ob_magic, ob_checksum

// OrphanBlock is a view on a block of the orphan file: inode numbers, 0 where a slot is free, and a tail.
type OrphanBlock []byte

// Slots is the number of slots.
func (b OrphanBlock) Slots() int { return (len(b) - orphanTailSize) / 4 }

// Get is the inode number in slot i.
func (b OrphanBlock) Get(i int) Ino { return Ino(le.Uint32(b[4*i:])) }

// Set stores an inode number in slot i; 0 frees the slot.
func (b OrphanBlock) Set(i int, ino Ino) { le.PutUint32(b[4*i:], uint32(ino)) }

// Init makes an empty block.
func (b OrphanBlock) Init() {
	clear(b)
	le.PutUint32(b[len(b)-8:], OrphanMagic)
}

// OrphanBlockType is the buf.Type of a block of the orphan file. The orphan file's own inode, and the block's number on
// the device, are the seed of its checksum.
type OrphanBlockType struct {
	G     *Geometry
	Ino   Ino    // of the orphan file
	Gen   uint32 // its generation
	Block Pblk
}

// Owner is the inode that the object belongs to.
func (t OrphanBlockType) Owner() Ino { return t.Ino }

// String names the object in errors: buf.Type.
func (t OrphanBlockType) String() string {
	return fmt.Sprintf("orphan file block %d of inode %d", t.Block, t.Ino)
}

// Verify checks the checksum, then the structure.
func (t OrphanBlockType) Verify(p []byte) error {
	if err := t.Check(p); err != nil || !t.G.MetadataCsum() {
		return err
	}
	if got, want := le.Uint32(p[len(p)-4:]), t.checksum(p); got != want {
		return csumError(t.String(), got, want)
	}
	return nil
}

// Check checks size and magic.
func (t OrphanBlockType) Check(p []byte) error {
	if len(p) != t.G.BlockSize {
		return Corruptf("%s: %d bytes, want %d", t, len(p), t.G.BlockSize)
	}
	if magic := le.Uint32(p[len(p)-8:]); magic != OrphanMagic {
		return Corruptf("%s: ob_magic %#x, want %#x", t, magic, OrphanMagic)
	}
	return nil
}

// Seal stores the checksum, ob_checksum.
func (t OrphanBlockType) Seal(p []byte) {
	if t.G.MetadataCsum() {
		le.PutUint32(p[len(p)-4:], t.checksum(p))
	}
}

func (t OrphanBlockType) checksum(p []byte) uint32 {
	var num [8]byte
	le.PutUint64(num[:], uint64(t.Block))
	return block.Crc32c(block.Crc32c(t.G.InodeSeed(t.Ino, t.Gen), num[:]), p[:4*OrphanBlock(p).Slots()])
}
