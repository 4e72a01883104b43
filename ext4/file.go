package ext4

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"ext4img/aio"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// A File is an open file. Its methods may be called from any goroutine. Each File has one position, which Read, Write
// and Seek share.
type File struct {
	fs   *FS
	n    *openInode
	name string
	flag int

	mu      sync.Mutex
	pos     int64
	list    []fs.DirEntry // of a directory: the names that ReadDir has not returned yet
	listErr error         // the error about parts of the directory that cannot be read
	listed  bool
	closed  bool
}

// allows checks that the file is open for an operation at an offset.
func (f *File) allows(op aio.Op) error {
	if err := f.openFor(op); err != nil {
		return err
	}
	if op == aio.Write && f.flag&os.O_APPEND != 0 {
		return fmt.Errorf("opened for appending: %w", syscall.EINVAL)
	}
	return nil
}

// openFor checks that the file is open for an operation.
func (f *File) openFor(op aio.Op) error {
	mode := f.flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	switch {
	case f.n == nil || f.isClosed():
		return fs.ErrClosed
	case op == aio.Read && mode == os.O_WRONLY, op == aio.Write && mode == os.O_RDONLY:
		return syscall.EBADF
	case op == aio.Write:
		return f.fs.vol.Changeable()
	}
	return nil
}

func (f *File) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// wrap adds the operation and the path to an error.
func (f *File) wrap(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return pathError(op, f.name, err)
}

// Name is the path the file was opened by.
func (f *File) Name() string { return f.name }

// Ino is the inode number.
func (f *File) Ino() uint32 { return uint32(f.n.ino) }

// ReadAt reads from the file at off, as io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, f.wrap("read", syscall.EINVAL)
	}
	if err := f.allows(aio.Read); err != nil {
		return 0, f.wrap("read", err)
	}
	if f.n.end.Unwritten() > 0 {
		_ = f.n.flushUnwritten() // the error goes to the writer and to the next Sync
	}
	n, err := f.n.readAt(p, off)
	return n, f.wrap("read", err)
}

// WriteAt writes to the file at off, as io.WriterAt, under the inode lock and with any alignment. It returns when the
// range is converted. A Queue is faster for many writes.
//
// A file opened with os.O_APPEND accepts no offsets, neither here nor in a Queue: the error is syscall.EINVAL.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, f.wrap("write", syscall.EINVAL)
	}
	if err := f.allows(aio.Write); err != nil {
		return 0, f.wrap("write", err)
	}
	return f.writeAt(p, off)
}

func (f *File) writeAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.n.checkRange(off, len(p)); err != nil {
		return 0, f.wrap("write", err)
	}
	if err := f.n.writeExclusive(p, off); err != nil {
		return 0, f.wrap("write", err)
	}
	return len(p), nil
}

// Read reads from the current position.
func (f *File) Read(p []byte) (int, error) {
	f.mu.Lock()
	pos := f.pos
	f.mu.Unlock()
	n, err := f.ReadAt(p, pos)
	f.advance(pos + int64(n))
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// Write writes at the current position, or at the end of a file opened with os.O_APPEND.
func (f *File) Write(p []byte) (int, error) {
	if err := f.openFor(aio.Write); err != nil {
		return 0, f.wrap("write", err)
	}
	f.mu.Lock()
	pos := f.pos
	f.mu.Unlock()
	if f.flag&os.O_APPEND != 0 {
		size, err := f.n.size()
		if err != nil {
			return 0, f.wrap("write", err)
		}
		pos = int64(size)
	}
	n, err := f.writeAt(p, pos)
	f.advance(pos + int64(n))
	return n, err
}

func (f *File) advance(pos int64) {
	f.mu.Lock()
	f.pos = pos
	f.mu.Unlock()
}

// Values of whence for Seek, beside those of package io.
const (
	SeekData = 3 // the next written range at or after the offset
	SeekHole = 4 // the next hole or unwritten range at or after the offset; the end of the file counts as a hole
)

// Seek sets the position for the next Read or Write. With SeekData and SeekHole it finds written ranges as lseek(2)
// does: an unwritten range reads as zeros and so counts as a hole. syscall.ENXIO when there is none;
// ErrCorrupt in place of it if the size is one that no file can have.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	size, err := f.n.size()
	if err != nil {
		return 0, f.wrap("seek", err)
	}
	switch whence {
	case io.SeekCurrent:
		f.mu.Lock()
		offset += f.pos
		f.mu.Unlock()
	case io.SeekEnd:
		offset += int64(size)
	case SeekData, SeekHole:
		if offset, err = f.n.seek(offset, whence == SeekData, int64(size)); err != nil {
			return 0, f.wrap("seek", err)
		}
	}
	if offset < 0 || whence < 0 || whence > SeekHole {
		return 0, f.wrap("seek", syscall.EINVAL)
	}
	f.advance(offset)
	return offset, nil
}

// seek finds the first byte at or after off that is written, or that is not.
func (n *openInode) seek(off int64, data bool, size int64) (int64, error) {
	bs := int64(n.fs.vol.Geo.BlockSize)
	v := n.fs.vol.Journal.View()
	defer v.Close()
	rec, err := n.fs.vol.Inodes.Read(v, n.ino)
	if err != nil {
		return 0, err
	}
	none := error(syscall.ENXIO)
	if bad := n.fs.badSize(n.ino, rec); bad != nil {
		none, size = bad, n.fs.maxSize()
	}
	if off < 0 || off >= size {
		return 0, none
	}
	if rec.HasFlag(layout.FlagInlineData) { // all of it is data
		switch {
		case none != syscall.ENXIO:
			return 0, none
		case data:
			return off, nil
		}
		return size, nil
	}
	for at := off; at < size; {
		e, err := n.fs.vol.Extents.Lookup(v, n.ino, layout.Lblk(at/bs))
		if err != nil {
			return 0, err
		}
		if written := e.Pblk != 0 && !e.Unwritten; written == data {
			return at, nil
		}
		at = e.EndByte(int(bs))
	}
	if data {
		return 0, none
	}
	return size, nil
}

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) {
	if f.isClosed() {
		return nil, f.wrap("stat", fs.ErrClosed)
	}
	info, err := f.fs.statIno(f.n.ino, baseName(f.name))
	if err != nil {
		return nil, f.wrap("stat", err)
	}
	return info, nil
}

// Truncate sets the size in bytes. Blocks beyond it are freed; what is added reads as zeros.
func (f *File) Truncate(size int64) error {
	err := f.openFor(aio.Write)
	if err == nil {
		err = f.n.inode(func(_ *journal.View, rec layout.Inode) error {
			if rec.HasFlag(layout.FlagAppend | layout.FlagImmutable) {
				return syscall.EPERM
			}
			return nil
		})
	}
	if err != nil {
		if err == syscall.EBADF {
			err = syscall.EINVAL // as ftruncate(2)
		}
		return f.wrap("truncate", err)
	}
	return f.wrap("truncate", f.n.truncate(size))
}

// Sync makes everything written to the file so far durable. It returns the error of a write that failed since the
// last Sync, even if the write itself has reported it, but only once.
func (f *File) Sync() error {
	if f.isClosed() {
		return f.wrap("sync", fs.ErrClosed)
	}
	if f.fs.vol.ReadOnly() {
		return nil
	}
	return f.wrap("sync", f.n.sync())
}

// Close converts what was written and closes the file. The last Close of a file waits for all of its requests. It
// makes nothing durable: Sync does.
func (f *File) Close() error {
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return f.wrap("close", fs.ErrClosed)
	}
	err := f.n.flushUnwritten()
	if err == nil {
		err = f.n.touch()
	}
	if e := f.fs.put(f.n); err == nil {
		err = e
	}
	return f.wrap("close", err)
}

// Extents calls more for each extent of the file in order, without holes, until more returns false. Writes that were
// reported complete are converted. Extents does not wait for writes in flight.
func (f *File) Extents(more func(layout.Extent) bool) error {
	err := f.n.inode(func(v *journal.View, rec layout.Inode) error {
		if !rec.MapsBlocks() {
			return nil
		}
		return f.fs.vol.Extents.Walk(v, f.n.ino, 0, func(e layout.Extent) (bool, error) { return more(e), nil })
	})
	return f.wrap("extents", err)
}
