package ext4

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
)

// simImage loads an image into a simulated device and opens it.
func simImage(t *testing.T, size string, opts ...string) (*FS, *simdev.Device) {
	t.Helper()
	dev, err := simdev.Load(newImage(t, size, append([]string{"-t", "ext4"}, opts...)...))
	must(t, err)
	fs, err := Open(dev, Options{})
	must(t, err)
	return fs, dev
}

// fsckSim closes the file system and has the device judged.
func fsckSim(t *testing.T, fs *FS, dev *simdev.Device) {
	t.Helper()
	must(t, fs.Close())
	img := t.TempDir() + "/img"
	must(t, dev.Save(img))
	fsckClean(t, img)
}

// preallocated makes a file of unwritten blocks.
func preallocated(t *testing.T, fs *FS, name string, size int64) *File {
	t.Helper()
	f, err := fs.Create(name, Attr{Perm: 0o644})
	must(t, err)
	must(t, f.Fallocate(0, 0, size))
	must(t, f.Sync())
	return f
}

// requests are writes of one block each, of these blocks.
func requests(f *File, bs int, blocks ...int) []*Request {
	var rs []*Request
	for _, b := range blocks {
		rs = append(rs, &Request{File: f, Op: aio.Write, Off: int64(b * bs), Buf: bytes.Repeat([]byte{byte('A' + b%26)}, bs), User: b})
	}
	return rs
}

// TestWriteErrors fails the I/O of one write of a batch (ordering O6): the others are converted, its range stays
// unwritten and reads as zeros, the error reaches the writer and the next Sync, once.
func TestWriteErrors(t *testing.T) {
	const bs = 4096
	fs, dev := simImage(t, "64M", "-b", "4096")
	f := preallocated(t, fs, "/db", 1<<20)
	var bad layout.Extent
	must(t, f.Extents(func(e layout.Extent) bool { bad = e; return false }))
	target := (int64(bad.Pblk) + 7) * bs
	dev.SetFault(func(io simdev.IO) error {
		if io.Op == aio.Write && io.Off <= target && target < io.Off+int64(io.Len) {
			return syscall.EIO
		}
		return nil
	})
	q, err := fs.NewQueue(32)
	must(t, err)
	must(t, q.Submit(requests(f, bs, 3, 7, 8, 20)...))
	for range 4 {
		done, err := q.Reap(1)
		must(t, err)
		for _, r := range done {
			if failed := r.User == 7; failed != errors.Is(r.Err, syscall.EIO) {
				t.Errorf("write of block %v: %v", r.User, r.Err)
			}
		}
	}
	must(t, q.Close())
	dev.SetFault(nil)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("first sync: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("second sync: %v", err)
	}
	if got, want := blockMap(f), "0 3 unwritten\n3 1 written\n4 4 unwritten\n8 1 written\n9 11 unwritten\n20 1 written\n21 235 unwritten\n"; got != want {
		t.Errorf("map\n%swant\n%s", got, want)
	}
	p := make([]byte, bs)
	if _, err := f.ReadAt(p, 7*bs); err != nil || !allZero(p) {
		t.Errorf("the failed range reads %x…, %v", p[:8], err)
	}
	must(t, f.Close())
	fsckSim(t, fs, dev)
}

// TestHeldWrites keeps writes on the device: truncate waits for them and only for them, new ones wait for truncate,
// and sync waits for what was submitted before it from the same goroutine.
func TestHeldWrites(t *testing.T) {
	const bs = 4096
	fs, dev := simImage(t, "64M", "-b", "4096")
	f := preallocated(t, fs, "/db", 1<<20)
	q, err := fs.NewQueue(8)
	must(t, err)
	dev.Hold(func(r *aio.Request) bool { return r.Op == aio.Write })
	must(t, q.Submit(requests(f, bs, 1, 2, 200)...))
	dev.WaitHeld(3)
	truncated := make(chan error, 1)
	go func() { truncated <- f.Truncate(3 * bs) }()
	select {
	case err := <-truncated:
		t.Fatalf("truncate overtook the writes: %v", err)
	default:
	}
	if got := blockMap(f); got != "0 256 unwritten\n" {
		t.Errorf("before completion the map is %s", got)
	}
	dev.Unhold()
	must(t, <-truncated)
	for n := 0; n < 3; {
		done, err := q.Reap(1)
		must(t, err)
		for _, r := range done {
			must(t, r.Err)
		}
		n += len(done)
	}
	if got, want := blockMap(f), "0 1 unwritten\n1 2 written\n"; got != want {
		t.Errorf("map\n%swant\n%s", got, want)
	}
	must(t, q.Submit(requests(f, bs, 0)...))
	must(t, f.Sync())
	if got, want := blockMap(f), "0 3 written\n"; got != want {
		t.Errorf("map after sync\n%swant\n%s", got, want)
	}
	must(t, q.Close())
	must(t, f.Close())
	fsckSim(t, fs, dev)
}

// TestLastBlock fills the file system to its last block and then writes into what was preallocated before: the splits
// find their blocks in the pool.
func TestLastBlock(t *testing.T) {
	const bs = 1024
	fs, dev := simImage(t, "16M", "-b", "1024")
	f := preallocated(t, fs, "/db", 4<<20)
	filler, err := fs.Create("/filler", Attr{Perm: 0o644})
	must(t, err)
	for size, off := int64(1<<20), int64(0); size >= bs; {
		if err := filler.Fallocate(0, off, size); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			size /= 2
			continue
		}
		off += size
	}
	must(t, filler.Close())
	q, err := fs.NewQueue(32)
	must(t, err)
	var blocks []int
	for b := 0; b < 4096; b += 2 {
		blocks = append(blocks, b)
	}
	rand.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	reqs := requests(f, bs, blocks...)
	for len(reqs) > 0 {
		k := min(32, len(reqs))
		must(t, q.Submit(reqs[:k]...))
		reqs = reqs[k:]
		for n := 0; n < k; {
			done, err := q.Reap(1)
			must(t, err)
			for _, r := range done {
				if r.Err != nil {
					t.Fatalf("block %v: %v", r.User, r.Err)
				}
			}
			n += len(done)
		}
	}
	must(t, q.Close())
	must(t, f.Sync())
	p, err := fs.readFile("/db")
	must(t, err)
	for b := range 4096 {
		want := byte(0)
		if b%2 == 0 {
			want = byte('A' + b%26)
		}
		if p[b*bs] != want || p[b*bs+bs-1] != want {
			t.Fatalf("block %d reads %x, want %x", b, p[b*bs], want)
		}
	}
	must(t, f.Close())
	fsckSim(t, fs, dev)
}

// TestTruncateRaces lets truncate, punch and sync race with writers at depth: nobody hangs, starves or fails.
func TestTruncateRaces(t *testing.T) {
	rounds := 40
	if effort.Long() {
		rounds = 1000
	}
	const bs, blocks = 4096, 512
	fs, dev := simImage(t, "64M", "-b", "4096")
	f := preallocated(t, fs, "/db", blocks*bs)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			q, err := fs.NewQueue(16)
			if err != nil {
				t.Error(err)
				return
			}
			rnd := rand.New(rand.NewPCG(uint64(w), 0))
			for !stop.Load() {
				var batch []int
				for range 8 {
					batch = append(batch, rnd.IntN(blocks))
				}
				if err := q.Submit(requests(f, bs, batch...)...); err != nil {
					t.Error(err)
					return
				}
				done, err := q.Reap(8)
				for _, r := range done {
					err = errors.Join(err, r.Err)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range rounds {
		must(t, f.Truncate(int64(i%3)*100*bs))
		must(t, f.Fallocate(0, 0, blocks*bs))
		must(t, f.Fallocate(FallocPunchHole|FallocKeepSize, 10*bs, 50*bs))
		must(t, f.Sync())
	}
	stop.Store(true)
	wg.Wait()
	must(t, f.Truncate(0))
	must(t, f.Close())
	fsckSim(t, fs, dev)
}
