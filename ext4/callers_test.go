package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"ext4img/aio"
	"ext4img/ext4/internal/ioend"
)

// callers are the operations that hold off new direct I/O, wait for what is in flight, and flush before they run. The
// file has 64 blocks, all unwritten.
var callers = map[string]func(f *File) error{
	"truncate":     func(f *File) error { return f.Truncate(20 * rigBlock) },
	"extend":       func(f *File) error { return f.Truncate(100*rigBlock + 5) },
	"preallocate":  func(f *File) error { return f.Fallocate(0, 0, 80*rigBlock) },
	"punch":        func(f *File) error { return f.Fallocate(FallocPunchHole|FallocKeepSize, 8*rigBlock+7, 30*rigBlock) },
	"zero range":   func(f *File) error { return f.Fallocate(FallocZeroRange, 8*rigBlock+7, 30*rigBlock) },
	"collapse":     func(f *File) error { return f.Fallocate(FallocCollapseRange, 8*rigBlock, 30*rigBlock) },
	"insert range": func(f *File) error { return f.Fallocate(FallocInsertRange, 8*rigBlock, 30*rigBlock) },
	"dig holes":    func(f *File) error { return f.DigHoles(0, 0) },
	"write at": func(f *File) error {
		_, err := f.WriteAt(bytes.Repeat([]byte{'z'}, 3*rigBlock), 9*rigBlock+1)
		return err
	},
	"write at end":  func(f *File) error { _, err := f.WriteAt([]byte("tail"), 64*rigBlock+77); return err },
	"write at head": func(f *File) error { _, err := f.WriteAt([]byte("head"), 0); return err },
}

// TestCallersWait: each of them waits for writes that are on the device, into unwritten blocks or over written ones, and
// for reads; new ones wait for it, and the file ends up as if one had come after the other.
func TestCallersWait(t *testing.T) {
	for name, op := range callers {
		for flight, written := range map[string][]int{"writes": nil, "overwrites": {1, 8, 9, 10, 30, 63}} {
			t.Run(name+" after "+flight, func(t *testing.T) { callerWaits(t, op, written) })
		}
	}
}

func callerWaits(t *testing.T, op func(*File) error, written []int) {
	before, behind := []int{1, 8, 9, 30, 63}, []int{2, 9, 19, 33}
	r := newQueueRig(t, 8)
	inTurn := preallocated(t, r.fs, "/turn", 64*rigBlock)
	r.do(requests(inTurn, rigBlock, written...)...)
	r.do(requests(inTurn, rigBlock, before...)...)
	must(t, op(inTurn))
	r.do(requests(inTurn, rigBlock, behind...)...)

	f := preallocated(t, r.fs, "/db", 64*rigBlock)
	r.do(requests(f, rigBlock, written...)...)
	start := blockMap(f)
	r.dev.Hold(func(*aio.Request) bool { return true })
	flying := requests(f, rigBlock, before...)
	if written != nil {
		flying = append(flying, &Request{File: f, Op: aio.Read, Off: 8 * rigBlock, Buf: make([]byte, 2*rigBlock)})
	}
	must(t, r.q.Submit(flying...))
	r.dev.WaitHeld(len(flying))
	ran, submitted := make(chan error, 1), make(chan error, 1)
	go func() { ran <- op(f) }()
	for !holdsOff(f) && len(ran) == 0 {
		runtime.Gosched()
	}
	go func() { submitted <- r.q.Submit(requests(f, rigBlock, behind...)...) }()
	for range 1000 { // time for anybody who does not wait
		runtime.Gosched()
	}
	if got := blockMap(f); got != start || len(ran) > 0 {
		t.Errorf("it ran with requests in flight: %s", got)
	}
	if held := r.dev.Held(); len(held) != len(flying) {
		t.Errorf("%d requests on the device, want %d: new ones have to wait", len(held), len(flying))
	}
	r.dev.Unhold()
	must(t, <-ran)
	must(t, <-submitted)
	for _, q := range r.reap(r.q, len(flying)+len(behind)) {
		must(t, q.Err)
	}
	if got, want := blockMap(f), blockMap(inTurn); got != want {
		t.Errorf("map\n%swant\n%s", got, want)
	}
	want, err := r.fs.readFile("/turn")
	must(t, err)
	r.holds("/db", want)
	r.end(f, inTurn)
}

// TestWaitersForWrites: sync, close and reads wait for the unwritten writes that are on the device, and for no others;
// what they saw is converted.
func TestWaitersForWrites(t *testing.T) {
	for name, wait := range map[string]func(f *File) error{
		"sync":    (*File).Sync,
		"fs sync": func(f *File) error { return f.fs.Sync() },
		"close":   (*File).Close,
		"read at": func(f *File) error {
			p := make([]byte, rigBlock)
			if _, err := f.ReadAt(p, rigBlock); err != nil || p[0] != 'B' {
				return errors.Join(err, errors.New("the write is not there"))
			}
			return nil
		},
		"read": func(f *File) error {
			q, err := f.fs.NewQueue(1)
			if err != nil {
				return err
			}
			req := &Request{File: f, Op: aio.Read, Off: rigBlock, Buf: make([]byte, rigBlock)}
			if err := q.Submit(req); err != nil {
				return err
			}
			_, err = q.Reap(1)
			if req.Buf[0] != 'B' {
				err = errors.New("the write is not there")
			}
			return errors.Join(err, req.Err, q.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newQueueRig(t, 8)
			f := preallocated(t, r.fs, "/db", 16*rigBlock)
			other := preallocated(t, r.fs, "/other", 16*rigBlock)
			r.dev.Hold(func(q *aio.Request) bool { return q.Op == aio.Write })
			must(t, r.q.Submit(requests(f, rigBlock, 1, 5)...))
			writes := slices.Clone(r.dev.WaitHeld(2))
			if name != "fs sync" { // one of another file makes no difference
				must(t, r.q.Submit(requests(other, rigBlock, 1)...))
				r.dev.WaitHeld(3)
			}
			waited := make(chan error, 1)
			go func() { waited <- wait(f) }()
			for r.fs.urgent.Load() == 0 {
				runtime.Gosched()
			}
			if len(waited) > 0 {
				t.Errorf("it did not wait: %v", <-waited)
			}
			r.dev.Hold(func(q *aio.Request) bool { return false }) // log writes are none of a queue
			r.dev.Release(writes...)
			must(t, <-waited)
			if got, want := blockMap(f), "0 1 unwritten\n1 1 written\n2 3 unwritten\n5 1 written\n6 10 unwritten\n"; got != want {
				t.Errorf("map\n%swant\n%s", got, want)
			}
			r.dev.Unhold()
			if name == "close" {
				r.end(other)
			} else {
				r.end(f, other)
			}
		})
	}
}

// TestStreams: a stream of writes and one of reads that always have something on the device starve neither sync nor
// close nor truncate nor punch. Every write submitted sets the oldest one on the device free; were anybody to
// wait for a moment without writes, it would never come.
func TestStreams(t *testing.T) {
	const most = 1 << 20 // requests of a stream: as good as endless
	for name, kind := range map[string]aio.Op{"writes": aio.Write, "reads": aio.Read} {
		t.Run(name, func(t *testing.T) {
			r := newQueueRig(t, 64)
			f := preallocated(t, r.fs, "/db", 256*rigBlock)
			r.dev.Hold(func(q *aio.Request) bool { return true })
			var count atomic.Int64
			var stop atomic.Bool
			streamed := make(chan error, 1)
			go func() { streamed <- r.stream(f, kind, 256, &count, &stop, most) }()
			for i := range 20 {
				g, err := r.fs.OpenFile("/db", os.O_RDWR, 0)
				must(t, err)
				from := count.Load()
				must(t, g.Sync())
				must(t, g.Truncate(int64(100+i)*rigBlock))
				must(t, g.Fallocate(FallocPunchHole|FallocKeepSize, 7*rigBlock, 9*rigBlock))
				must(t, g.Fallocate(0, 0, 256*rigBlock))
				if p := make([]byte, rigBlock); i%2 == 0 {
					_, err = g.ReadAt(p, 3*rigBlock)
					must(t, err)
				}
				must(t, g.Close())
				if n := count.Load() - from; n > most/2 {
					t.Errorf("round %d: %d requests passed", i, n)
				}
			}
			stop.Store(true)
			must(t, <-streamed)
			if count.Load() == most {
				t.Error("starved: the stream had to end before them")
			}
			t.Logf("%d requests went by", count.Load())
			r.end(f)
		})
	}
}

// stream keeps requests on the device without a break, until it is told to stop: the oldest completes when a newer one
// is there. While new ones are held off nobody else can come, and all complete.
func (r *queueRig) stream(f *File, kind aio.Op, blocks int64, count *atomic.Int64, stop *atomic.Bool, most int64) error {
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = bytes.Repeat([]byte{byte(i + 1)}, rigBlock)
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() { // lets complete
		defer close(gone)
		for {
			held := r.dev.Held()
			switch {
			case len(held) > 1 && !holdsOff(f):
				r.dev.Release(held[:len(held)-1]...)
			case len(held) > 0 && holdsOff(f):
				r.dev.Release(held...)
			}
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
		}
	}()
	var err error
	free := 64
	for n := int64(0); n < most && !stop.Load() && err == nil; n++ {
		for free == 0 && err == nil {
			var back []*Request
			back, err = r.q.Reap(0)
			for _, q := range back {
				err = errors.Join(err, q.Err)
			}
			free += len(back)
			runtime.Gosched()
		}
		free--
		err = errors.Join(err, r.q.Submit(&Request{File: f, Op: kind, Buf: bytes.Clone(bufs[n%64]), Off: n * 7 % blocks * rigBlock}))
		count.Add(1)
	}
	close(done)
	<-gone
	r.dev.Unhold()
	return err
}

// TestSyncInStream: a stream of first writes, of which there is always one unconverted, delays neither sync nor read nor
// close for longer than what was begun before takes.
func TestSyncInStream(t *testing.T) {
	const blocks = 12001
	r := newQueueRig(t, 64)
	f := preallocated(t, r.fs, "/db", blocks*rigBlock)
	r.dev.Hold(func(q *aio.Request) bool { return q.Op == aio.Write })
	var count atomic.Int64
	var stop atomic.Bool
	streamed := make(chan error, 1)
	go func() { streamed <- r.stream(f, aio.Write, blocks, &count, &stop, blocks) }()
	for f.n.end.Unwritten() == 0 {
		runtime.Gosched()
	}
	for range 20 {
		g, err := r.fs.OpenFile("/db", os.O_RDWR, 0)
		must(t, err)
		must(t, g.Sync())
		_, err = g.ReadAt(make([]byte, rigBlock), 3*rigBlock)
		must(t, err)
		must(t, g.Close())
	}
	stop.Store(true)
	must(t, <-streamed)
	if count.Load() == blocks {
		t.Error("starved: the stream had to end before them")
	}
	t.Logf("%d requests went by", count.Load())
	r.end(f)
}

// TestTruncatesInARow do not starve writers and readers: 40 of each get through between truncates that never pause.
func TestTruncatesInARow(t *testing.T) {
	r := newQueueRig(t, 2)
	f := preallocated(t, r.fs, "/db", 64*rigBlock)
	var stop atomic.Bool
	cut := make(chan error, 2)
	for i := range 2 {
		go func() {
			var err error
			for !stop.Load() && err == nil {
				err = f.Truncate(int64(32+i) * rigBlock)
			}
			cut <- err
		}()
	}
	for b := range 40 {
		r.do(requests(f, rigBlock, b%32)...)
		r.do(&Request{File: f, Op: aio.Read, Off: int64(b % 32 * rigBlock), Buf: make([]byte, rigBlock)})
	}
	stop.Store(true)
	must(t, <-cut)
	must(t, <-cut)
	r.end(f)
}

// failingConversions makes conversions of a range that holds block b fail, as those of a damaged extent node do; the
// others are carried out.
func failingConversions(f *File, b int64, fail *atomic.Bool) {
	n := f.n
	n.end = ioend.New(func(batch []ioend.Range) {
		for i := range batch {
			if q := &batch[i]; fail.Load() && q.Off <= b*rigBlock && b*rigBlock < q.Off+q.Len {
				q.Err = fmt.Errorf("an extent node: %w", ErrCorrupt)
			} else {
				n.convert(batch[i : i+1])
			}
		}
	}, finishWrite)
}

// TestFlushErrorStops: a failed conversion reaches its writer, stops everybody who would cut or move blocks, leaves the
// file as it is, and is forgotten when a sync has reported it.
func TestFlushErrorStops(t *testing.T) {
	r := newQueueRig(t, 8)
	f := preallocated(t, r.fs, "/db", 64*rigBlock)
	var fail atomic.Bool
	failingConversions(f, 9, &fail)
	fail.Store(true)
	must(t, r.q.Submit(requests(f, rigBlock, 2, 9, 30)...))
	for _, q := range r.reap(r.q, 3) {
		if bad := q.User == 9; bad != errors.Is(q.Err, ErrCorrupt) {
			t.Errorf("write of block %v: %v", q.User, q.Err)
		}
	}
	const want = "0 2 unwritten\n2 1 written\n3 27 unwritten\n30 1 written\n31 33 unwritten\n"
	for name, op := range callers {
		if err := op(f); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if got := blockMap(f); got != want {
			t.Fatalf("%s: map\n%swant\n%s", name, got, want)
		}
	}
	if info, err := f.Stat(); err != nil || info.Size() != 64*rigBlock {
		t.Errorf("size %d, %v", info.Size(), err)
	}
	p := make([]byte, rigBlock)
	if _, err := f.ReadAt(p, 9*rigBlock); err != nil || !allZero(p) {
		t.Errorf("the range reads %x…, %v", p[:4], err)
	}
	if err := f.Sync(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("sync: %v", err)
	}
	must(t, f.Sync())
	fail.Store(false)
	for name, op := range callers {
		must(t, f.Truncate(0))
		must(t, f.Fallocate(0, 0, 64*rigBlock))
		if err := op(f); err != nil {
			t.Errorf("%s after the sync: %v", name, err)
		}
	}
	r.end(f)
}
