package ext4

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// FallocMode says what Fallocate does, with the values of fallocate(2).
type FallocMode uint32

// The modes of Fallocate; 0 allocates and extends the file.
const (
	FallocKeepSize      FallocMode = 0x01 // do not extend the file; goes with 0, PunchHole and ZeroRange
	FallocPunchHole     FallocMode = 0x02 // free the range; needs KeepSize
	FallocCollapseRange FallocMode = 0x08 // remove the range from the file; in whole blocks
	FallocZeroRange     FallocMode = 0x10 // make the range read as zeros: unwritten, with blocks
	FallocInsertRange   FallocMode = 0x20 // insert a hole; in whole blocks
)

// Fallocate changes the blocks of [off, off+length) as fallocate(2) does. Offsets are in bytes. Apart from KeepSize,
// the modes exclude each other. Every mode first holds off new direct I/O, waits for direct I/O in flight, and
// converts what has completed; if that fails, it stops with the error. If there are not enough free blocks for the
// whole range, nothing is allocated, and the error is syscall.ENOSPC.
func (f *File) Fallocate(mode FallocMode, off, length int64) error {
	err := checkFallocate(mode, off, length)
	if e := f.openFor(aio.Write); err == nil || f.isClosed() {
		err = e
	}
	if err == nil {
		err = f.n.fallocate(mode, off, length)
	}
	return f.wrap("fallocate", err)
}

// checkFallocate checks only the arguments.
func checkFallocate(mode FallocMode, off, length int64) error {
	keep := mode&FallocKeepSize != 0
	if off < 0 || length <= 0 {
		return syscall.EINVAL
	}
	ok := false
	switch mode &^ FallocKeepSize {
	case 0, FallocZeroRange:
		ok = true
	case FallocPunchHole:
		ok = keep
	case FallocCollapseRange, FallocInsertRange:
		ok = !keep
	}
	if !ok {
		return syscall.EOPNOTSUPP
	}
	return nil
}

func (n *openInode) fallocate(mode FallocMode, off, length int64) error {
	keep := mode&FallocKeepSize != 0
	if err := n.fs.fits(off, length); err != nil {
		return err
	}
	if err := n.mayFallocate(mode); err != nil {
		return err
	}
	return n.exclusive(func() error {
		if err := n.moveOutOfInode(); err != nil {
			return err
		}
		switch mode &^ FallocKeepSize {
		case FallocPunchHole:
			return n.punchHole(off, length)
		case FallocZeroRange:
			return n.zeroRange(off, length, keep)
		case FallocCollapseRange:
			return n.collapseRange(off, length)
		case FallocInsertRange:
			return n.insertRange(off, length)
		}
		return n.preallocate(off, length, keep)
	})
}

// mayFallocate refuses files that cannot have unwritten blocks, or no blocks at all.
func (n *openInode) mayFallocate(mode FallocMode) error {
	return n.inode(func(_ *journal.View, rec layout.Inode) error {
		switch {
		case rec.HasFlag(layout.FlagImmutable), rec.HasFlag(layout.FlagAppend) && mode&^FallocKeepSize != 0:
			return syscall.EPERM
		case rec.IsDir():
			return syscall.EISDIR
		case !rec.IsRegular():
			return syscall.ENODEV
		case rec.HasFlag(layout.FlagEncrypt) && mode&(FallocCollapseRange|FallocInsertRange) != 0:
			return syscall.EOPNOTSUPP
		case !rec.HasFlag(layout.FlagExtents|layout.FlagInlineData) && mode&FallocPunchHole == 0:
			return fmt.Errorf("mapped by block numbers, which cannot be unwritten: %w", syscall.EOPNOTSUPP)
		}
		return nil
	})
}

// blocks are the file system blocks that a range of bytes touches: [first, end).
func (f *FS) blocks(off, length int64) (first, end layout.Lblk) {
	bs := int64(f.vol.Geo.BlockSize)
	return layout.Lblk(off / bs), layout.Lblk((off + length + bs - 1) / bs)
}

// inner returns the blocks that lie wholly in a range of bytes: [first, end), empty if end <= first.
func (n *openInode) inner(off, length int64) (first, end layout.Lblk) {
	bs := int64(n.fs.vol.Geo.BlockSize)
	return layout.Lblk((off + bs - 1) / bs), layout.Lblk((off + length) / bs)
}

// preallocate fills the holes of a range with unwritten blocks.
func (n *openInode) preallocate(off, length int64, keep bool) error {
	if err := n.haveSpace(off, length); err != nil {
		return err
	}
	if !keep {
		if err := n.zeroTail(off + length); err != nil {
			return err
		}
	}
	if err := n.fillHoles(off, length); err != nil {
		return err
	}
	return n.grow(off+length, keep)
}

// Room reports whether a file, which need not exist, can get blocks for the bytes [off, off+length). The error is
// syscall.ENOSPC if not, and syscall.EFBIG if no file can be so large. It changes nothing. Callers use it before they
// create a file, so as not to leave it half-done.
func (f *FS) Room(name string, off, length int64) error {
	if off < 0 || length < 0 {
		return pathError("fallocate", name, syscall.EINVAL)
	}
	if err := f.fits(off, length); err != nil {
		return pathError("fallocate", name, err)
	}
	n, err := f.lookupNode(root(name), os.O_WRONLY)
	if isNotExist(err) {
		first, end := f.blocks(off, length)
		v := f.vol.Journal.View()
		defer v.Close()
		return pathError("fallocate", name, f.enough(v, uint64(end-first)))
	}
	if err != nil {
		return pathError("fallocate", name, err)
	}
	return pathError("fallocate", name, errors.Join(n.haveSpace(off, length), f.put(n)))
}

// enough compares a number of blocks with the number that is free.
func (f *FS) enough(v *journal.View, need uint64) error {
	free, err := f.vol.Space.FreeCount(v)
	if err == nil && need > free {
		err = fmt.Errorf("%d blocks wanted, %d free: %w", need, free, syscall.ENOSPC)
	}
	return err
}

// haveSpace refuses an allocation that cannot succeed, before anything is changed.
func (n *openInode) haveSpace(off, length int64) error {
	fs := n.fs
	first, end := fs.blocks(off, length)
	need := uint64(end - first)
	v := fs.vol.Journal.View()
	defer v.Close()
	if fs.enough(v, need) == nil {
		return nil
	}
	err := fs.vol.Extents.Walk(v, n.ino, first, func(e layout.Extent) (bool, error) {
		if uint64(e.Lblk) >= uint64(end) {
			return false, nil
		}
		need -= uint64(e.Cut(uint64(first), uint64(end)).Len)
		return true, nil
	})
	if err != nil {
		return err
	}
	return fs.enough(v, need)
}

// timesCredits is what a change of size and times alone may change: the record, and the superblock for its first large file.
const timesCredits = 2

// grow sets the size to end if the file is shorter and the size is not to be kept, and the times.
func (n *openInode) grow(end int64, keep bool) error {
	if keep {
		return n.update(timesCredits, n.setTimes)
	}
	return n.update(timesCredits, func(h *journal.Handle) error { return n.wrote(h, end) })
}

// punchHole frees the whole blocks of a range and clears the parts of blocks at its ends. If the range reaches beyond
// the end of the file, the block with the end is freed too, as in the kernel.
func (n *openInode) punchHole(off, length int64) error {
	size, err := n.size()
	if err != nil || uint64(off) >= size {
		return err
	}
	bs := int64(n.fs.vol.Geo.BlockSize)
	if end := off + length; end > int64(size) {
		length = (end+bs-1)/bs*bs - off
	}
	if err := n.inspect(n.fs.blocks(off, length)); err != nil {
		return err
	}
	if err := n.zeroEnds(off, length); err != nil {
		return err
	}
	first, end := n.inner(off, length)
	if err := n.freeBlocks(first, end); err != nil {
		return err
	}
	return n.update(timesCredits, n.setTimes)
}

// zeroEnds clears the bytes of a range in the blocks that the range covers only in part.
func (n *openInode) zeroEnds(off, length int64) error {
	bs := int64(n.fs.vol.Geo.BlockSize)
	to := off + length
	if off%bs != 0 {
		if err := n.zeroPart(off, min(to, off/bs*bs+bs)); err != nil {
			return err
		}
	}
	if to%bs != 0 && (to/bs > off/bs || off%bs == 0) {
		return n.zeroPart(to/bs*bs, to)
	}
	return nil
}

// zeroRange makes a range read as zeros and have blocks: whole blocks become unwritten, parts of blocks are cleared.
func (n *openInode) zeroRange(off, length int64, keep bool) error {
	if err := n.haveSpace(off, length); err != nil {
		return err
	}
	if err := n.inspect(n.fs.blocks(off, length)); err != nil {
		return err
	}
	if err := n.zeroEnds(off, length); err != nil {
		return err
	}
	if !keep {
		if err := n.zeroTail(off + length); err != nil {
			return err
		}
	}
	if err := n.fillHoles(off, length); err != nil {
		return err
	}
	first, end := n.inner(off, length)
	if err := n.unwrite(first, end); err != nil {
		return err
	}
	return n.grow(off+length, keep)
}

// unwrite makes mapped blocks unwritten, extent by extent.
func (n *openInode) unwrite(first, end layout.Lblk) error {
	for first < end {
		e, err := n.lookup(first)
		if err != nil {
			return err
		}
		part := e.Cut(uint64(first), uint64(end))
		if !e.Unwritten {
			err := n.update(convertCredits, func(h *journal.Handle) error {
				return n.fs.vol.Extents.Convert(h, n.ino, part.Lblk, part.Len, true)
			})
			if err != nil {
				return err
			}
		}
		first = part.Lblk + layout.Lblk(part.Len)
	}
	return nil
}

// wholeShift judges a collapse or an insertion: in whole blocks, with bigalloc in whole clusters.
func (n *openInode) wholeShift(off, length int64) error {
	unit := int64(n.fs.vol.Geo.BlockSize) * int64(n.fs.vol.Geo.ClusterRatio)
	if off%unit != 0 || length%unit != 0 {
		return syscall.EINVAL
	}
	return nil
}

// collapseRange removes a range and moves what follows to the left. The range is freed first: after a crash the file
// may hold a hole there, with what follows moved in part.
func (n *openInode) collapseRange(off, length int64) error {
	size, err := n.size()
	if err != nil {
		return err
	}
	if err := n.wholeShift(off, length); err != nil {
		return err
	}
	if uint64(off+length) >= size {
		return syscall.EINVAL
	}
	first, end := n.fs.blocks(off, length)
	if err := n.inspect(first, ^layout.Lblk(0)); err != nil {
		return err
	}
	if err := n.freeBlocks(first, end); err != nil {
		return err
	}
	if err := n.shift(end, -int64(end-first)); err != nil {
		return err
	}
	err = n.update(2, func(h *journal.Handle) error { return n.resized(h, int64(size)-length) })
	if err != nil {
		return err
	}
	return n.commitShift()
}

// commitShift makes the new map durable. What follows may overwrite blocks that have moved, in place: a crash that
// brought the old map back would show the new bytes where they were never written.
func (n *openInode) commitShift() error {
	return n.fs.vol.Journal.Commit(journal.TID(n.tid.Load()))
}

// insertRange moves what follows off to the right and leaves a hole. The size grows first, so that nothing ever lies
// beyond it.
func (n *openInode) insertRange(off, length int64) error {
	size, err := n.size()
	if err != nil {
		return err
	}
	if err := n.wholeShift(off, length); err != nil {
		return err
	}
	if uint64(off) >= size {
		return syscall.EINVAL
	}
	if err := n.fs.fits(int64(size), length); err != nil {
		return err
	}
	first, _ := n.fs.blocks(off, length)
	if err := n.inspect(first, ^layout.Lblk(0)); err != nil {
		return err
	}
	if err := n.setSize(int64(size) + length); err != nil {
		return err
	}
	if err := n.shift(first, length/int64(n.fs.vol.Geo.BlockSize)); err != nil {
		return err
	}
	return n.commitShift()
}

// shift moves the map from a block on to its end.
func (n *openInode) shift(from layout.Lblk, delta int64) error {
	fs := n.fs
	to := ^layout.Lblk(0)
	for done := false; !done; {
		var next layout.Lblk
		err := n.update(fs.vol.Extents.StepCredits(), func(h *journal.Handle) (err error) {
			done, next, err = fs.vol.Extents.Shift(h, n.ino, from, to, delta)
			return err
		})
		if err != nil {
			return err
		}
		if delta < 0 {
			from = next
		} else {
			to = next
		}
	}
	return nil
}

// DigHoles frees every whole block of the range whose content is zero, as fallocate --dig-holes does.
func (f *File) DigHoles(off, length int64) error {
	if err := f.openFor(aio.Write); err != nil {
		return f.wrap("dig holes", err)
	}
	return f.wrap("dig holes", f.n.exclusive(func() error { return f.n.digHoles(off, length) }))
}

func (n *openInode) digHoles(off, length int64) error {
	size, err := n.size()
	if err != nil {
		return err
	}
	if length <= 0 || off+length > int64(size) {
		length = int64(size) - off
	}
	bs := int64(n.fs.vol.Geo.BlockSize)
	first, end := n.inner(off, length)
	buf := block.Aligned(exclusiveChunk, max(n.fs.vol.Dev.Align(), 1))
	for first < end {
		e, err := n.lookup(first)
		if err != nil {
			return err
		}
		part := e.Cut(uint64(first), min(uint64(end), uint64(first)+uint64(len(buf))/uint64(bs)))
		next := part.Lblk + layout.Lblk(part.Len)
		if e.Pblk != 0 && !e.Unwritten {
			if err := n.digExtent(part, buf); err != nil {
				return err
			}
		}
		first = next
	}
	return n.update(timesCredits, n.setTimes)
}

// digExtent frees the runs of zero blocks in a part of an extent that fits into buf.
func (n *openInode) digExtent(e layout.Extent, buf []byte) error {
	bs := n.fs.vol.Geo.BlockSize
	p := buf[:int(e.Len)*bs]
	if _, err := n.readAt(p, int64(e.Lblk)*int64(bs)); err != nil {
		return err
	}
	for i := 0; i < int(e.Len); {
		j := i
		for j < int(e.Len) && allZero(p[j*bs:(j+1)*bs]) {
			j++
		}
		if j > i {
			if err := n.removeBlocks(e.Lblk+layout.Lblk(i), e.Lblk+layout.Lblk(j)); err != nil {
				return err
			}
		}
		i = j + 1
	}
	return nil
}
