package mkfs

import (
	"encoding/binary"
	"fmt"

	"ext4img/ext4/layout"
)

// The journal superblock's fields, big endian (Documentation/filesystems/ext4/journal.rst).
const (
	jbd2Magic   = 0xC03B3998
	jbd2SuperV2 = 4
	minJournal  = 1024 // JBD2_MIN_JOURNAL_BLOCKS
	maxJournal  = 1<<32 - 1
)

// journalSteps gives the length of the log, in blocks, for file systems with fewer than below blocks.
var journalSteps = []struct{ below, blocks uint64 }{
	{2048, 0}, {32768, 1024}, {256 << 10, 4096}, {512 << 10, 8192}, {4096 << 10, 16384}, {8192 << 10, 32768},
	{16384 << 10, 65536}, {32768 << 10, 131072},
}

func defaultJournal(blocks uint64) uint64 {
	for _, s := range journalSteps {
		if blocks < s.below {
			return s.blocks
		}
	}
	return 262144
}

// journalBlocks decides on the length of the log. A file system that is too small for the default gets no log, and
// loses the features that need one.
func journalBlocks(o Options, f *Features) (uint64, error) {
	n := o.JournalSize / uint64(o.BlockSize)
	switch {
	case f.Compat&layout.CompatHasJournal == 0:
		if o.JournalSize != 0 {
			return 0, fmt.Errorf("a journal of %d bytes without the feature has_journal", o.JournalSize)
		}
	case o.JournalSize == 0:
		if n = defaultJournal(o.Blocks); n == 0 {
			f.Compat &^= layout.CompatHasJournal | layout.CompatOrphanFile
		}
	case n < minJournal || n > min(o.Blocks/2, maxJournal):
		return 0, fmt.Errorf("a journal of %d blocks: want at least %d and at most half of the %d blocks", n, minJournal, o.Blocks)
	}
	return n, nil
}

// makeJournal makes inode 8: an empty log in the middle of the device. As with mke2fs, its superblock has no
// features: the first user of the log sets them.
func (b *builder) makeJournal() error {
	if b.log == 0 {
		return nil
	}
	f := b.newFile(layout.JournalIno, layout.ModeRegular|0o600, 1)
	if err := b.allocate(f, b.middle(), b.log); err != nil {
		return err
	}
	if !b.o.Zeroed {
		for _, r := range f.runs {
			if err := b.clear(r); err != nil {
				return err
			}
		}
	}
	p := make([]byte, b.g.BlockSize)
	be := binary.BigEndian
	be.PutUint32(p[0x00:], jbd2Magic)             // h_magic
	be.PutUint32(p[0x04:], jbd2SuperV2)           // h_blocktype
	be.PutUint32(p[0x0C:], uint32(b.g.BlockSize)) // s_blocksize
	be.PutUint32(p[0x10:], uint32(b.log))         // s_maxlen
	be.PutUint32(p[0x14:], 1)                     // s_first
	be.PutUint32(p[0x18:], 1)                     // s_sequence
	copy(p[0x30:], b.o.UUID[:])                   // s_uuid
	be.PutUint32(p[0x40:], 1)                     // s_nr_users
	if err := b.write(f.block(0), p); err != nil {
		return err
	}
	backup := b.super.JournalBlocks() // i_block, then i_size with the high half first
	copy(backup, f.rec.Block())
	binary.LittleEndian.PutUint32(backup[60:], uint32(f.rec.Size()>>32))
	binary.LittleEndian.PutUint32(backup[64:], uint32(f.rec.Size()))
	return nil
}

// middle is the start of the flex group in the middle of the device.
func (b *builder) middle() uint64 {
	group, _ := b.g.GroupOf(layout.Pblk(b.g.FirstDataBlock) + layout.Pblk((b.g.Blocks-uint64(b.g.FirstDataBlock))/2))
	if flex := layout.Group(b.g.FlexSize); group > flex {
		group &^= flex - 1
	}
	return uint64(b.g.GroupFirst(group))
}
