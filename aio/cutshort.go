package aio

import (
	"fmt"
	"io"
	"sync/atomic"
)

// CutShortError says that another program made the image shorter while it was open: what was there is lost. It is an
// io.ErrUnexpectedEOF.
type CutShortError struct {
	Path      string
	Size, Was int64 // bytes, now and at Open
}

// Error says how much is left.
func (e *CutShortError) Error() string {
	return fmt.Sprintf("the image was cut short by another program: %d bytes, was %d", e.Size, e.Was)
}

// Unwrap makes it an io.ErrUnexpectedEOF.
func (e *CutShortError) Unwrap() error { return io.ErrUnexpectedEOF }

// cutShort remembers that a file was made shorter.
//
// A write beyond the new end makes the file longer again, with a hole where data was. So the size is looked at before
// each write that ends where the file did at Open, the only one that would bring the old size back, and at each flush and
// at the end. A program that cuts the file and gives it its old size back between two looks is not seen.
type cutShort struct {
	err     atomic.Pointer[CutShortError]
	written atomic.Bool // a write was accepted: Close has something to say
}

// intact returns an error if the file is, or was seen to be, shorter than at Open. Block devices keep their size.
func (f *file) intact() error {
	if err := f.cut.err.Load(); err != nil {
		return err
	}
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() >= f.size {
		return nil
	}
	f.cut.err.CompareAndSwap(nil, &CutShortError{f.path, info.Size(), f.size})
	return f.cut.err.Load()
}

// mayWrite is asked before a write of n bytes at off is accepted.
func (f *file) mayWrite(off int64, n int) error {
	if !f.cut.written.Load() {
		f.cut.written.Store(true)
	}
	if err := f.cut.err.Load(); err != nil {
		return err
	}
	if off+int64(n) > f.size-int64(f.Align()) {
		return f.intact()
	}
	return nil
}

// intactAtEnd is intact for Close: a file that was only read, or not used at all, has lost nothing of what was written.
func (f *file) intactAtEnd() error {
	if !f.cut.written.Load() {
		return nil
	}
	return f.intact()
}
