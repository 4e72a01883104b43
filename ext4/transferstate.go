package ext4

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"ext4img/aio"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/ioend"
	"ext4img/journal"
)

// A conversion is a work item of the completed-IO machine. It holds the inode as well as the IOEnd. If another
// context flushes first, the IOEnd stays until its work item has run, but its transfer is already used again.
type conversion struct {
	n  *openInode
	io *ioend.IOEnd
}

// begin counts the request in flight before anything is looked up: from then on truncate waits for it. If begin has
// to wait, it first sends the requests of the same batch that have begun, because the operation that it waits for
// waits for those.
func (o *transfer) begin() error {
	f := o.req.File
	if err := f.allows(o.req.Op); err != nil {
		return err
	}
	if err := o.n.checkRange(o.req.Off, len(o.req.Buf)); err != nil {
		return err
	}
	if o.req.Op == aio.Read {
		o.beginRead()
		return o.open()
	}
	if o.req.Op != aio.Write {
		return syscall.EINVAL
	}
	o.n.fs.vol.Journal.MustNotHold("wait for the start of direct I/O")
	end := o.n.end
	if o.io = end.TryBegin(o.req.Off, int64(len(o.req.Buf)), true); o.io == nil {
		o.q.mapBatch()
		o.io = end.Begin(o.req.Off, int64(len(o.req.Buf)), true)
	}
	o.io.Private = o
	return o.open()
}

// open checks again that the file is open, after the request was counted. If Close runs at the same time, either
// Close waits for the request, or this check sees the Close.
func (o *transfer) open() error {
	if o.req.File.isClosed() {
		return fs.ErrClosed
	}
	return nil
}

// beginRead makes sure that a read sees completed writes. It flushes only while conversions are pending. The error of
// the flush goes to the writer and to Sync; an unconverted range reads as zeros.
func (o *transfer) beginRead() {
	end := o.n.end
	if end.Unwritten() > 0 {
		o.q.mapBatch()
		_ = o.n.flushUnwritten()
	}
	if !end.TryBeginRead() {
		o.q.mapBatch()
		end.BeginRead()
	}
	o.reading = true
}

// locate maps the request. For a write into unwritten blocks, it has the blocks promised that a split may need. again
// reports that blocks must be allocated first.
func (o *transfer) locate(v *journal.View, m extent.Map) (again bool, err error) {
	fs := o.n.fs
	if o.reading {
		return false, o.mapRead(v, m)
	}
	if o.n.capable(v) {
		return false, errExclusive
	}
	hole, err := o.mapWrite(m)
	if err != nil || hole {
		return hole, err
	}
	if err := o.promise(v, m); err != nil {
		return false, err
	}
	fs.stats.writes.Add(1)
	if !o.convert {
		o.n.end.Overwrites(o.io)
		return false, nil
	}
	fs.stats.unwritten.Add(1)
	return false, nil
}

// promise sets aside the clusters that the conversion may take for the tree. If too few are free, the write is
// carried out under the inode lock, where a conversion needs none.
func (o *transfer) promise(v *journal.View, m extent.Map) error {
	need, err := m.SplitBlocks(o.unwritten)
	if err != nil {
		return err
	}
	if err := o.n.fs.vol.Space.Promise(v, need); errors.Is(err, syscall.ENOSPC) {
		return errExclusive
	} else if err != nil {
		return fmt.Errorf("blocks for the conversion: %w", err)
	}
	o.promised = need
	return nil
}

// complete ends a transfer whose pieces are all complete. A write that must be converted goes to the completed list.
// If its work item must be queued, complete returns it.
func (o *transfer) complete() (work conversion) {
	n, io := o.n, o.io
	switch {
	case o.reading:
		n.end.EndRead()
		o.finish(o.failure())
	case !o.convert:
		n.overwritten()
		n.end.Complete(io, o.failure())
		o.finish(o.failure())
	case n.end.AddCompleteIO(io, o.failure()):
		return conversion{n, io}
	}
	return conversion{}
}

// failed records the error of a piece; only the first one counts.
func (o *transfer) failed(err error) { o.err.CompareAndSwap(nil, &err) }

// failure is the first error of the pieces, or nil.
func (o *transfer) failure() error {
	if err := o.err.Load(); err != nil {
		return *err
	}
	return nil
}

// reset makes a transfer ready for its next request.
func (o *transfer) reset() {
	o.req, o.n, o.io, o.promised = nil, nil, nil, 0
	o.pieces, o.sent, o.reaped = o.pieces[:0], 0, 0
	o.reading, o.convert = false, false
	o.err.Store(nil)
}

// retract undoes begin and locate.
func (o *transfer) retract() {
	if o.reading {
		o.n.end.EndRead()
		o.reading = false
	}
	if o.io != nil {
		o.n.end.Complete(o.io, nil)
		o.io = nil
	}
}

// abandon ends a transfer that cannot be submitted.
func (o *transfer) abandon(err error) {
	o.retract()
	o.finish(err)
}

// finishWrite is called by the completed-IO machine when a write is complete.
func finishWrite(io *ioend.IOEnd, err error) {
	o := io.Private.(*transfer)
	o.n.dirty.Store(true)
	o.finish(err)
}

// finish passes the request on to Reap.
func (o *transfer) finish(err error) {
	o.n.fs.vol.Space.Release(o.promised)
	if err != nil {
		if errors.Is(err, ErrCorrupt) {
			o.n.fs.vol.Note(err)
		}
		o.req.N = 0
		o.req.Err = fmt.Errorf("inode %d: %w", o.n.ino, err)
	}
	o.q.finished(o)
}
