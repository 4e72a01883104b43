package inode

import (
	"fmt"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// sectorShift turns file system blocks into sectors of 512 bytes.
func (t *Table) sectors(blocks uint64) uint64 { return blocks * uint64(t.g.BlockSize/512) }

// Blocks is i_blocks in sectors of 512 bytes.
func (t *Table) Blocks(in layout.Inode) uint64 {
	if t.g.ROCompat&layout.ROCompatHugeFile == 0 {
		return in.RawBlocks() & 0xFFFFFFFF
	}
	if in.HasFlag(layout.FlagHugeFile) {
		return t.sectors(in.RawBlocks())
	}
	return in.RawBlocks()
}

// AddBlocks adds delta, which may be negative, file system blocks to i_blocks. With bigalloc, callers pass whole
// clusters. The error is syscall.EFBIG if the record cannot hold the sum, and layout.ErrCorrupt if it is below zero.
func (t *Table) AddBlocks(h *journal.Handle, ino layout.Ino, delta int64) error {
	in, err := t.Edit(h, ino)
	if err != nil {
		return err
	}
	n := t.Blocks(in)
	if delta < 0 {
		less := t.sectors(uint64(-delta))
		if less > n {
			return layout.Corruptf("inode %d: i_blocks: %d sectors, taking away %d", ino, n, less)
		}
		return t.setBlocks(in, ino, n-less)
	}
	return t.setBlocks(in, ino, n+t.sectors(uint64(delta)))
}

// setBlocks stores a number of sectors: in 32 bits, with huge_file in 48 bits, and beyond that in file system blocks,
// which a flag says.
func (t *Table) setBlocks(in layout.Inode, ino layout.Ino, sectors uint64) error {
	flags := in.Flags() &^ layout.FlagHugeFile
	huge := t.g.ROCompat&layout.ROCompatHugeFile != 0
	switch {
	case sectors>>32 == 0 && !huge:
		// Without the feature i_blocks_high must not be changed: it has another meaning on other systems.
		high := in.RawBlocks() &^ 0xFFFFFFFF
		in.SetRawBlocks(high | sectors)
		return nil
	case sectors>>32 != 0 && !huge:
		return fmt.Errorf("inode %d: %d sectors without huge_file: %w", ino, sectors, syscall.EFBIG)
	case sectors>>48 == 0:
		in.SetRawBlocks(sectors)
	default:
		blocks := sectors / uint64(t.g.BlockSize/512)
		if blocks>>48 != 0 {
			return fmt.Errorf("inode %d: %d blocks: %w", ino, blocks, syscall.EFBIG)
		}
		in.SetRawBlocks(blocks)
		flags |= layout.FlagHugeFile
	}
	if flags != in.Flags() {
		in.SetFlags(flags)
	}
	return nil
}

// SetSize sets i_size. The first file beyond 2 GiB also sets the feature large_file. SetSize does not truncate.
func (t *Table) SetSize(h *journal.Handle, ino layout.Ino, size uint64) error {
	in, err := t.Edit(h, ino)
	if err != nil {
		return err
	}
	in.SetSize(size)
	if size <= 0x7FFFFFFF || !in.IsRegular() {
		return nil
	}
	super, err := t.s.Super(h)
	if err != nil || super.FeatureROCompat()&layout.ROCompatLargeFile != 0 {
		return err
	}
	if super, err = t.s.EditSuper(h); err != nil {
		return err
	}
	super.UpdateRev()
	super.SetFeatureROCompat(super.FeatureROCompat() | layout.ROCompatLargeFile)
	return nil
}
