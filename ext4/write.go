package ext4

import (
	"io"

	"ext4img/aio/block"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// exclusiveChunk bounds the memory of one step of an exclusive write, bytes.
const exclusiveChunk = 1 << 20

// writeExclusive writes any range, under the inode lock. Blocks at its ends that are not whole are read, changed and
// written back. Files mapped by block numbers and inline files are extended only here.
func (n *openInode) writeExclusive(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	return n.exclusive(func() error {
		if fits, err := n.writeInline(p, off); fits || err != nil {
			return err
		}
		if err := n.moveOutOfInode(); err != nil {
			return err
		}
		if err := n.zeroTail(off); err != nil {
			return err
		}
		for len(p) > 0 {
			k := min(int64(len(p)), exclusiveChunk-off%exclusiveChunk)
			if err := n.writeChunk(p[:k], off); err != nil {
				return err
			}
			p, off = p[k:], off+k
		}
		return nil
	})
}

// writeChunk writes a range of at most exclusiveChunk bytes.
func (n *openInode) writeChunk(p []byte, off int64) error {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	start, end := off/bs*bs, (off+int64(len(p))+bs-1)/bs*bs
	whole := block.Aligned(int(end-start), max(fs.vol.Dev.Align(), 1))
	if err := n.readEdges(whole, start, off, off+int64(len(p))); err != nil {
		return err
	}
	copy(whole[off-start:], p)
	fs.stats.writes.Add(1)
	byExtents, err := n.mappedByExtents()
	if err != nil {
		return err
	}
	if !byExtents {
		return n.writeByBlocks(whole, start, off+int64(len(p)))
	}
	if err := n.fillHoles(start, end-start); err != nil {
		return err
	}
	unwritten, err := n.writeMapped(whole, start)
	if err != nil {
		return err
	}
	if size, err := n.size(); err != nil || !unwritten && uint64(off)+uint64(len(p)) <= size {
		n.overwritten()
		return err
	}
	n.dirty.Store(true)
	return n.convertExclusive(off, off+int64(len(p)))
}

// readEdges fills the blocks of buf, which begins at start, that [from, to) covers only in part. Bytes beyond the end
// of the file stay zero.
func (n *openInode) readEdges(buf []byte, start, from, to int64) error {
	bs := int64(n.fs.vol.Geo.BlockSize)
	edge := func(at int64) error {
		_, err := n.readAt(buf[at-start:at-start+bs], at)
		if err == io.EOF {
			err = nil
		}
		return err
	}
	if from > start {
		if err := edge(start); err != nil {
			return err
		}
	}
	if last := start + int64(len(buf)) - bs; to%bs != 0 && (last > start || from == start) {
		return edge(last)
	}
	return nil
}

// mappedByExtents tells how the inode is mapped.
func (n *openInode) mappedByExtents() (yes bool, err error) {
	err = n.inode(func(_ *journal.View, rec layout.Inode) error {
		yes = rec.HasFlag(layout.FlagExtents)
		return nil
	})
	return yes, err
}

// writeMapped writes whole blocks, all of which are mapped, and reports whether any of them is unwritten.
func (n *openInode) writeMapped(p []byte, off int64) (unwritten bool, err error) {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	for len(p) > 0 {
		e, err := n.lookup(layout.Lblk(off / bs))
		if err != nil {
			return false, err
		}
		if e.Pblk == 0 {
			return false, layout.Corruptf("block map: a hole at block %d, which was just allocated", off/bs)
		}
		unwritten = unwritten || e.Unwritten
		k := min(int64(len(p)), e.EndByte(int(bs))-off)
		if _, err := fs.vol.Dev.WriteAt(p[:k], e.DevByte(off, int(bs))); err != nil {
			return false, err
		}
		p, off = p[k:], off+k
	}
	return unwritten, nil
}

// lookup finds the extent or hole at a block, under a view of its own.
func (n *openInode) lookup(l layout.Lblk) (layout.Extent, error) {
	v := n.fs.vol.Journal.View()
	defer v.Close()
	return n.fs.vol.Extents.Lookup(v, n.ino, l)
}

// writeByBlocks writes whole blocks of a file mapped by block numbers, which cannot be unwritten. New blocks get
// their data while the handle that maps them runs, so that no commit can come between (ordering O1).
func (n *openInode) writeByBlocks(p []byte, off, end int64) error {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	n.dirty.Store(true)
	for len(p) > 0 {
		var k int64
		err := n.update(fs.allocCredits(), func(h *journal.Handle) error {
			l := layout.Lblk(off / bs)
			e, err := fs.vol.Extents.Lookup(h, n.ino, l)
			if err != nil {
				return err
			}
			k = min(int64(len(p)), e.EndByte(int(bs))-off)
			if e.Pblk == 0 {
				if e, err = fs.vol.Extents.Allocate(h, n.ino, l, uint32(k/bs), false); err != nil {
					return err
				}
				k = int64(e.Len) * bs
			}
			if _, err := fs.vol.Dev.WriteAt(p[:k], e.DevByte(off, int(bs))); err != nil {
				return err
			}
			return n.wrote(h, min(end, off+k))
		})
		if err != nil {
			return err
		}
		p, off = p[k:], off+k
	}
	return nil
}

// zeroTail clears the bytes of the last block after the end of the file, before the file grows beyond upto.
func (n *openInode) zeroTail(upto int64) error {
	size, err := n.size()
	bs := uint64(n.fs.vol.Geo.BlockSize)
	if err != nil || size%bs == 0 || uint64(upto) <= size {
		return err
	}
	return n.zeroPart(int64(size), int64(size-size%bs+bs))
}

// zeroPart clears the bytes [from, to) of one block on the device, if the block is written. An unwritten block
// already reads as zeros and needs no I/O.
func (n *openInode) zeroPart(from, to int64) error {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	e, err := n.lookup(layout.Lblk(from / bs))
	if err != nil || e.Pblk == 0 || e.Unwritten || from >= to {
		return err
	}
	start := from / bs * bs
	at := e.DevByte(start, int(bs))
	buf := block.Aligned(int(bs), max(fs.vol.Dev.Align(), 1))
	if _, err := fs.vol.Dev.ReadAt(buf, at); err != nil && err != io.EOF {
		return err
	}
	if part := buf[from-start : to-start]; !allZero(part) {
		clear(part)
		if _, err := fs.vol.Dev.WriteAt(buf, at); err != nil {
			return err
		}
		n.dirty.Store(true)
	}
	return nil
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
