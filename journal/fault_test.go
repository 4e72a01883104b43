package journal

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"ext4img/aio"
	"ext4img/aio/simdev"
)

var errDisk = errors.New("disk is gone")

// TestEveryIOFails lets the i-th I/O fail, for all i, alone or with all later ones. The journal is then aborted,
// every call fails, and recovery finds every transaction that was acknowledged.
func TestEveryIOFails(t *testing.T) {
	r := seeded(t)
	for _, from := range []bool{false, true} {
		for i := 0; ; i += 1 + r.Intn(2) {
			w := newWorld(t, r, form{features: FeatureCsumV3 | Feature64Bit})
			index := w.dev.IOs() + i
			if from {
				w.dev.SetFault(simdev.FailFrom(index, errDisk))
			} else {
				w.dev.SetFault(simdev.FailAt(index, errDisk))
			}
			if err := w.untilError(60); err == nil {
				break
			} else if !errors.Is(err, errDisk) {
				t.Fatalf("I/O %d: %v", i, err)
			}
			w.dev.SetFault(nil)
			w.afterAbort(t, i)
		}
	}
}

// untilError commits, checkpoints and closes, and returns the first error of the journal.
func (w *crashWorld) untilError(steps int) error {
	for i := range steps {
		w.change()
		if i%3 == 0 {
			if err := w.CommitAll(); err != nil {
				return err
			}
			w.m.acked[w.Committed()] = w.dev.Epoch()
		}
		if i%20 == 10 {
			if err := w.Checkpoint(); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

func (w *crashWorld) afterAbort(t *testing.T, i int) {
	t.Helper()
	if w.Err() != nil {
		if _, err := w.Start(1); !errors.Is(err, errDisk) {
			t.Errorf("I/O %d: Start after abort: %v", i, err)
		}
		if err := w.CommitAll(); !errors.Is(err, errDisk) {
			t.Errorf("I/O %d: CommitAll after abort: %v", i, err)
		}
		if err := w.Close(); !errors.Is(err, errDisk) {
			t.Errorf("I/O %d: Close after abort: %v", i, err)
		}
	}
	w.must(w.dev.Flush())
	for at := range w.m.blocks { // unacknowledged data is not part of this test
		if w.last(at).kind == 'd' {
			delete(w.m.blocks, at)
		}
	}
	w.m.check(t, w.dev.Epoch(), w.dev)
}

func TestAbortIsRecorded(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	r.must(r.CommitAll())
	r.put(2, 10)
	r.dev.SetFault(simdev.FailAt(r.dev.IOs(), errDisk))
	if err := r.CommitAll(); !errors.Is(err, errDisk) {
		t.Fatalf("CommitAll: %v", err)
	}
	if info, err := ReadInfo(r.dev, *testArea()); err != nil || info.Errno != -int32(syscall.EIO) {
		t.Errorf("%+v, %v", info, err)
	}
	rec, err := Recover(r.dev, *testArea())
	r.must(err)
	if rec.Errno == 0 || rec.Transactions != 1 {
		t.Errorf("%+v", rec)
	}
	if info, err := ReadInfo(r.dev, *testArea()); err != nil || info.Errno != 0 {
		t.Errorf("after recovery: %+v, %v", info, err)
	}
}

func TestAbortByCaller(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	h, err := r.Start(1)
	r.must(err)
	p, err := h.Create(whole(10))
	r.must(err)
	p[0] = 1
	r.Abort(errDisk)
	r.Abort(errors.New("another"))
	if _, err := h.Stop(); !errors.Is(err, errDisk) {
		t.Errorf("Stop: %v", err)
	}
	if err := r.Commit(r.Running()); !errors.Is(err, errDisk) {
		t.Errorf("Commit: %v", err)
	}
}

// TestConcurrent runs handles, views and commits from many goroutines. The two blocks of a pair always show the same
// value.
func TestConcurrent(t *testing.T) {
	r := newRig(t, FeatureCsumV3|Feature64Bit)
	r.cfg.CacheBytes = 1
	r.open()
	for p := range uint64(10) {
		r.put(0, 20+2*p, 21+2*p)
	}
	var wg sync.WaitGroup
	run := func(f func(i int) error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 150 {
				if err := f(i); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	for g := range 4 {
		run(func(i int) error {
			pair := 20 + 2*uint64((i*7+g)%10)
			h, err := r.Start(2)
			if err != nil {
				return err
			}
			for b := pair; b < pair+2; b++ {
				p, err := h.Get(whole(b))
				if err != nil {
					h.Cancel()
					return err
				}
				p[0] = byte(i % 200)
			}
			tid, err := h.Stop()
			if err == nil && i%3 == 0 {
				err = r.Commit(tid)
			}
			return err
		})
		run(func(i int) error {
			pair := 20 + 2*uint64((i*3+g)%10)
			v := r.View()
			defer v.Close()
			a, err := v.Read(whole(pair))
			if err != nil {
				return err
			}
			b, err := v.Read(whole(pair + 1))
			if err == nil && a[0] != b[0] {
				t.Errorf("half a handle: %d and %d", a[0], b[0])
			}
			return err
		})
	}
	wg.Wait()
	r.must(r.Close())
	if s := r.Stats(); s.Commits >= s.Handles {
		t.Errorf("%d commits of %d handles", s.Commits, s.Handles)
	}
}

// TestCommitInterval waits for a commit that the interval starts, not a caller.
func TestCommitInterval(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.cfg.CommitInterval = time.Millisecond
	flushed := make(chan struct{}, 100)
	r.dev.SetFault(func(io simdev.IO) error {
		if io.Op == aio.Flush {
			flushed <- struct{}{}
		}
		return nil
	})
	r.open()
	tid := r.put(1, 10)
	<-flushed
	<-flushed
	r.must(r.Commit(tid)) // waits for the one that is under way
	if s := r.Stats(); s.Commits != 1 {
		t.Errorf("%d commits", s.Commits)
	}
	r.dev.SetFault(nil)
	r.must(r.Close())
}

// TestExternalJournal has the log on a device of its own, numbered from that device's start.
func TestExternalJournal(t *testing.T) {
	dev, logDev := simdev.New(testBlocks*testBlock), simdev.New(200*testBlock)
	area := Area{Device: logDev, Blocks: []Run{{0, 200}}, BlockSize: testBlock, Super: 2}
	format(t, dev, &area, FeatureCsumV3, 0)
	activated := 0
	r := &rig{t: t, dev: dev, cfg: Config{
		Device: dev, BlockSize: testBlock, Blocks: testBlocks, Log: &area,
		Activate: func() error { activated++; return nil },
	}}
	r.open()
	r.put(1, 10, testLogAt) // the file system has no log to protect
	r.must(r.CommitAll())
	r.put(2, 11)
	r.must(r.CommitAll())
	if home(t, dev, 10) != 0 {
		t.Error("home before recovery")
	}
	rec, err := Recover(dev, area)
	r.must(err)
	if rec.Transactions != 2 || home(t, dev, 10) != 1 || home(t, dev, 11) != 2 || activated != 1 {
		t.Errorf("%+v, activated %d times", rec, activated)
	}
}

// TestActivate: what Activate wrote is what handles see, and it runs before anything is written.
func TestActivate(t *testing.T) {
	r := newRig(t, FeatureCsumV3)
	r.put(1, 10)
	r.must(r.Close())
	r.cfg.Activate = func() error {
		return UpdateHome(r.dev, testBlock, whole(10), func(p []byte) error { p[0] = 42; return nil })
	}
	r.open()
	if got := r.seen(10); got != 1 {
		t.Errorf("before the first handle: %d", got)
	}
	r.put(2, 11)
	if got := r.seen(10); got != 42 {
		t.Errorf("after it: %d", got)
	}
	r.cfg.Activate = func() error { return errDisk }
	r.must(r.Close())
	r.open()
	if _, err := r.Start(1); !errors.Is(err, errDisk) {
		t.Errorf("Start: %v", err)
	}
}
