package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// TestAbort lets a write of the log fail while writes are on the device: their conversion cannot be journaled. Nothing
// is converted, the writers hear it, so does everybody who waits, nobody hangs, and the image recovers.
func TestAbort(t *testing.T) {
	r := newQueueRig(t, 8)
	f := preallocated(t, r.fs, "/db", 64*rigBlock)
	other := preallocated(t, r.fs, "/other", 64*rigBlock)
	r.do(requests(f, rigBlock, 1, 2)...)
	must(t, f.Sync())
	log := r.logArea()
	r.dev.Hold(func(q *aio.Request) bool { return q.Op == aio.Write })
	must(t, r.q.Submit(requests(f, rigBlock, 5, 6, 20)...))
	r.dev.WaitHeld(3)

	waiters := map[string]func() error{
		"sync":     f.Sync,
		"fs sync":  r.fs.Sync,
		"truncate": func() error { return f.Truncate(0) },
		"punch":    func() error { return f.Fallocate(FallocPunchHole|FallocKeepSize, 0, 10*rigBlock) },
		"write at": func() error { _, err := f.WriteAt([]byte("x"), 0); return err },
		"submit":   func() error { return r.oneWrite(f, 30) },
		"create":   func() error { _, err := r.fs.Create("/new", Attr{Perm: 0o644}); return err },
	}
	ended := make(chan string, len(waiters))
	r.dev.SetFault(func(io simdev.IO) error {
		if io.Op == aio.Write && log(io.Off) {
			return syscall.EIO
		}
		return nil
	})
	_, err := other.WriteAt([]byte("y"), 0)
	must(t, err)
	if err := other.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync whose log write fails: %v", err)
	}
	for name, wait := range waiters {
		go func() {
			if err := wait(); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %v", name, err)
			}
			ended <- name
		}()
	}
	for !holdsOff(f) {
		runtime.Gosched()
	}
	r.dev.Unhold()
	for range waiters {
		<-ended
	}
	for _, q := range r.reap(r.q, 3) {
		if !errors.Is(q.Err, syscall.EIO) {
			t.Errorf("write of block %v: %v", q.User, q.Err)
		}
	}
	must(t, r.q.Close())
	_, _ = f.Close(), other.Close() // with the error or without: it was reported
	if err := r.fs.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
	r.dev.SetFault(nil)
	r.recovers()
}

// recovers opens an aborted file system again: /db has what was synced, blocks 1 and 2, nothing else, and the device is
// judged.
func (r *queueRig) recovers() {
	r.Helper()
	var err error
	r.fs, err = Open(r.dev, Options{})
	must(r.T, err)
	want := make([]byte, 64*rigBlock)
	for _, q := range requests(nil, rigBlock, 1, 2) {
		copy(want[q.Off:], q.Buf)
	}
	r.holds("/db", want)
	r.q = nil
	r.end()
}

// logArea tells whether a byte of the device lies in the journal.
func (r *queueRig) logArea() func(off int64) bool {
	v := r.fs.vol.Journal.View()
	defer v.Close()
	var log []layout.Extent
	must(r.T, r.fs.vol.Extents.Walk(v, layout.JournalIno, 0, func(e layout.Extent) (bool, error) {
		log = append(log, e)
		return true, nil
	}))
	return func(off int64) bool {
		return slices.ContainsFunc(log, func(e layout.Extent) bool {
			b := uint64(off / rigBlock)
			return b >= uint64(e.Pblk) && b < uint64(e.Pblk)+uint64(e.Len)
		})
	}
}

// oneWrite writes one block through a queue of its own.
func (r *queueRig) oneWrite(f *File, block int) error {
	q, err := r.fs.NewQueue(1)
	if err != nil {
		return err
	}
	req := requests(f, rigBlock, block)[0]
	err = q.Submit(req)
	_, e := q.Reap(1)
	return errors.Join(err, e, req.Err, q.Close())
}

// deafDevice is a device whose queues stop telling what they have done.
type deafDevice struct {
	*simdev.Device
	deaf atomic.Bool
}

func (d *deafDevice) Queue(depth int) (aio.Queue, error) {
	q, err := d.Device.Queue(depth)
	return &deafQueue{q, d}, err
}

type deafQueue struct {
	aio.Queue
	d *deafDevice
}

func (q *deafQueue) Reap(least int) ([]*aio.Request, error) {
	done, err := q.Queue.Reap(least)
	if q.d.deaf.Load() {
		return nil, syscall.ENODEV
	}
	return done, err
}

// TestDeafQueue: when the queue of the device itself fails, what it had is given up. Every request comes back with the
// error, no waiter hangs, and nothing is changed any more: the device may still write. What was synced is there.
func TestDeafQueue(t *testing.T) {
	fs, dev := simImage(t, "64M", "-b", "4096")
	must(t, fs.Close())
	deaf := &deafDevice{Device: dev}
	fs, err := Open(deaf, Options{})
	must(t, err)
	q, err := fs.NewQueue(4)
	must(t, err)
	r := &queueRig{t, fs, dev, q}
	f := preallocated(t, fs, "/db", 64*rigBlock)
	r.do(requests(f, rigBlock, 1, 2)...)
	must(t, f.Sync())

	dev.Hold(func(q *aio.Request) bool { return q.Op == aio.Write })
	reqs := requests(f, rigBlock, 1, 5, 7)
	reqs = append(reqs, &Request{File: f, Op: aio.Write, Buf: make([]byte, 3*rigBlock), Off: 20 * rigBlock})
	must(t, q.Submit(reqs...))
	dev.WaitHeld(4)
	waiters := []func() error{f.Sync, func() error { return f.Truncate(0) }, func() error { return q.Submit(requests(f, rigBlock, 30, 31)...) }}
	ended := make(chan error, len(waiters))
	for _, wait := range waiters {
		go func() { ended <- wait() }()
	}
	deaf.deaf.Store(true)
	dev.Unhold()
	for range waiters {
		if err := <-ended; !errors.Is(err, syscall.ENODEV) {
			t.Errorf("a waiter got %v", err)
		}
	}
	back := 0
	for back < len(reqs) {
		done, err := q.Reap(1)
		if !errors.Is(err, syscall.ENODEV) {
			t.Fatalf("reap: %v", err)
		}
		for _, q := range done {
			if back++; !errors.Is(q.Err, syscall.ENODEV) {
				t.Errorf("write at %d: %v", q.Off, q.Err)
			}
		}
	}
	if _, err := fs.Create("/new", Attr{Perm: 0o644}); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("create: %v", err)
	}
	if err := errors.Join(q.Close(), f.Close(), fs.Close()); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("close: %v", err)
	}
	r.recovers()
}

// slowDevice is a device whose flushes begin, and end when they are let.
type slowDevice struct {
	*simdev.Device
	begun, let chan struct{}
}

func (d *slowDevice) Flush() error {
	d.begun <- struct{}{}
	<-d.let
	return d.Device.Flush()
}

// TestSyncWaitsForSync: a Sync does not return while another one is still making durable what both are about, and one
// whose flush fails leaves a file system that no later Sync calls durable.
func TestSyncWaitsForSync(t *testing.T) {
	fs, dev := simImage(t, "64M", "-b", "4096")
	f := preallocated(t, fs, "/db", 4*rigBlock)
	must(t, f.Sync())
	slow := &slowDevice{dev, make(chan struct{}), make(chan struct{})}
	fs.vol.Dev = slow
	for _, lost := range []bool{false, true} {
		f.n.dirty.Store(true)
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- f.Sync() }()
		}
		<-slow.begun
		select {
		case err := <-ended:
			t.Fatalf("a sync returned %v while the device was flushing", err)
		case <-time.After(50 * time.Millisecond):
		}
		if lost {
			dev.SetFault(func(simdev.IO) error { return syscall.EIO })
		}
		slow.let <- struct{}{}
		for range 2 {
			if err := <-ended; errors.Is(err, syscall.EIO) != lost {
				t.Errorf("flush fails: %v, sync: %v", lost, err)
			}
		}
	}
	dev.SetFault(nil)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync after a failed flush: %v", err)
	}
}

// errGone is the fault of TestEveryIOFails.
var errGone = errors.New("disk is gone")

// faultBlock is the block size there.
const faultBlock = 1024

// faultSteps is a small workload of one file of 64 preallocated blocks.
var faultSteps = []struct {
	name string
	run  func(f *File, q *Queue) error
}{
	{"first writes", func(f *File, q *Queue) error { return faultWrites(f, q, 1, 3, 5, 9, 13, 2) }},
	{"sync", func(f *File, _ *Queue) error { return f.Sync() }},
	{"overwrites", func(f *File, q *Queue) error { return faultWrites(f, q, 5, 3, 14, 40) }},
	{"read", func(f *File, q *Queue) error {
		return throughQueue(q, &Request{File: f, Op: aio.Read, Buf: make([]byte, 20*faultBlock)})
	}},
	{"unaligned", func(f *File, _ *Queue) error {
		_, err := f.WriteAt(bytes.Repeat([]byte{'u'}, 2*faultBlock), 20*faultBlock+7)
		return err
	}},
	{"punch", func(f *File, _ *Queue) error {
		return f.Fallocate(FallocPunchHole|FallocKeepSize, 4*faultBlock, 6*faultBlock)
	}},
	{"sync", func(f *File, _ *Queue) error { return f.Sync() }},
	{"extend", func(f *File, q *Queue) error { return faultWrites(f, q, 70, 71) }},
	{"truncate", func(f *File, _ *Queue) error { return f.Truncate(41 * faultBlock) }},
	{"holes", func(f *File, q *Queue) error { return faultWrites(f, q, 5, 6, 41) }},
	{"sync", func(f *File, _ *Queue) error { return f.Sync() }},
}

func faultWrites(f *File, q *Queue, blocks ...int) error {
	return throughQueue(q, requests(f, faultBlock, blocks...)...)
}

// throughQueue submits requests and takes all of them back.
func throughQueue(q *Queue, reqs ...*Request) error {
	err := q.Submit(reqs...)
	for n := 0; n < len(reqs); {
		done, e := q.Reap(1)
		if err = errors.Join(err, e); len(done) == 0 {
			return errors.Join(err, fmt.Errorf("%d requests of %d came back", n, len(reqs)))
		}
		for _, r := range done {
			err = errors.Join(err, r.Err)
		}
		n += len(done)
	}
	return err
}

// faultRun is one run of the steps.
type faultRun struct {
	contents [][]byte // of the file after each step; with a fault, none
	durable  int      // contents[durable:] may be seen: the last step that was synced, all before without an error
	err      error    // the first
}

// run opens a device, does the steps, closes. The steps go on after an error, as programs do.
func (r *faultRun) run(dev *simdev.Device, watch bool) {
	fail := func(what string, err error) {
		if err != nil && r.err == nil {
			r.err = fmt.Errorf("%s: %w", what, err)
		}
	}
	fs, err := Open(dev, Options{})
	if err != nil {
		fail("open", err)
		return
	}
	f, err := fs.OpenFile("/db", os.O_RDWR, 0)
	fail("open file", err)
	q, e := fs.NewQueue(4)
	fail("queue", e)
	if err == nil && e == nil {
		for i, s := range faultSteps {
			fail(s.name, s.run(f, q))
			if watch {
				p, err := fs.readFile("/db")
				fail("watch", err)
				r.contents = append(r.contents, p)
			}
			if s.name == "sync" && r.err == nil {
				r.durable = i
			}
		}
		fail("close queue", q.Close())
		fail("close file", f.Close())
	}
	fail("close", fs.Close())
}

// TestEveryIOFails lets the i-th I/O of a workload fail, for all i, alone or with all that follow: nobody hangs, the
// error is reported and is the device's, and what is left recovers to what was synced or came later.
func TestEveryIOFails(t *testing.T) {
	img := newImage(t, "16M", "-t", "ext4", "-b", "1024")
	dev, err := simdev.Load(img)
	must(t, err)
	fs, err := Open(dev, Options{})
	must(t, err)
	must(t, preallocated(t, fs, "/db", 64*faultBlock).Close())
	must(t, fs.Close())
	base := dev.Image()

	good := &faultRun{}
	dev = simdev.FromImage(base.Clone())
	good.run(dev, true)
	must(t, good.err)
	runs, quiet := 0, 0
	for name, fault := range map[string]func(int, error) func(simdev.IO) error{"one": simdev.FailAt, "all from": simdev.FailFrom} {
		for i := 0; ; i++ {
			dev := simdev.FromImage(base.Clone())
			dev.SetFault(fault(i, errGone))
			r := &faultRun{}
			r.run(dev, false)
			if last := dev.IOs() <= i; last {
				break
			}
			runs++
			if r.err == nil {
				quiet++
			} else if !errors.Is(r.err, errGone) && !errors.Is(r.err, journal.ErrClosed) {
				t.Errorf("%s I/O %d: %v", name, i, r.err)
			}
			dev.SetFault(nil)
			if err := good.judge(t, r, dev, filepath.Join(t.TempDir(), "img"), runs%10 == 0); err != nil {
				t.Errorf("%s I/O %d (%v): %v", name, i, r.err, err)
			}
		}
	}
	t.Logf("%d faults; %d of them met the handle of a batch, whose ranges were then converted one by one", runs, quiet)
}

// judge recovers what a run with a fault left, and compares.
func (r *faultRun) judge(t testing.TB, bad *faultRun, dev *simdev.Device, img string, fsck bool) error {
	fs, err := Open(dev, Options{})
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	got, err := fs.readFile("/db")
	if err := errors.Join(err, fs.Close()); err != nil {
		return err
	}
	if err := checkDevice(dev); err != nil {
		return err
	}
	if fsck {
		if err := errors.Join(dev.Save(img), e2fsckAgrees(t, img)); err != nil {
			return err
		}
	}
	block := func(p []byte, b int) []byte {
		out := make([]byte, faultBlock)
		copy(out, p[min(b*faultBlock, len(p)):])
		return out
	}
	for b := range 80 {
		p, same, found := block(got, b), true, false
		before := block(nil, 0)
		if bad.durable > 0 {
			before = block(r.contents[bad.durable], b)
		}
		for _, c := range r.contents[bad.durable:] {
			same = same && bytes.Equal(block(c, b), before)
			found = found || bytes.Equal(block(c, b), p)
		}
		if !found && !bytes.Equal(p, before) && (same || !allZero(p)) {
			return fmt.Errorf("block %d reads %q…, after %q was durable", b, p[:16], before[:16])
		}
	}
	return nil
}
