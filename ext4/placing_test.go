package ext4

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"ext4img/aio/block"
	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/ext4/mkfs"
	"ext4img/testimages/effort"
)

// extentCount is how many runs of blocks a file has on the device.
func extentCount(t *testing.T, fs *FS, name string) (n int) {
	t.Helper()
	f, err := fs.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	var last layout.Extent
	must(t, f.Extents(func(e layout.Extent) bool {
		if n == 0 || last.Pblk+layout.Pblk(last.Len) != e.Pblk || last.End() != uint64(e.Lblk) {
			n++
		}
		last = e
		return true
	}))
	must(t, f.Close())
	return n
}

// TestLargeFile makes a file of 1 GiB in an empty image, allocated at once and written piece by piece: it has at most 12
// extents, of at most 128 MiB each.
func TestLargeFile(t *testing.T) {
	t.Run("allocated", func(t *testing.T) {
		largeFile(t, func(f *File) { must(t, f.Fallocate(0, 0, 1<<30)) })
	})
	t.Run("written", func(t *testing.T) {
		if !effort.Long() {
			t.Skip("long: writes 1 GiB")
		}
		largeFile(t, func(f *File) {
			buf := block.Aligned(1<<20, 4096)
			for off := range int64(1 << 10) {
				_, err := f.WriteAt(buf, off<<20)
				must(t, err)
			}
		})
	})
}

func largeFile(t *testing.T, fill func(f *File)) {
	img := newImage(t, "2G", "-t", "ext4", "-b", "4096")
	fs, dev := openImage(t, img, Options{})
	f, err := fs.Create("/large", Attr{Perm: 0o644})
	must(t, err)
	fill(f)
	var list []layout.Extent
	must(t, f.Extents(func(e layout.Extent) bool { list = append(list, e); return true }))
	if len(list) > 12 {
		t.Errorf("%d extents: %+v", len(list), list)
	}
	must(t, f.Close())
	closeImage(t, fs, dev)
	judged(t, img)
}

// TestHugePreallocation allocates 1 TiB in a file system of 16 TiB: in seconds, and in bounded memory.
func TestHugePreallocation(t *testing.T) {
	if testing.Short() {
		t.Skip("long: makes a file system of 16 TiB in memory")
	}
	dev := simdev.New(16 << 40)
	must(t, mkfs.Make(dev, mkfs.Options{Zeroed: true}))
	fs, err := Open(dev, Options{})
	must(t, err)
	f, err := fs.Create("/huge", Attr{Perm: 0o600})
	must(t, err)
	before, began := heap(), time.Now()
	must(t, f.Fallocate(0, 0, 1<<40))
	took, used := time.Since(began), int64(heap())-int64(before)
	extents := 0
	must(t, f.Extents(func(layout.Extent) bool { extents++; return true }))
	t.Logf("%v, %d MiB more in use, %d extents, %+v", took, used>>20, extents, fs.Stats().Journal)
	if took > 60*time.Second || used > 512<<20 {
		t.Errorf("%v and %d MiB", took, used>>20)
	}
	must(t, f.Truncate(0))
	must(t, f.Close())
	must(t, fs.Close())
	began = time.Now()
	fs, err = Open(dev, Options{})
	must(t, err)
	free, err := fs.FreeBlocks()
	must(t, err)
	t.Logf("%d blocks free, opened in %v", free, time.Since(began))
	must(t, fs.Close())
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A filling is what fills an image, loses half of it and fills it again, for any driver.
type filling struct {
	first, second []item
	deleted       map[string]bool
}

type item struct {
	name string
	size int64
}

func newFilling(rnd *rand.Rand, bytes int64) *filling {
	f := &filling{deleted: map[string]bool{}}
	var used int64
	more := func(prefix string) (out []item) {
		for {
			n := int64(1) << (12 + rnd.IntN(11))
			n += rnd.Int64N(n)
			if used+n > bytes*80/100 {
				return out
			}
			out = append(out, item{fmt.Sprintf("/d%d/%s%d", rnd.IntN(16), prefix, len(out)), n})
			used += (n + 4095) &^ 4095
		}
	}
	f.first = more("a")
	for _, i := range f.first {
		if rnd.IntN(2) == 0 {
			f.deleted[i.name] = true
			used -= (i.size + 4095) &^ 4095
		}
	}
	f.second = more("b")
	return f
}

// play runs the filling; growing files at a time grow, in steps of 1 MiB.
func (f *filling) play(t *testing.T, d driver, growing int) {
	now := 0
	do := func(o operation) {
		t.Helper()
		now++
		if out := d.apply(&o, now); out.err != 0 {
			t.Fatalf("%v: %v", &o, out)
		}
	}
	fill := func(items []item) {
		const step = 1 << 20
		for ; len(items) > 0; items = items[min(growing, len(items)):] {
			some := items[:min(growing, len(items))]
			for fd, i := range some {
				do(operation{kind: opOpen, path: i.name, fd: fd, flag: os.O_RDWR | os.O_CREATE, mode: 0o644})
			}
			for off, more := int64(0), true; more; off += step {
				more = false
				for fd, i := range some {
					if off < i.size {
						do(operation{kind: opWrite, fd: fd, off: off, n: min(step, i.size-off)})
					}
					more = more || off+step < i.size
				}
			}
			for fd := range some {
				do(operation{kind: opClose, fd: fd})
			}
		}
		do(operation{kind: opSync})
	}
	for i := range 16 {
		do(operation{kind: opMkdir, path: fmt.Sprintf("/d%d", i), mode: 0o755})
	}
	fill(f.first)
	for _, i := range f.first {
		if f.deleted[i.name] {
			do(operation{kind: opUnlink, path: i.name})
		}
	}
	do(operation{kind: opSync})
	fill(f.second)
}

// extents is the mean number of extents of the files that were written last.
func (f *filling) extents(t *testing.T, img string) float64 {
	fs, dev := openImage(t, img, Options{ReadOnly: true})
	defer closeImage(t, fs, dev)
	total := 0
	for _, i := range f.second {
		total += extentCount(t, fs, i.name)
	}
	return float64(total) / float64(len(f.second))
}
