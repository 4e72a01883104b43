package aio

import (
	"io"
	"slices"
	"sync"
)

const overlayPage = 4096

// An Overlay is a device that reads from a base device and keeps in memory what is written to the overlay. The base
// is never written and never flushed. The memory used is the amount written, rounded up to 4 KiB pages.
type Overlay struct {
	base  Device
	mu    sync.RWMutex
	pages map[int64][]byte // by page number
}

// NewOverlay makes an overlay over dev. Closing it closes dev.
func NewOverlay(dev Device) *Overlay {
	return &Overlay{base: dev, pages: map[int64][]byte{}}
}

// Size implements Device.
func (o *Overlay) Size() int64 { return o.base.Size() }

// Align implements Device.
func (o *Overlay) Align() int { return o.base.Align() }

// Flush implements Device. It does nothing, because an overlay does not outlive the process.
func (o *Overlay) Flush() error { return nil }

// Close implements Device.
func (o *Overlay) Close() error { return o.base.Close() }

// Unwrap returns the base.
func (o *Overlay) Unwrap() Device { return o.base }

// Pages returns the offsets of the 4 KiB pages held in memory, in order.
func (o *Overlay) Pages() []int64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	out := make([]int64, 0, len(o.pages))
	for i := range o.pages {
		out = append(out, i*overlayPage)
	}
	slices.Sort(out)
	return out
}

// ReadAt implements io.ReaderAt.
func (o *Overlay) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= o.Size() {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > o.Size()-off {
		p, end = p[:o.Size()-off], io.EOF
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	for done := 0; done < len(p); {
		n, page := o.run(p[done:], off+int64(done))
		part := p[done : done+n]
		if page != nil {
			copy(part, page)
		} else if m, err := o.base.ReadAt(part, off+int64(done)); m < n {
			return done + m, err
		}
		done += n
	}
	return len(p), end
}

// run returns how many bytes at the start of p, for offset off, come from one place, and that place: bytes in memory,
// or nil for the base.
func (o *Overlay) run(p []byte, off int64) (int, []byte) {
	in := int(off % overlayPage)
	n := min(len(p), overlayPage-in)
	if page := o.pages[off/overlayPage]; page != nil {
		return n, page[in:]
	}
	if len(o.pages) == 0 {
		return len(p), nil
	}
	for n < len(p) && o.pages[(off+int64(n))/overlayPage] == nil {
		n = min(len(p), n+overlayPage)
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (o *Overlay) WriteAt(p []byte, off int64) (int, error) {
	if err := CheckRange(o.Size(), off, len(p)); err != nil {
		return 0, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for done := 0; done < len(p); {
		at := off + int64(done)
		in := int(at % overlayPage)
		n := min(len(p)-done, overlayPage-in)
		page, err := o.page(at/overlayPage, n == overlayPage)
		if err != nil {
			return done, err
		}
		copy(page[in:], p[done:done+n])
		done += n
	}
	return len(p), nil
}

// page returns page i to be changed. Unless the whole page will be overwritten, it holds the base's bytes.
func (o *Overlay) page(i int64, whole bool) ([]byte, error) {
	if page := o.pages[i]; page != nil {
		return page, nil
	}
	page := make([]byte, overlayPage)
	if !whole {
		want := min(overlayPage, o.Size()-i*overlayPage)
		if n, err := o.base.ReadAt(page[:want], i*overlayPage); int64(n) < want {
			return nil, err
		}
	}
	o.pages[i] = page
	return page, nil
}

// Queue implements Device.
func (o *Overlay) Queue(depth int) (Queue, error) { return newPool(o, depth) }
