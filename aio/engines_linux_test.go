package aio

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"ext4img/aio/block"
	"ext4img/testimages/effort"

	"golang.org/x/sys/unix"
)

func TestURingABI(t *testing.T) {
	var (
		e uringSQE
		c uringCQE
		p uringParams
		s uringSQOffsets
		q uringCQOffsets
		r uringProbe
	)
	for _, x := range []struct {
		what      string
		got, want uintptr
	}{
		{"sizeof sqe", unsafe.Sizeof(e), 64},
		{"sqe.fd", unsafe.Offsetof(e.fd), 4},
		{"sqe.off", unsafe.Offsetof(e.off), 8},
		{"sqe.addr", unsafe.Offsetof(e.addr), 16},
		{"sqe.len", unsafe.Offsetof(e.len), 24},
		{"sqe.fsync_flags", unsafe.Offsetof(e.opFlags), 28},
		{"sqe.user_data", unsafe.Offsetof(e.userData), 32},
		{"sqe.buf_index", unsafe.Offsetof(e.bufIndex), 40},
		{"sizeof cqe", unsafe.Sizeof(c), 16},
		{"cqe.res", unsafe.Offsetof(c.res), 8},
		{"cqe.flags", unsafe.Offsetof(c.flags), 12},
		{"sizeof params", unsafe.Sizeof(p), 120},
		{"params.features", unsafe.Offsetof(p.features), 20},
		{"params.sq_off", unsafe.Offsetof(p.sq), 40},
		{"params.cq_off", unsafe.Offsetof(p.cq), 80},
		{"sizeof sq_off", unsafe.Sizeof(s), 40},
		{"sq_off.flags", unsafe.Offsetof(s.flags), 16},
		{"sq_off.array", unsafe.Offsetof(s.array), 24},
		{"sizeof cq_off", unsafe.Sizeof(q), 40},
		{"cq_off.cqes", unsafe.Offsetof(q.cqes), 20},
		{"cq_off.flags", unsafe.Offsetof(q.flags), 24},
		{"probe.ops", unsafe.Offsetof(r.ops), 16},
		{"sizeof probe_op", unsafe.Sizeof(r.ops[0]), 8},
		{"probe_op.flags", unsafe.Offsetof(r.ops[0].flags), 2},
	} {
		if x.got != x.want {
			t.Errorf("%s is %d, want %d", x.what, x.got, x.want)
		}
	}
}

func TestLibaioABI(t *testing.T) {
	var (
		c iocb
		e ioEvent
		r aioRing
	)
	for _, x := range []struct {
		what      string
		got, want uintptr
	}{
		{"sizeof iocb", unsafe.Sizeof(c), 64},
		{"iocb.aio_key", unsafe.Offsetof(c.key), 8},
		{"iocb.aio_lio_opcode", unsafe.Offsetof(c.opcode), 16},
		{"iocb.aio_fildes", unsafe.Offsetof(c.fd), 20},
		{"iocb.aio_buf", unsafe.Offsetof(c.buf), 24},
		{"iocb.aio_nbytes", unsafe.Offsetof(c.nbytes), 32},
		{"iocb.aio_offset", unsafe.Offsetof(c.offset), 40},
		{"iocb.aio_flags", unsafe.Offsetof(c.flags), 56},
		{"iocb.aio_resfd", unsafe.Offsetof(c.resfd), 60},
		{"sizeof io_event", unsafe.Sizeof(e), 32},
		{"io_event.res", unsafe.Offsetof(e.res), 16},
		{"sizeof aio_ring", unsafe.Sizeof(r), 32},
		{"aio_ring.tail", unsafe.Offsetof(r.tail), 12},
		{"aio_ring.magic", unsafe.Offsetof(r.magic), 16},
		{"aio_ring.header_length", unsafe.Offsetof(r.headerLength), 28},
	} {
		if x.got != x.want {
			t.Errorf("%s is %d, want %d", x.what, x.got, x.want)
		}
	}
}

func testFile(t *testing.T, engine string, size int64) *file {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	dev, err := Open(path, Options{Write: true, Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev.(*file)
}

// TestAccount: each result of the kernel has the right effect on its request.
func TestAccount(t *testing.T) {
	f := testFile(t, EngineSync, 1<<20)
	for _, c := range []struct {
		what      string
		op        Op
		done      int
		res       int64
		again     bool
		wantDone  int
		wantError error
	}{
		{"whole", Write, 0, 8192, false, 0, nil},
		{"last part", Read, 4096, 4096, false, 4096, nil},
		{"short", Read, 0, 4096, true, 4096, nil},
		{"short inside a sector", Read, 0, 4096 + 100, true, 4096, nil},
		{"nothing", Read, 0, 0, false, 0, io.ErrUnexpectedEOF},
		{"no progress", Read, 4096, 100, false, 4096, io.ErrUnexpectedEOF},
		{"again", Write, 4096, -int64(unix.EAGAIN), true, 4096, nil},
		{"interrupted", Write, 0, -int64(unix.EINTR), true, 0, nil},
		{"error", Write, 0, -int64(unix.EIO), false, 0, unix.EIO},
		{"flush", Flush, 0, 0, false, 0, nil},
		{"flush error", Flush, 0, -int64(unix.ENOSPC), false, 0, unix.ENOSPC},
	} {
		s := newSlots(f, 1)
		r := &Request{Op: c.op, Buf: make([]byte, 8192), state: requestState{done: c.done}}
		if again := s.account(r, c.res); again != c.again || r.state.done != c.wantDone || !errors.Is(r.Err, c.wantError) {
			t.Errorf("%s: again %v, done %d, error %v", c.what, again, r.state.done, r.Err)
		}
	}
}

// TestAlwaysAgain: a request that the kernel always puts off fails in the end.
func TestAlwaysAgain(t *testing.T) {
	s := newSlots(testFile(t, EngineSync, 1<<20), 1)
	r := &Request{Op: Write, Buf: make([]byte, 8192)}
	n := 1
	for s.account(r, -int64(unix.EAGAIN)) {
		if n++; n > 1000 {
			t.Fatal("no end")
		}
	}
	if !errors.Is(r.Err, unix.EAGAIN) {
		t.Error(r.Err)
	}
}

// TestShortTransfers makes every submission transfer only one block, so that each request is submitted many times.
func TestShortTransfers(t *testing.T) {
	const depth, length = 8, 64 << 10
	for _, engine := range []string{EngineIOUring, EngineLibaio} {
		for _, pinned := range []bool{false, true} {
			q, err := testFile(t, engine, depth*length).Queue(depth)
			if err != nil {
				t.Fatal(err)
			}
			switch q := q.(type) {
			case *uring:
				q.limit = 4096
			case *libaio:
				q.limit = 4096
			}
			if pinned {
				Pin(q)
			}
			shortTransfers(t, q, depth, length)
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func shortTransfers(t *testing.T, q Queue, depth, length int) {
	for _, op := range []Op{Write, Read} {
		var reqs []*Request
		for i := range depth {
			buf := block.Aligned(length, 4096)
			for j := range buf {
				if op == Write {
					buf[j] = byte(j>>12 + i)
				}
			}
			reqs = append(reqs, &Request{Op: op, Buf: buf, Off: int64(i * length), User: i})
		}
		if err := q.Submit(reqs...); err != nil {
			t.Fatal(err)
		}
		got, err := q.Reap(depth)
		if err != nil || len(got) != depth {
			t.Fatalf("reaped %d: %v", len(got), err)
		}
		for _, r := range got {
			for j := range length {
				if r.Err != nil || r.Buf[j] != byte(j>>12+r.User.(int)) {
					t.Fatalf("request %v: byte %d: %v", r.User, j, r.Err)
				}
			}
		}
	}
}

// TestNoAllocations: a queue in use does not allocate.
func TestNoAllocations(t *testing.T) {
	for _, engine := range []string{EngineIOUring, EngineLibaio, EngineSync} {
		dev := testFile(t, engine, 1<<20)
		sub, err := Section(dev, 4096, 1<<19)
		if err != nil {
			t.Fatal(err)
		}
		q, err := sub.Queue(8)
		if err != nil {
			t.Fatal(err)
		}
		var reqs []*Request
		for i := range 8 {
			reqs = append(reqs, &Request{Op: Op(i % 2), Buf: block.Aligned(4096, 4096), Off: int64(i) * 4096})
		}
		n := testing.AllocsPerRun(100, func() {
			if err := q.Submit(reqs...); err != nil {
				t.Fatal(err)
			}
			if got, err := q.Reap(8); err != nil || len(got) != 8 {
				t.Fatal(len(got), err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per batch of 8", engine, n)
		}
		q.Close()
	}
}

// TestRefusedByKernel closes the descriptors beneath the queues: the requests carry the errors, and the queues end.
func TestRefusedByKernel(t *testing.T) {
	for _, engine := range []string{EngineIOUring, EngineLibaio} {
		f := testFile(t, engine, 1<<20)
		q, err := f.Queue(4)
		if err != nil {
			t.Fatal(err)
		}
		if u, ok := q.(*uring); ok {
			u.fd, u.fileFlag = 1<<30, 0
		} else {
			f.f.Close()
		}
		reqs := []*Request{{Op: Read, Buf: block.Aligned(4096, 4096)}, {Op: Flush}, {Op: Write, Buf: block.Aligned(4096, 4096)}}
		if err := q.Submit(reqs...); err != nil {
			t.Fatal(err)
		}
		got, err := q.Reap(3)
		if err != nil || len(got) != 3 {
			t.Fatalf("%s: reaped %d: %v", engine, len(got), err)
		}
		for _, r := range reqs {
			if !errors.Is(r.Err, unix.EBADF) {
				t.Errorf("%s: op %d: %v", engine, r.Op, r.Err)
			}
		}
		if err := q.Close(); err != nil {
			t.Errorf("%s: %v", engine, err)
		}
	}
}

// TestLibaioExhausted takes all of the system's asynchronous I/O; other programs cannot use any meanwhile.
func TestLibaioExhausted(t *testing.T) {
	effort.NeedLong(t, "disturbs other processes")
	f := testFile(t, EngineLibaio, 4096)
	auto := testFile(t, EngineAuto, 4096)
	auto.engines = []string{EngineLibaio, EngineSync}
	for range 1000 {
		q, err := f.Queue(maxDepth)
		if err == nil {
			defer q.Close()
			continue
		}
		t.Log(err)
		if !errors.Is(err, unix.EAGAIN) || !bytes.Contains([]byte(err.Error()), []byte("aio-max-nr")) {
			t.Errorf("error: %v", err)
		}
		q, err = auto.Queue(maxDepth)
		if err != nil {
			t.Fatalf("auto: %v", err)
		}
		q.Close()
		if d := Describe(auto); d.Engine != EngineSync {
			t.Errorf("auto: %+v", d)
		}
		return
	}
	t.Error("the system has no limit")
}

func TestParseMounts(t *testing.T) {
	const text = `36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
26 1 254:17 / / rw - ext4 /dev/vda rw
broken line
1 2 x:y / /z rw - ext4 /dev/z rw
`
	got := parseMounts(bytes.NewReader([]byte(text)))
	want := []mount{{unix.Mkdev(98, 0), "/mnt 2", "/dev/root"}, {unix.Mkdev(254, 17), "/", "/dev/vda"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
