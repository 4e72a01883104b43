package aio

import (
	"errors"
	"io"
	"os"

	"ext4img/aio/block"
)

const (
	bounceSize  = 256 << 10
	bounceCount = 4
)

// A bouncer lends out at most bounceCount buffers, made when first needed.
type bouncer struct {
	free  chan []byte
	align int
}

func newBouncer(align int) bouncer {
	b := bouncer{make(chan []byte, bounceCount), align}
	for range bounceCount {
		b.free <- nil
	}
	return b
}

func (b *bouncer) get() []byte {
	p := <-b.free
	if p == nil {
		p = block.Aligned(max(bounceSize, 2*b.align), b.align)
	}
	return p
}

func (b *bouncer) put(p []byte) { b.free <- p }

// window is the part of a transfer of n bytes at off that fits into one bounce buffer of room bytes. The part starts
// at the aligned offset from and is length bytes long. In the buffer, skip bytes come before the take bytes of the
// transfer.
func window(off int64, n, align, room int) (from int64, skip, take, length int) {
	skip = int(off & int64(align-1))
	from = off - int64(skip)
	take = min(n, room-skip)
	return from, skip, take, roundUp(skip+take, align)
}

// bounceRead reads p, which lies inside the device, in aligned pieces.
func (f *file) bounceRead(p []byte, off int64) (int, error) {
	b := f.bounce.get()
	defer f.bounce.put(b)
	done := 0
	for done < len(p) {
		from, skip, take, length := window(off+int64(done), len(p)-done, f.align, len(b))
		n, err := f.f.ReadAt(b[:length], from)
		if n < skip+take { // at the end of a file, a read of fewer than length bytes is right
			return done, noEOF(err)
		}
		copy(p[done:done+take], b[skip:])
		done += take
	}
	return done, nil
}

// bounceWrite writes p, which lies inside the device, in aligned pieces. The other bytes of its first and last sector
// keep their content.
func (f *file) bounceWrite(p []byte, off int64) (int, error) {
	f.unaligned.Lock()
	defer f.unaligned.Unlock()
	b := f.bounce.get()
	defer f.bounce.put(b)
	whole := f.size &^ int64(f.align-1)
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= whole {
			n, err := f.writeTail(p[done:], at)
			return done + n, err
		}
		from, skip, take, length := window(at, int(min(int64(len(p)-done), whole-at)), f.align, len(b))
		if skip != 0 {
			if n, err := f.f.ReadAt(b[:f.align], from); n < f.align {
				return done, noEOF(err)
			}
		}
		if last := length - f.align; skip+take != length && (last > 0 || skip == 0) {
			if n, err := f.f.ReadAt(b[last:length], from+int64(last)); n < f.align {
				return done, noEOF(err)
			}
		}
		copy(b[skip:], p[done:done+take])
		if _, err := f.f.WriteAt(b[:length], from); err != nil {
			return done, err
		}
		done += take
	}
	return done, nil
}

// writeTail writes to the bytes after the last whole sector of a file. Direct I/O cannot do that without making the
// file longer. The page cache can, and the kernel writes it back in fdatasync, and before a direct read of the same
// range.
func (f *file) writeTail(p []byte, off int64) (int, error) {
	f.tailOnce.Do(func() {
		f.tail, f.tailErr = os.OpenFile(f.path, os.O_WRONLY, 0)
		if f.tailErr == nil && !sameFile(f.tail, f.f) {
			f.tail.Close()
			f.tail, f.tailErr = nil, errors.New("the path now names another file")
		}
	})
	if f.tailErr != nil {
		return 0, f.tailErr
	}
	return f.tail.WriteAt(p, off)
}

func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

// noEOF returns the error for a read that ended early.
func noEOF(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
