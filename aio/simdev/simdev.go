// Package simdev is a block device in memory, for tests. It does, on demand, the worst that the contract of package
// aio allows a device to do:
//
//   - A power cut may lose, keep, tear at sectors and reorder every write that no Flush has made durable.
//     Crash makes any one of those states a Device of its own, in time proportional to the writes since the last Flush.
//   - A request of a queue completes when the test says so, in any order: Hold and Release.
//   - Any I/O can fail: SetFault.
//   - A buffer that was handed to a queue belongs to the queue. It is filled with Scribble until Reap returns it, and a
//     change to it in between panics.
//   - Every write is recorded with its epoch (the number of flushes before it) and a label: Record and Trace.
//
// The device is sparse: its memory is what was written. It owns no bytes on any disk and knows no file system.
package simdev

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"ext4img/aio"
)

// Sector is the unit that a power cut does not tear, in bytes.
const Sector = 512

// Scribble fills a buffer while a queue owns it.
const Scribble = 0xA5

// A Device is an aio.Device in memory. Its methods may be called from any goroutine.
type Device struct {
	mu      sync.Mutex
	changed sync.Cond // a request was completed, or held

	now     *Image // the content that a read sees
	durable *Image // the content that survives every power cut
	pending []*Write
	epoch   int
	seq     int
	label   string
	align   int

	fault  func(IO) error
	ios    int
	hold   func(*aio.Request) bool
	held   []*flight
	trace  *Trace
	closed bool
}

// New makes a device of size bytes, all zero.
func New(size int64) *Device { return FromImage(NewImage(size, 0)) }

// NewFilled makes a device of size bytes, all fill. With 0xAA, a test notices blocks that were never written.
func NewFilled(size int64, fill byte) *Device { return FromImage(NewImage(size, fill)) }

// Load makes a device with the content of a file, which it does not change.
func Load(path string) (*Device, error) {
	m, err := LoadImage(path)
	if err != nil {
		return nil, err
	}
	return FromImage(m), nil
}

// FromImage makes a device whose durable content is a copy of m.
func FromImage(m *Image) *Device {
	d := &Device{now: m.Clone(), durable: m.Clone(), align: Sector}
	d.changed.L = &d.mu
	return d
}

// SetAlign changes what Align reports. The device itself accepts anything.
func (d *Device) SetAlign(n int) { d.align = n }

// Size implements aio.Device.
func (d *Device) Size() int64 { return d.now.size }

// Align implements aio.Device.
func (d *Device) Align() int { return d.align }

// Close implements aio.Device. Image, Crash and Trace still work afterwards.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// ReadAt implements io.ReaderAt.
func (d *Device) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(aio.Read, off, len(p)); err != nil {
		var torn *Torn
		if errors.As(err, &torn) {
			n, _ := d.now.ReadAt(p[:min(torn.Bytes, len(p))], off)
			return n, torn.Err
		}
		return 0, err
	}
	return d.now.ReadAt(p, off)
}

// WriteAt implements io.WriterAt.
func (d *Device) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := aio.CheckRange(d.now.size, off, len(p)); err != nil {
		return 0, err
	}
	w := d.accept(append([]byte(nil), p...), off)
	n, err := d.put(w)
	d.settle(w)
	return n, err
}

// Flush implements aio.Device.
func (d *Device) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flush()
}

// begin counts an I/O and returns the fault for it, or nil.
func (d *Device) begin(op aio.Op, off int64, n int) error {
	if d.closed {
		return aio.ErrClosed
	}
	io := IO{Index: d.ios, Op: op, Off: off, Len: n, Label: d.label, Epoch: d.epoch}
	d.ios++
	if d.fault == nil {
		return nil
	}
	return d.fault(io)
}

// accept records a write, which may reach the medium from now on.
func (d *Device) accept(data []byte, off int64) *Write {
	w := &Write{Seq: d.seq, Epoch: d.epoch, Until: math.MaxInt, Off: off, Data: data, Label: d.label}
	d.seq++
	d.pending = append(d.pending, w)
	if d.trace != nil {
		d.trace.Writes = append(d.trace.Writes, w)
	}
	return w
}

// put makes an accepted write visible. If a fault meets the write, put withdraws the part that was not written.
func (d *Device) put(w *Write) (int, error) {
	want := len(w.Data)
	err := d.begin(aio.Write, w.Off, want)
	if err != nil {
		var torn *Torn
		keep := 0
		if errors.As(err, &torn) {
			keep, err = min(torn.Bytes, want), torn.Err
		}
		w.Data = w.Data[:keep]
	}
	d.now.write(w.Data, w.Off)
	return len(w.Data), err
}

// settle says that a write is no longer in flight: the next flush makes it durable.
func (d *Device) settle(w *Write) { w.Until = d.epoch }

// flush makes every settled write durable and begins the next epoch.
func (d *Device) flush() error {
	if err := d.begin(aio.Flush, 0, 0); err != nil {
		return err
	}
	rest := d.pending[:0]
	for _, w := range d.pending {
		if w.Until <= d.epoch {
			d.durable.write(w.Data, w.Off)
		} else {
			rest = append(rest, w)
		}
	}
	clear(d.pending[len(rest):])
	d.pending = rest
	d.epoch++
	return nil
}

// Epoch is the number of flushes so far.
func (d *Device) Epoch() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.epoch
}

// SetLabel sets the label of the writes that follow, for Trace and for faults.
func (d *Device) SetLabel(label string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.label = label
}

// Image returns a copy of what a read sees now.
func (d *Device) Image() *Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now.Clone()
}

// Hash identifies the content that a read sees now; see Image.Hash.
func (d *Device) Hash() uint64 { return d.Image().Hash() }

// Save writes the content that a read sees now to a sparse file, for programs that judge it.
func (d *Device) Save(path string) error { return d.Image().Save(path) }

// Bytes returns a copy of the content that a read sees now. It is for small devices only.
func (d *Device) Bytes() []byte {
	m := d.Image()
	p := make([]byte, m.size)
	if _, err := m.ReadAt(p, 0); err != nil && err != io.EOF {
		panic(fmt.Sprintf("simdev: reading memory: %v", err))
	}
	return p
}
