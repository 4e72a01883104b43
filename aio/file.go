package aio

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"ext4img/aio/block"
)

// file is a regular file or a block device.
type file struct {
	f        *os.File
	locks    []*os.File // descriptors that hold locks, if f does not: the file itself, then the files behind loop devices
	path     string
	size     int64
	align    int // of offsets and lengths
	memAlign int // of buffer addresses
	sector   int // sector size of a block device, or 0
	write    bool
	direct   bool
	cut      cutShort

	engineMu sync.Mutex
	engines  []string // engines that may still be tried, best first
	engine   string   // engine of the last queue
	reason   string   // why I/O is not direct, or why the engine is not a better one

	// unaligned serializes the writes that read the rest of a sector, change part of it and write it back.
	unaligned sync.Mutex
	bounce    bouncer

	tailOnce sync.Once
	tail     *os.File // buffered, for the bytes after the last whole sector
	tailErr  error
}

// defaultAlign is the alignment that is reported if none is needed. An arena for any device starts with it.
const defaultAlign = 512

// Open opens an image file or a block device, for direct I/O if the file system supports it. It takes locks that keep
// other processes of this program out: shared for reading, exclusive with Write. On Linux it also takes QEMU's locks,
// and locks the file behind a loop device. With Write it refuses an image that is mounted, attached to a loop device,
// or open for writing in any process that can be seen.
//
// An error is an *fs.PathError with the path as it was given, around an error of the system or ErrInUse.
func Open(path string, o Options) (Device, error) {
	f, err := open(path, o)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: bare(err)}
	}
	return f, nil
}

// open is Open, but its errors need not name the path.
func open(path string, o Options) (*file, error) {
	if err := checkEngine(o.Engine); err != nil {
		return nil, err
	}
	f, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	f.bounce = newBouncer(max(f.align, f.memAlign))
	direct := f.reason
	if err := pickEngine(f, o.Engine); err != nil {
		f.Close()
		return nil, err
	}
	if !f.direct && !o.Buffered && o.Warn != nil {
		o.Warn(fmt.Sprintf("%s: direct I/O is not possible here, going through the page cache: %s", path, direct))
	}
	return f, nil
}

// bare removes the path from an error of package os.
func bare(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	return err
}

func (f *file) Size() int64 { return f.size }
func (f *file) Align() int  { return max(f.align, f.memAlign) }

// aligned says whether a transfer may go to the file as it is.
func (f *file) aligned(p []byte, off int64) bool {
	return !f.direct || (off|int64(len(p)))&int64(f.align-1) == 0 && block.IsAligned(p, f.memAlign)
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > f.size-off {
		p, end = p[:f.size-off], io.EOF
	}
	if !f.aligned(p, off) {
		n, err := f.bounceRead(p, off)
		if err != nil {
			end = f.wrap("read", len(p), off, err)
		}
		return n, end
	}
	n, err := f.f.ReadAt(p, off)
	if n < len(p) {
		return n, f.wrap("read", len(p), off, err)
	}
	return n, end
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if !f.write {
		return 0, f.wrap("write", len(p), off, ErrReadOnly)
	}
	if err := CheckRange(f.size, off, len(p)); err != nil {
		return 0, err
	}
	if err := f.mayWrite(off, len(p)); err != nil {
		return 0, f.wrap("write", len(p), off, err)
	}
	var n int
	var err error
	if f.aligned(p, off) {
		n, err = f.f.WriteAt(p, off)
	} else {
		n, err = f.bounceWrite(p, off)
	}
	if err != nil {
		return n, f.wrap("write", len(p), off, err)
	}
	return n, nil
}

// wrap adds the place to an error. If the file ends before the size it had at Open, the error says that it shrank.
func (f *file) wrap(what string, n int, off int64, err error) error {
	if err == io.EOF || err == nil || err == io.ErrUnexpectedEOF {
		err = f.intact()
	}
	if err == nil {
		err = fmt.Errorf("the file ends before its size of %d bytes: %w", f.size, io.ErrUnexpectedEOF)
	}
	if pe, ok := err.(*os.PathError); ok {
		err = pe.Err
	}
	return fmt.Errorf("%s %s: %d bytes at offset %d: %w", what, f.path, n, off, err)
}

// Flush implements Device.
func (f *file) Flush() error {
	if !f.write {
		return nil
	}
	if err := flushFile(f.f); err != nil {
		return fmt.Errorf("flush %s: %w", f.path, err)
	}
	if err := f.intact(); err != nil {
		return fmt.Errorf("flush %s: %w", f.path, err)
	}
	return nil
}

// Close implements Device. It does not flush. Queues must be closed before. It is an error if another program has cut the
// file that was written to.
func (f *file) Close() error {
	f.tailOnce.Do(func() {})
	if f.tail != nil {
		f.tail.Close()
	}
	err := f.intactAtEnd()
	if err != nil {
		err = fmt.Errorf("close %s: %w", f.path, err)
	}
	if e := f.f.Close(); err == nil {
		err = e
	}
	closeAll(f.locks)
	return err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
