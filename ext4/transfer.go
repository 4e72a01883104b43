package ext4

import (
	"errors"
	"sync/atomic"
	"syscall"

	"ext4img/aio"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/ioend"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A transfer is one asynchronous read or write in progress: the caller's Request, cut into pieces at the boundaries
// of the file's extents.
type transfer struct {
	q   *Queue
	req *Request
	n   *openInode
	io  *ioend.IOEnd // set for a write

	unwritten int    // unwritten extents under a write
	promised  uint64 // clusters set aside for the conversion's splits

	pieces  []aio.Request // device requests
	left    atomic.Int32  // number of pieces that are not complete
	sent    int           // number of pieces handed to the device; guarded by q.mu
	reaped  int           // number of those that came back; used by the driver only
	reading bool          // it counts as a read in flight
	convert bool          // the range must be converted, or extends the file
	err     atomic.Pointer[error]
}

// errExclusive says that a direct write must be carried out under the inode lock instead. That is so if it does not
// consist of whole blocks, if it leaves a gap after a file that does not, if it is the first to a file with
// capabilities, or if there may be no blocks for its split.
var errExclusive = errors.New("not for direct I/O")

// mapWrite finds the blocks of a write: it fills o.pieces and sets o.convert. hole reports that a part of the range
// has no blocks yet.
func (o *transfer) mapWrite(m extent.Map) (hole bool, err error) {
	rec := m.Inode()
	end := uint64(o.req.Off) + uint64(len(o.req.Buf))
	o.pieces, o.unwritten, o.convert = o.pieces[:0], 0, len(o.req.Buf) > 0 && end > rec.Size()
	wholeBlocks := o.n.fs.wholeBlocks(o.req.Off, len(o.req.Buf))
	tail := rec.Size()%uint64(o.n.fs.vol.Geo.BlockSize) != 0 && uint64(o.req.Off) > rec.Size()
	byBlocks := !rec.HasFlag(layout.FlagExtents)
	if end > rec.Size() && (tail || !wholeBlocks || byBlocks) || rec.HasFlag(layout.FlagInlineData) {
		return false, errExclusive
	}
	err = o.walk(m, func(e layout.Extent, off int64, part []byte) error {
		if e.Pblk == 0 {
			hole = true
			return nil
		}
		if e.Unwritten && !wholeBlocks {
			return errExclusive
		}
		if e.Unwritten {
			o.convert = true
			o.unwritten++
		}
		o.piece(aio.Write, e, off, part)
		return nil
	})
	if hole && (!wholeBlocks || byBlocks) && err == nil {
		err = errExclusive
	}
	return hole, err
}

// mapRead finds the blocks of a read. It clears the parts of the buffer that lie in holes and unwritten ranges at
// once.
func (o *transfer) mapRead(v *journal.View, m extent.Map) error {
	rec := m.Inode()
	if rec.IsDir() {
		return syscall.EISDIR
	}
	o.pieces = o.pieces[:0]
	size := rec.Size()
	o.req.N = 0
	if uint64(o.req.Off) < size {
		o.req.N = int(min(uint64(len(o.req.Buf)), size-uint64(o.req.Off)))
	}
	clear(o.req.Buf[o.req.N:])
	if rec.HasFlag(layout.FlagInlineData) {
		return o.n.fs.vol.Attrs.ReadInline(v, o.n.ino, rec, o.req.Buf[:o.req.N], o.req.Off)
	}
	return o.walk(m, func(e layout.Extent, off int64, part []byte) error {
		if e.Pblk == 0 || e.Unwritten {
			clear(part)
			return nil
		}
		o.piece(aio.Read, e, off, part)
		return nil
	})
}

// walk calls fn for each extent or hole under the request, with the file offset and the part of the buffer that
// belong to it. A read ends at the end of the file.
func (o *transfer) walk(m extent.Map, fn func(e layout.Extent, off int64, part []byte) error) error {
	bs := int64(o.n.fs.vol.Geo.BlockSize)
	buf, off := o.req.Buf, o.req.Off
	if o.req.Op == aio.Read {
		buf = buf[:o.req.N]
	}
	for len(buf) > 0 {
		e, err := m.Lookup(layout.Lblk(off / bs))
		if err != nil {
			return err
		}
		n := min(int64(len(buf)), e.EndByte(int(bs))-off)
		if n <= 0 {
			return layout.Corruptf("inode %d: block %d: extent %d+%d does not hold it", o.n.ino, off/bs, e.Lblk, e.Len)
		}
		if err := fn(e, off, buf[:n]); err != nil {
			return err
		}
		buf, off = buf[n:], off+n
	}
	return nil
}

// piece adds a device request for a part of the buffer. If the part follows the last one both on the device and in
// the buffer, it extends the last request. There may be a hole between them.
func (o *transfer) piece(kind aio.Op, e layout.Extent, off int64, part []byte) {
	at := e.DevByte(off, o.n.fs.vol.Geo.BlockSize)
	if k := len(o.pieces); k > 0 {
		last := &o.pieces[k-1]
		if last.Off+int64(len(last.Buf)) == at && cap(last.Buf)-len(last.Buf) == cap(part) {
			last.Buf = last.Buf[:len(last.Buf)+len(part)]
			return
		}
	}
	o.pieces = append(o.pieces, aio.Request{Op: kind, Buf: part, Off: at, User: o})
}

// wholeBlocks reports whether a range begins and ends at file system blocks.
func (f *FS) wholeBlocks(off int64, n int) bool {
	bs := int64(f.vol.Geo.BlockSize)
	return off%bs == 0 && int64(n)%bs == 0
}

// fillHoles allocates every block of the range that has none, as unwritten extents: only conversion makes blocks
// written.
func (n *openInode) fillHoles(off, length int64) error {
	fs := n.fs
	bs := int64(fs.vol.Geo.BlockSize)
	lblk, end := layout.Lblk(off/bs), layout.Lblk((off+length+bs-1)/bs)
	for lblk < end {
		err := n.update(fs.allocCredits(), func(h *journal.Handle) error {
			next, err := n.allocate(h, lblk, end)
			if err == nil {
				h.AtEnd(func(ok bool) {
					if ok {
						lblk = next
					}
				})
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// allocate maps as many of the holes in [lblk, end) as the handle allows to new unwritten blocks, and returns the
// block at which to continue.
func (n *openInode) allocate(h *journal.Handle, lblk, end layout.Lblk) (layout.Lblk, error) {
	fs := n.fs
	for first := true; lblk < end && (first || h.Room() > fs.allocCredits()/2); first = false {
		e, err := fs.vol.Extents.Lookup(h, n.ino, lblk)
		if err != nil {
			return lblk, err
		}
		here := layout.Lblk(min(uint64(end), uint64(e.Lblk)+uint64(e.Len)))
		if e.Pblk == 0 {
			got, err := fs.vol.Extents.Allocate(h, n.ino, lblk, uint32(here-lblk), true)
			if err != nil {
				return lblk, err
			}
			here = got.Lblk + layout.Lblk(got.Len)
		}
		lblk = here
	}
	return lblk, nil
}
