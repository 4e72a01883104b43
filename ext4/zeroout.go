package ext4

import (
	"errors"
	"syscall"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Conversion without a block for the tree.
//
// A write into unwritten blocks splits an extent, and that can take a block for the tree. Such blocks are promised to
// writes in flight (transfer.promise). If too few are free, because another program filled the file system to the
// last block, the write is carried out here, alone. The part of the extent that would have to be split off is filled
// with zeros on the device and converted together with the data, so that the tree needs no further entry.
//
// The zeros must not overwrite data of another write, and the blocks of another write must not become written before
// its data is on the device. Both hold, because exclusive holds the inode lock, no direct I/O of the inode is in
// flight or can begin, and every completed write is converted: all blocks that are still unwritten have no data. The
// goroutine that does this is the submitter of a write, never a driver in the middle of a batch, so the requests that
// it waits for are reaped (see exclusive). Zeros are data: they are on the device before the handle that converts
// them begins (ordering O1). If one of them cannot be written, nothing of that extent is converted (ordering O6).

// convertExclusive makes the blocks under the bytes [off, end) written, and the file end bytes long if it is shorter.
// The data must be on the device already. It is called inside exclusive.
func (n *openInode) convertExclusive(off, end int64) error {
	first, last := n.fs.blocks(off, end-off)
	err := n.update(convertMost, func(h *journal.Handle) error {
		return n.written(h, first, last, end)
	})
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	for first < last {
		e, err := n.lookup(first)
		if err != nil {
			return err
		}
		part := e.Cut(uint64(first), uint64(last))
		if err := n.convertPart(part, end); err != nil {
			return err
		}
		first = layout.Lblk(part.End())
	}
	return nil
}

// written makes the blocks [first, last) written in a handle, and the file size bytes long if it is shorter.
func (n *openInode) written(h *journal.Handle, first, last layout.Lblk, size int64) error {
	if err := n.fs.vol.Extents.Convert(h, n.ino, first, uint32(last-first), false); err != nil {
		return err
	}
	return n.wrote(h, size)
}

// convertPart makes a part of an extent written, whose data up to byte end is on the device. If need be, it also
// converts more of the extent, after it has filled that with zeros.
func (n *openInode) convertPart(part layout.Extent, end int64) error {
	bs := int64(n.fs.vol.Geo.BlockSize)
	size, err := n.size()
	if err != nil {
		return err
	}
	from, to := part.Lblk, layout.Lblk(part.End())
	if part.Unwritten {
		_, limit := n.fs.blocks(0, max(end, int64(size)))
		if from, to, err = n.widen(part, limit); err != nil {
			return err
		}
		before := layout.Extent{Pblk: part.Pblk - layout.Pblk(part.Lblk-from), Len: uint32(part.Lblk - from)}
		behind := layout.Extent{Pblk: part.Pblk + layout.Pblk(part.Len), Len: uint32(uint64(to) - part.End())}
		if err := errors.Join(n.fs.zeroOut(before), n.fs.zeroOut(behind)); err != nil {
			return err
		}
		n.dirty.Store(true)
	}
	return n.update(convertCredits, func(h *journal.Handle) error {
		return n.written(h, from, to, min(end, int64(part.End())*bs))
	})
}

// widen is extent.Map.Widen for a part of an extent.
func (n *openInode) widen(part layout.Extent, limit layout.Lblk) (from, to layout.Lblk, err error) {
	v := n.fs.vol.Journal.View()
	defer v.Close()
	m, err := n.fs.vol.Extents.Open(v, n.ino)
	if err != nil {
		return 0, 0, err
	}
	return m.Widen(part.Lblk, part.Len, limit)
}

// zeroOut fills the blocks of an extent with zeros on the device.
func (f *FS) zeroOut(e layout.Extent) error {
	if e.Len == 0 {
		return nil
	}
	bs := int64(f.vol.Geo.BlockSize)
	at, end := int64(e.Pblk)*bs, (int64(e.Pblk)+int64(e.Len))*bs
	zeros := block.Aligned(int(min(end-at, exclusiveChunk)), max(f.vol.Dev.Align(), 1))
	for at < end {
		k := min(int64(len(zeros)), end-at)
		if _, err := f.vol.Dev.WriteAt(zeros[:k], at); err != nil {
			return err
		}
		at += k
	}
	return nil
}
