package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"testing"

	"ext4img/aio"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages/effort"
)

// fullFS is a file system that another program, which keeps no pool, has filled to its last cluster.
type fullFS struct {
	*testing.T
	fs   *FS
	dev  *simdev.Device
	bs   int64
	rnd  *rand.Rand
	want []byte // what /db holds
	last string // the file that took the last cluster
}

// fullImage makes a file system over poisoned free space, has prepare preallocate /db in it, and fills it.
func fullImage(t *testing.T, size string, opts []string, prepare func(w *fullFS) *File) (*fullFS, *File) {
	t.Helper()
	seed := effort.Seed(t, 0)
	img := newImage(t, size, append([]string{"-t", "ext4", "-m", "0"}, opts...)...)
	poison(t, img)
	dev, err := simdev.Load(img)
	must(t, err)
	fs, err := Open(dev, Options{})
	must(t, err)
	w := &fullFS{T: t, fs: fs, dev: dev, bs: int64(fs.vol.Geo.BlockSize), rnd: rand.New(rand.NewPCG(seed, 0))}
	f := prepare(w)
	size64, err := f.n.size()
	must(t, err)
	w.want = append(w.want, make([]byte, int64(size64)-int64(len(w.want)))...)
	w.fill()
	return w, f
}

// fill takes the last cluster.
func (w *fullFS) fill() {
	w.Helper()
	w.fs.vol.Space.SetPool(0)
	var files []*File
	for i := range 64 { // now, while there is room for their names
		f, err := w.fs.Create(fmt.Sprintf("/f%d", i), Attr{Perm: 0o644})
		must(w.T, err)
		files = append(files, f)
	}
	for size := int64(1 << 24); size >= w.bs; {
		if err := files[0].Fallocate(0, 0, size); err == nil {
			w.last = files[0].Name()
			must(w.T, files[0].Close())
			files = files[1:]
		} else if size /= 2; !errors.Is(err, syscall.ENOSPC) {
			w.Fatal(err)
		}
	}
	for _, f := range files {
		must(w.T, f.Close())
	}
	if free, err := w.fs.FreeBlocks(); err != nil || free != 0 {
		w.Fatalf("%d blocks free, %v", free, err)
	}
}

// block fills one block of a write.
func (w *fullFS) block(f *File, b int) *Request {
	r := requests(f, int(w.bs), b)[0]
	w.holds(r.Off, r.Buf)
	return r
}

// holds notes what /db holds.
func (w *fullFS) holds(off int64, p []byte) {
	if end := off + int64(len(p)); end > int64(len(w.want)) {
		w.want = append(w.want, make([]byte, end-int64(len(w.want)))...)
	}
	copy(w.want[off:], p)
}

// write writes blocks, at depth 32.
func (w *fullFS) write(f *File, blocks ...int) {
	w.Helper()
	q, err := w.fs.NewQueue(32)
	must(w.T, err)
	for len(blocks) > 0 {
		n := min(32, len(blocks))
		var reqs []*Request
		for _, b := range blocks[:n] {
			reqs = append(reqs, w.block(f, b))
		}
		if err := throughQueue(q, reqs...); err != nil {
			w.Fatalf("blocks %v: %v", blocks[:n], err)
		}
		blocks = blocks[n:]
	}
	must(w.T, q.Close())
}

// end closes all and has the image judged: the structure by e2fsck, the bytes by debugfs.
func (w *fullFS) end(files ...*File) {
	w.Helper()
	for _, f := range files {
		must(w.T, f.Sync())
		must(w.T, f.Close())
	}
	must(w.T, w.fs.Close())
	img := w.TempDir() + "/img"
	must(w.T, w.dev.Save(img))
	fsckClean(w.T, img)
	sameBytes(w.T, dumpFile(w.T, img, "/db"), w.want)
}

// sameBytes compares the content of a file.
func sameBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("byte %d is %x, want %x", i, got[i], want[i])
		}
	}
}

// pieces preallocates a file in pieces that do not adjoin on the device.
func (w *fullFS) pieces(mode FallocMode, blocks ...int64) *File {
	w.Helper()
	f, err := w.fs.Create("/db", Attr{Perm: 0o644})
	must(w.T, err)
	other, err := w.fs.Create("/other", Attr{Perm: 0o644})
	must(w.T, err)
	at := int64(0)
	unit := w.bs * int64(w.fs.vol.Geo.ClusterRatio)
	for i, n := range blocks {
		must(w.T, f.Fallocate(mode, at*w.bs, n*w.bs))
		must(w.T, other.Fallocate(0, int64(i)*unit, unit))
		at += n
	}
	must(w.T, other.Close())
	return f
}

// longPieces are enough extents to fill a root and the leaves below it: some of 1 and 2 blocks, and longer ones.
func longPieces(n int) (blocks []int64) {
	for i := range n {
		blocks = append(blocks, []int64{1, 2, 3, 17, 30}[i%5])
	}
	return blocks
}

// TestFullWithoutPool writes into preallocated blocks when not one cluster is free for the tree, and no pool was kept:
// every write succeeds, and what was not written reads as zeros.
func TestFullWithoutPool(t *testing.T) {
	geometries := map[string][]string{
		"1k": {"-b", "1024"}, "4k": {"-b", "4096"}, "nojnl": {"-b", "1024", "-O", "^has_journal"},
		"bigalloc": {"-b", "1024", "-O", "bigalloc", "-C", "8192"}, "bigalloc nojnl": {"-b", "4096", "-O", "bigalloc,^has_journal", "-C", "16384"},
		"quota": {"-b", "1024", "-O", "quota"},
	}
	n := 0 // of the cases, whose order changes, the short form takes a third
	for name, prepare := range map[string]func(w *fullFS) *File{
		"one extent": func(w *fullFS) *File { return w.pieces(0, 500) },
		"root full":  func(w *fullFS) *File { return w.pieces(0, 100, 50, 2, 1) },
		"leaf full":  func(w *fullFS) *File { return w.pieces(0, longPieces(300)...) },
		"tree": func(w *fullFS) *File {
			f := w.pieces(0, 900)
			for b := 0; b < 400; b += 2 {
				w.write(f, b)
			}
			return f
		},
		"beyond the end": func(w *fullFS) *File { return w.pieces(FallocKeepSize, 500) },
	} {
		for geometry, opts := range geometries {
			if n++; n%3 != 0 && !effort.Long() {
				continue
			}
			t.Run(name+" "+geometry, func(t *testing.T) {
				w, f := fullImage(t, "32M", opts, prepare)
				var all []int
				must(t, f.Extents(func(e layout.Extent) bool {
					for b := e.Lblk; uint64(b) < e.End(); b++ {
						all = append(all, int(b))
					}
					return true
				}))
				w.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				w.write(f, all[:len(all)/3]...)
				must(t, f.Sync())
				if _, err := f.WriteAt([]byte("unaligned"), int64(all[0])*w.bs+5); err != nil {
					t.Fatal(err)
				}
				w.holds(int64(all[0])*w.bs+5, []byte("unaligned"))
				w.end(f)
			})
		}
	}
}

// TestFullLongestExtent has nothing free beside a file with an extent of the greatest length, 32767 blocks, in a full root.
func TestFullLongestExtent(t *testing.T) {
	w, f := fullImage(t, "48M", []string{"-b", "1024", "-O", "^has_journal,^resize_inode,sparse_super2", "-E", "num_backup_sb=0", "-N", "128"}, func(w *fullFS) *File {
		return w.pieces(0, 3, 20, 32767, 100)
	})
	var most uint32
	must(t, f.Extents(func(e layout.Extent) bool { most = max(most, e.Len); return true }))
	if most != layout.MaxUnwrittenLen {
		t.Fatalf("the longest extent has %d blocks", most)
	}
	w.write(f, 22, 32789, 16000, 32790, 1)
	w.end(f)
}

// TestFullBeyondEnd writes into an extent that reaches beyond the end of the file, from a full root: what lies beyond may
// not become written, so the write fails as in the kernel, and changes nothing.
func TestFullBeyondEnd(t *testing.T) {
	w, f := fullImage(t, "16M", []string{"-b", "1024"}, func(w *fullFS) *File {
		f := w.pieces(FallocKeepSize, 100, 50, 20)
		w.write(f, 0)
		return f
	})
	before := blockMap(f)
	q, err := w.fs.NewQueue(4)
	must(t, err)
	if err := throughQueue(q, requests(f, int(w.bs), 110)...); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write: %v", err)
	}
	must(t, q.Close())
	if got := blockMap(f); got != before {
		t.Fatalf("map\n%swant\n%s", got, before)
	}
	w.write(f, 1, 10, 5) // what joins a written extent needs no further one
	w.end(f)
}

// TestFullBesideWriteInFlight has a write in flight to one part of an unwritten extent, while another one has to fill
// that extent with zeros: it waits, and the zeros spare what the first has written.
func TestFullBesideWriteInFlight(t *testing.T) {
	w, f := fullImage(t, "16M", []string{"-b", "4096"}, func(w *fullFS) *File {
		f := w.pieces(0, 100, 50, 20)
		w.write(f, 0) // U W U U: the root is full
		return f
	})
	last, err := w.fs.OpenFile(w.last, os.O_RDWR, 0)
	must(t, err)
	size, err := last.n.size()
	must(t, err)
	must(t, last.Truncate(int64(size)-w.bs)) // one block is free, for the promise of one split
	must(t, last.Sync())
	q, err := w.fs.NewQueue(8)
	must(t, err)
	w.dev.Hold(func(r *aio.Request) bool { return r.Op == aio.Write })
	must(t, q.Submit(w.block(f, 1))) // it joins the written block before it: its split takes nothing
	held := w.dev.WaitHeld(1)
	w.fs.vol.Space.Release(1) // somebody takes what was promised
	must(t, last.Fallocate(0, 0, int64(size)))
	done := make(chan error, 1)
	q2, err := w.fs.NewQueue(8)
	must(t, err)
	second := w.block(f, 60)
	go func() { done <- throughQueue(q2, second) }()
	for !holdsOff(f) { // the second write holds off direct I/O, and waits for the first
		runtime.Gosched()
	}
	select {
	case err := <-done:
		t.Fatalf("overtook the write in flight: %v", err)
	default:
	}
	w.dev.Release(held...)
	w.dev.Unhold()
	must(t, <-done)
	must(t, errors.Join(q.Close(), q2.Close()))
	if got, want := blockMap(f), "0 61 written\n61 109 unwritten\n"; got != want {
		t.Errorf("map\n%swant\n%s", got, want)
	}
	w.end(f, last)
}

// TestFullZeroFails fails the I/O of the zeros (ordering O6): nothing is converted, and the writer is told.
func TestFullZeroFails(t *testing.T) {
	w, f := fullImage(t, "16M", []string{"-b", "1024"}, func(w *fullFS) *File { return w.pieces(0, 100, 50, 20, 10) })
	var e layout.Extent
	must(t, f.Extents(func(x layout.Extent) bool { e = x; return false }))
	before := blockMap(f)
	for _, bad := range []layout.Pblk{e.Pblk, e.Pblk + 99} { // before the write, and behind it
		w.dev.SetFault(func(io simdev.IO) error {
			if at := int64(bad) * w.bs; io.Op == aio.Write && io.Off <= at && at < io.Off+int64(io.Len) {
				return syscall.EIO
			}
			return nil
		})
		q, err := w.fs.NewQueue(4)
		must(t, err)
		if err := throughQueue(q, requests(f, int(w.bs), 50)...); !errors.Is(err, syscall.EIO) {
			t.Fatalf("write: %v", err)
		}
		must(t, q.Close())
		w.dev.SetFault(nil)
		if got := blockMap(f); got != before {
			t.Fatalf("map\n%swant\n%s", got, before)
		}
	}
	w.end(f)
}

// TestCrashFull explores crashes of writes that fill extents with zeros: free space was poisoned, and no poison shows.
func TestCrashFull(t *testing.T) {
	x := newExplorer(t, crashBudget()/5)
	geometries := [][]string{{"-b", "1024"}, {"-b", "1024", "-O", "bigalloc", "-C", "4096"}, {"-b", "4096", "-J", "size=4"}}
	for i := range geometries {
		opts := geometries[(i+x.rnd.Intn(len(geometries)))%len(geometries)]
		w, f := fullImage(t, "16M", append(opts, "-N", "128"), func(w *fullFS) *File { return w.pieces(0, 40, 5, 2, 1) })
		must(t, f.Close())
		must(t, w.fs.Close())
		base := w.dev.Image()
		write := func(blocks ...int) crashOp {
			return crashOp{name: fmt.Sprintf("write %v", blocks), run: func(fs *FS) error {
				f, err := fs.OpenFile("/db", os.O_RDWR, 0)
				if err != nil {
					return err
				}
				q, err := fs.NewQueue(4)
				if err != nil {
					return err
				}
				return errors.Join(throughQueue(q, requests(f, int(w.bs), blocks...)...), q.Close(), f.Close())
			}}
		}
		tr, err := runWorkload(base, []crashOp{write(20), syncOp(), write(42), write(46), syncOp(), write(47), write(0, 39), syncOp()})
		must(t, err)
		for i, snap := range tr.snaps { // else a crash would be measured by them
			for name, p := range snap.files {
				if bytes.IndexByte(p, 0xAA) >= 0 {
					t.Fatalf("after %d steps of %s inode %s shows what was free", i, tr.name, name)
				}
			}
		}
		x.explore(tr, 60)
	}
	x.finish()
}
