package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
)

// queueRig is a file system with a queue, on a simulated device.
type queueRig struct {
	*testing.T
	fs  *FS
	dev *simdev.Device
	q   *Queue
}

const rigBlock = 4096

func newQueueRig(t *testing.T, depth int) *queueRig {
	fs, dev := simImage(t, "64M", "-b", "4096")
	q, err := fs.NewQueue(depth)
	must(t, err)
	return &queueRig{t, fs, dev, q}
}

// end closes everything and has the device judged.
func (r *queueRig) end(files ...*File) {
	r.Helper()
	if r.q != nil {
		must(r.T, r.q.Close())
	}
	for _, f := range files {
		must(r.T, f.Close())
	}
	fsckSim(r.T, r.fs, r.dev)
}

// reap takes back n requests.
func (r *queueRig) reap(q *Queue, n int) []*Request {
	r.Helper()
	var all []*Request
	for len(all) < n {
		done, err := q.Reap(1)
		must(r.T, err)
		if len(done) == 0 {
			r.Fatalf("%d requests came back of %d", len(all), n)
		}
		all = append(all, done...)
	}
	return all
}

// do submits requests and takes them back; none may fail.
func (r *queueRig) do(reqs ...*Request) {
	r.Helper()
	must(r.T, r.q.Submit(reqs...))
	for _, req := range r.reap(r.q, len(reqs)) {
		must(r.T, req.Err)
	}
}

// holds compares a file with what it should hold.
func (r *queueRig) holds(name string, want []byte) {
	r.Helper()
	got, err := r.fs.readFile(name)
	must(r.T, err)
	if len(got) != len(want) {
		r.Fatalf("%s: %d bytes, want %d", name, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			r.Fatalf("%s: byte %d is %x, want %x", name, i, got[i], want[i])
		}
	}
}

// TestQueueDepth submits more than the depth at once, at depths down to 1, with nobody else to drive.
func TestQueueDepth(t *testing.T) {
	for _, depth := range []int{1, 2, 7} {
		r := newQueueRig(t, depth)
		f := preallocated(t, r.fs, "/db", 1<<20)
		var blocks []int
		for b := range 100 {
			blocks = append(blocks, b*37%256)
		}
		r.do(requests(f, rigBlock, blocks...)...)
		want := make([]byte, 1<<20)
		for _, q := range requests(f, rigBlock, blocks...) {
			copy(want[q.Off:], q.Buf)
		}
		r.holds("/db", want)
		r.end(f)
	}
}

// TestQueueFull keeps a full queue on the device: Submit waits for a place, and gets it from the first that completes.
func TestQueueFull(t *testing.T) {
	r := newQueueRig(t, 2)
	f := preallocated(t, r.fs, "/db", 1<<20)
	r.dev.Hold(func(q *aio.Request) bool { return q.Op == aio.Write })
	submitted := make(chan error)
	go func() { submitted <- r.q.Submit(requests(f, rigBlock, 0, 1, 2)...) }()
	held := r.dev.WaitHeld(2)
	select {
	case err := <-submitted:
		t.Fatalf("three requests in a queue of two: %v", err)
	default:
	}
	r.dev.Release(held[1])
	must(t, <-submitted)
	r.dev.Unhold()
	r.reap(r.q, 3)
	r.end(f)
}

// TestQueueClose closes a queue with requests in flight: Close waits for them, they are converted, and Reap still
// returns them.
func TestQueueClose(t *testing.T) {
	r := newQueueRig(t, 8)
	f := preallocated(t, r.fs, "/db", 1<<20)
	r.dev.Hold(func(q *aio.Request) bool { return q.Op == aio.Write })
	must(t, r.q.Submit(requests(f, rigBlock, 3, 1, 2)...))
	closed := make(chan error)
	go func() { closed <- r.q.Close() }()
	r.dev.WaitHeld(3)
	select {
	case err := <-closed:
		t.Fatalf("closed with requests in flight: %v", err)
	default:
	}
	r.dev.Unhold()
	must(t, <-closed)
	if got, want := blockMap(f), "0 1 unwritten\n1 3 written\n4 252 unwritten\n"; got != want {
		t.Errorf("map\n%swant\n%s", got, want)
	}
	for _, q := range r.reap(r.q, 3) {
		must(t, q.Err)
	}
	if err := r.q.Submit(requests(f, rigBlock, 1)...); !errors.Is(err, aio.ErrClosed) {
		t.Errorf("submit to a closed queue: %v", err)
	}
	r.q = nil
	r.end(f)
}

// TestQueueFiles has requests of several files in one batch, new ones and preallocated ones.
func TestQueueFiles(t *testing.T) {
	r := newQueueRig(t, 16)
	var files []*File
	var reqs []*Request
	for i := range 4 {
		f, err := r.fs.Create(fmt.Sprintf("/f%d", i), Attr{Perm: 0o644})
		must(t, err)
		if i%2 == 0 {
			must(t, f.Fallocate(0, 0, 10*rigBlock))
		}
		files = append(files, f)
	}
	for b := range 10 {
		for i, f := range files {
			reqs = append(reqs, requests(f, rigBlock, (b*7+i)%10)...)
		}
	}
	r.do(reqs...)
	for i, f := range files {
		var want []byte
		for b := range 10 {
			want = append(want, bytes.Repeat([]byte{byte('A' + b)}, rigBlock)...)
		}
		r.holds(fmt.Sprintf("/f%d", i), want)
		if got := blockMap(f); got != "0 10 written\n" {
			t.Errorf("file %d: map %s", i, got)
		}
	}
	r.end(files...)
}

// TestQueueEdges: empty requests, reads at and beyond the end, requests that are not allowed or make no sense.
func TestQueueEdges(t *testing.T) {
	r := newQueueRig(t, 4)
	f := preallocated(t, r.fs, "/db", 8*rigBlock)
	must(t, f.Truncate(5*rigBlock+100))
	r.do(requests(f, rigBlock, 0, 4)...)
	for _, off := range []int64{0, 10, 4 * rigBlock, 5*rigBlock + 100, 6 * rigBlock, 1 << 30} {
		for _, op := range []aio.Op{aio.Read, aio.Write} {
			r.do(&Request{File: f, Op: op, Off: off})
		}
	}
	must(t, f.Sync())
	if info, err := f.Stat(); err != nil || info.Size() != 5*rigBlock+100 {
		t.Errorf("size %d after empty writes, %v", info.Size(), err)
	}
	for off, n := range map[int64]int{4 * rigBlock: rigBlock + 100, 5 * rigBlock: 100, 5*rigBlock + 100: 0, 6 * rigBlock: 0, 1 << 40: 0} {
		q := &Request{File: f, Op: aio.Read, Off: off, Buf: bytes.Repeat([]byte{0xEE}, 2*rigBlock)}
		r.do(q)
		if q.N != n || !allZero(q.Buf[max(n-100, 0):]) || n > 100 && q.Buf[0] != 'E' {
			t.Errorf("read at %d: %d bytes, want %d; the rest must be zero", off, q.N, n)
		}
	}
	g, err := r.fs.OpenFile("/db", os.O_RDONLY, 0)
	must(t, err)
	for name, c := range map[string]struct {
		req  Request
		want error
	}{
		"negative offset":     {Request{File: f, Op: aio.Read, Off: -1, Buf: make([]byte, 1)}, syscall.EINVAL},
		"beyond all files":    {Request{File: f, Op: aio.Write, Off: 1 << 60, Buf: make([]byte, 1)}, syscall.EFBIG},
		"write of a reader":   {Request{File: g, Op: aio.Write, Buf: make([]byte, 1)}, syscall.EBADF},
		"neither read nor so": {Request{File: f, Op: aio.Flush, Buf: make([]byte, 1)}, syscall.EINVAL},
	} {
		must(t, r.q.Submit(&c.req))
		if got := r.reap(r.q, 1)[0]; !errors.Is(got.Err, c.want) || got.N != 0 {
			t.Errorf("%s: %v, %d bytes", name, got.Err, got.N)
		}
	}
	must(t, g.Close())
	must(t, r.q.Submit(&Request{File: g, Op: aio.Read, Buf: make([]byte, 1)}))
	if got := r.reap(r.q, 1)[0]; !errors.Is(got.Err, fs.ErrClosed) {
		t.Errorf("read of a closed file: %v", got.Err)
	}
	r.end(f)
}

// TestQueueUnaligned writes and reads ranges of any alignment over written, unwritten and missing blocks, and beyond
// the end.
func TestQueueUnaligned(t *testing.T) {
	const seed = 11
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newQueueRig(t, 4)
	f := preallocated(t, r.fs, "/db", 20*rigBlock)
	must(t, f.Fallocate(FallocPunchHole|FallocKeepSize, 5*rigBlock, 5*rigBlock))
	want := make([]byte, 20*rigBlock, 64*rigBlock)
	for i := range 200 {
		off, n := rnd.IntN(24*rigBlock), 1+rnd.IntN(3*rigBlock)
		if i%4 == 0 {
			off, n = off/rigBlock*rigBlock, (n+rigBlock-1)/rigBlock*rigBlock
		}
		p := bytes.Repeat([]byte{byte(i + 1)}, n)
		r.do(&Request{File: f, Op: aio.Write, Off: int64(off), Buf: p})
		want = want[:max(len(want), off+n)]
		copy(want[off:], p)
		off = rnd.IntN(24 * rigBlock)
		q := &Request{File: f, Op: aio.Read, Off: int64(off), Buf: make([]byte, 1+rnd.IntN(3*rigBlock))}
		r.do(q)
		if end := min(off+len(q.Buf), len(want)); q.N != max(end-off, 0) || q.N > 0 && !bytes.Equal(q.Buf[:q.N], want[off:end]) {
			t.Fatalf("step %d (seed %d): read at %d+%d differs", i, seed, off, len(q.Buf))
		}
	}
	must(t, f.Sync())
	r.holds("/db", want)
	r.end(f)
}

// TestQueueFragments: one request over written, unwritten and missing blocks in several extents; and one that reads two
// extents that adjoin on the device, but not in the file.
func TestQueueFragments(t *testing.T) {
	r := newQueueRig(t, 4)
	f := preallocated(t, r.fs, "/db", 16*rigBlock)
	r.do(requests(f, rigBlock, 2, 3, 4, 5, 10)...)
	want := make([]byte, 19*rigBlock)
	put := func(b int, c byte) { copy(want[b*rigBlock:], bytes.Repeat([]byte{c}, rigBlock)) }
	must(t, f.Fallocate(FallocInsertRange, 4*rigBlock, 3*rigBlock))
	for b, c := range map[int]byte{2: 'C', 3: 'D', 7: 'E', 8: 'F', 13: 'K'} {
		put(b, c)
	}
	var before, after layout.Extent
	must(t, f.Extents(func(e layout.Extent) bool {
		if e.Lblk == 2 {
			before = e
		}
		if e.Lblk == 7 {
			after = e
		}
		return true
	}))
	if before.Pblk+2 != after.Pblk {
		t.Fatalf("%+v and %+v do not adjoin on the device", before, after)
	}
	whole := &Request{File: f, Op: aio.Read, Buf: bytes.Repeat([]byte{0xEE}, len(want))}
	r.do(whole)
	if whole.N != len(want) || !bytes.Equal(whole.Buf, want) {
		t.Error("a read over two extents and the hole between them differs")
	}
	big := bytes.Repeat([]byte("fragment"), 15*rigBlock/8)
	r.do(&Request{File: f, Op: aio.Write, Off: rigBlock, Buf: big})
	copy(want[rigBlock:], big)
	r.holds("/db", want)
	if got := blockMap(f); got != "0 1 unwritten\n1 15 written\n16 3 unwritten\n" {
		t.Errorf("map %s", got)
	}
	r.end(f)
}

// TestQueueTwo has two queues on one file, each submitted to and reaped from by goroutines of its own.
func TestQueueTwo(t *testing.T) {
	const blocks, rounds = 512, 40
	r := newQueueRig(t, 16)
	f := preallocated(t, r.fs, "/db", blocks*rigBlock)
	second, err := r.fs.NewQueue(3)
	must(t, err)
	var wg sync.WaitGroup
	for i, q := range []*Queue{r.q, second} {
		wg.Go(func() {
			for k := range rounds {
				var batch []int
				for j := range 10 {
					batch = append(batch, (k*10+j)*13%(blocks/2)*2+i)
				}
				if err := q.Submit(requests(f, rigBlock, batch...)...); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for n := 0; n < rounds*10; {
				done, err := q.Reap(1)
				for _, req := range done {
					err = errors.Join(err, req.Err)
				}
				if err != nil {
					t.Error(err)
				}
				n += len(done)
			}
		})
	}
	wg.Wait()
	must(t, second.Close())
	want := make([]byte, blocks*rigBlock)
	for b := range blocks {
		copy(want[b*rigBlock:], bytes.Repeat([]byte{byte('A' + b%26)}, rigBlock))
	}
	r.holds("/db", want)
	if got := blockMap(f); got != "0 512 written\n" {
		t.Errorf("map %s", got)
	}
	r.end(f)
}

// TestCloseInFlight closes a file whose overwrites and reads are on the device: who opens it next must not cut it below
// them.
func TestCloseInFlight(t *testing.T) {
	r := newQueueRig(t, 4)
	f := preallocated(t, r.fs, "/db", 1<<20)
	r.do(requests(f, rigBlock, 0, 1)...)
	must(t, f.Sync())
	r.dev.Hold(func(*aio.Request) bool { return true })
	must(t, r.q.Submit(append(requests(f, rigBlock, 0), &Request{File: f, Op: aio.Read, Off: rigBlock, Buf: make([]byte, rigBlock)})...))
	r.dev.WaitHeld(2)
	cut := make(chan error, 1)
	again := f
	go func() {
		err := f.Close()
		if err == nil {
			again, err = r.fs.OpenFile("/db", os.O_RDWR, 0)
		}
		if err == nil {
			err = again.Truncate(0)
		}
		cut <- err
	}()
	for !holdsOff(f) {
		if len(cut) > 0 {
			t.Fatalf("the file was closed, opened and cut with requests in flight: %v", <-cut)
		}
		runtime.Gosched()
	}
	r.dev.Unhold()
	must(t, <-cut)
	for _, req := range r.reap(r.q, 2) {
		must(t, req.Err)
	}
	r.end(again)
}

// holdsOff tells whether new direct I/O of a file has to wait at the moment.
func holdsOff(f *File) bool {
	if f.n.end.TryBeginRead() {
		f.n.end.EndRead()
		return false
	}
	return true
}
