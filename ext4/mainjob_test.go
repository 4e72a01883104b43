package ext4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio"
	"ext4img/aio/block"
	"ext4img/testimages/judge"
)

// poison fills the free space of an image with 0xAA through debugfs-independent means: every block that e2fsck calls
// free is overwritten in the image file.
func poison(t *testing.T, img string) {
	t.Helper()
	out, err := judge.Command(t, "dumpe2fs", img).Output()
	if err != nil {
		t.Fatalf("dumpe2fs: %v", err)
	}
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	bs := int64(0)
	fill := bytes.Repeat([]byte{0xAA}, 1<<20)
	for _, line := range strings.Split(string(out), "\n") {
		if _, v, ok := strings.Cut(line, "Block size:"); ok {
			fmt.Sscan(v, &bs)
		}
		v, ok := strings.CutPrefix(line, "  Free blocks: ")
		if !ok || bs == 0 {
			continue
		}
		for _, r := range strings.Split(v, ", ") {
			var first, last int64
			if n, _ := fmt.Sscanf(r, "%d-%d", &first, &last); n == 0 {
				continue
			} else if n == 1 {
				last = first
			}
			for at, end := first*bs, (last+1)*bs; at < end; at += int64(len(fill)) {
				if _, err := f.WriteAt(fill[:min(int64(len(fill)), end-at)], at); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// kernelRead mounts a healthy image read-only and returns a reader of one of its files.
func kernelRead(t *testing.T, img, name string, fn func(r io.Reader)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("judge missing: kernel mount (needs root)")
	}
	mnt := t.TempDir()
	if out, err := judge.MountLoop("-o", "loop,ro", img, mnt); err != nil {
		t.Skipf("judge missing: kernel mount (%v: %s)", err, out)
	}
	defer func() {
		judge.Umount(t, mnt)
	}()
	f, err := os.Open(filepath.Join(mnt, name))
	must(t, err)
	defer f.Close()
	fn(f)
}

// stamp is the content of a block: it tells which write of which run it is of.
func stamp(p []byte, run, n uint64) {
	for i := 0; i+16 <= len(p); i += 16 {
		binary.LittleEndian.PutUint64(p[i:], run)
		binary.LittleEndian.PutUint64(p[i+8:], n<<16|uint64(i/16))
	}
}

// TestMainJob is the job that the tools of its field fail: scattered first writes into a large preallocated file, on an
// image with a real tree, over free space that is not zero. Every byte is compared through the kernel.
func TestMainJob(t *testing.T) {
	if testing.Short() {
		t.Skip("long: 33,000 writes and a comparison through the kernel")
	}
	const size, bs, writes = 256 << 20, 4096, 33000
	tree, err := filepath.Abs("..")
	must(t, err)
	img := newImage(t, "2G", "-t", "ext4", "-d", tree)
	poison(t, img)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	order := rnd.Perm(size / bs)[:writes]
	fs, dev := openImage(t, img, Options{})
	f, err := fs.Create("/db", Attr{Perm: 0o644})
	must(t, err)
	must(t, f.Fallocate(0, 0, size))
	must(t, writeStamped(fs, f, order, seed))
	must(t, f.Sync())
	t.Logf("%+v", fs.Stats())
	must(t, f.Close())
	closeImage(t, fs, dev)
	fsckClean(t, img)
	written := make(map[int]bool, writes)
	for _, b := range order {
		written[b] = true
	}
	compareStates(t, img, written, size/bs)
	kernelRead(t, img, "db", func(r io.Reader) {
		got, want, zero := make([]byte, bs), make([]byte, bs), make([]byte, bs)
		for b := range size / bs {
			if _, err := io.ReadFull(r, got); err != nil {
				t.Fatal(err)
			}
			w := zero
			if written[b] {
				stamp(want, seed, uint64(b))
				w = want
			}
			if !bytes.Equal(got, w) {
				t.Fatalf("block %d: the kernel reads %x…, want %x…", b, got[:16], w[:16])
			}
		}
	})
}

// writeStamped writes the blocks, in this order, with the queue kept full.
func writeStamped(fs *FS, f *File, order []int, run uint64) error {
	const depth, bs = 32, 4096
	q, err := fs.NewQueue(depth)
	if err != nil {
		return err
	}
	free := make([]*Request, depth)
	for i := range free {
		free[i] = &Request{File: f, Op: aio.Write, Buf: block.Aligned(bs, 4096)}
	}
	for len(order) > 0 || len(free) < depth {
		k := min(len(free), len(order))
		for i, r := range free[:k] {
			stamp(r.Buf, run, uint64(order[i]))
			r.Off = int64(order[i]) * bs
		}
		if err := q.Submit(free[:k]...); err != nil {
			return err
		}
		order, free = order[k:], free[k:]
		done, err := q.Reap(1)
		if err != nil {
			return err
		}
		for _, r := range done {
			if r.Err != nil {
				return r.Err
			}
			free = append(free, r)
		}
	}
	return q.Close()
}

// compareStates asks debugfs for the state of every block: what was written is written, and nothing else.
func compareStates(t *testing.T, img string, written map[int]bool, blocks int) {
	t.Helper()
	covered := 0
	for _, line := range strings.Split(debugfs(t, img, "dump_extents -l /db"), "\n") {
		line = strings.NewReplacer("/", " ", "-", " ").Replace(line)
		var level, levels, i, n, first, last, pfirst, plast, length int
		if k, _ := fmt.Sscan(line, &level, &levels, &i, &n, &first, &last, &pfirst, &plast, &length); k < 9 {
			continue
		}
		for b := first; b <= last; b++ {
			covered++
			if unwritten := strings.Contains(line, "Uninit"); unwritten == written[b] {
				t.Fatalf("block %d: unwritten %v, was written to: %v", b, unwritten, written[b])
			}
		}
	}
	if covered != blocks {
		t.Errorf("debugfs lists %d blocks of %d", covered, blocks)
	}
}
