package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// A filler fills an image after /db was preallocated, or leaves room for it alone.
type filler struct {
	name string
	// tree is for mke2fs -d: how many bytes of other files the image begins with.
	tree func(room int64) int64
	fill func(t *testing.T, img string)
	last bool // it keeps no pool
}

func fillers() []filler {
	return []filler{
		{name: "ours", fill: fillOurs},
		{name: "kernel", fill: func(t *testing.T, img string) { fillKernel(t, img, false) }},
		{name: "kernel to the last block", fill: func(t *testing.T, img string) { fillKernel(t, img, true) }, last: true},
		{name: "mke2fs -d", tree: func(room int64) int64 { return room * 7 / 10 }, fill: fillOurs},
		{name: "libext2fs to the last block", fill: fillLibrary, last: true},
	}
}

// fillOurs fills over several opens, each time until nothing more goes in.
func fillOurs(t *testing.T, img string) {
	for round := range 4 {
		fs, dev := openImage(t, img, Options{})
		for i := 0; ; i++ {
			f, err := fs.Create(fmt.Sprintf("/r%d-%d", round, i), Attr{Perm: 0o644})
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			must(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte{byte(i)}, 100<<10>>(4*round)), 0)
			must(t, f.Close())
			if errors.Is(err, syscall.ENOSPC) {
				break
			}
			must(t, err)
		}
		closeImage(t, fs, dev)
	}
}

// fillKernel lets the kernel fill; to the last block after it was told to keep no pool.
func fillKernel(t *testing.T, img string, last bool) {
	judge.Mount(t, img, "", func(root string) {
		if last {
			source, err := judge.Command(t, "findmnt", "-n", "-o", "SOURCE", root).Output()
			if err != nil {
				t.Skip("judge missing: findmnt")
			}
			knob := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(source))), "reserved_clusters")
			must(t, os.WriteFile(knob, []byte("0"), 0))
		}
		for i, size := 0, 1<<20; size >= 512; i++ {
			name := fmt.Sprintf("%s/k%d", root, i)
			if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, size), 0o644); err != nil {
				size /= 2
			}
			f, err := os.Open(name)
			if err != nil {
				break
			}
			_ = f.Sync()
			must(t, f.Close())
		}
	})
}

// fillLibrary fills with debugfs, which like mke2fs -d knows of no pool.
func fillLibrary(t *testing.T, img string) {
	bs, free := freeBlocks(t, img)
	one, big := t.TempDir()+"/one", t.TempDir()+"/big"
	must(t, os.WriteFile(one, []byte("x"), 0o644))
	must(t, os.WriteFile(big, bytes.Repeat([]byte("y"), int(bs*max(free-40, 1))), 0o644))
	judge.Change(t, img, "write "+big+" big\n")
	_, free = freeBlocks(t, img)
	var b strings.Builder
	for i := range free {
		fmt.Fprintf(&b, "write %s z%d\n", one, i)
	}
	judge.Change(t, img, b.String())
}

// freeBlocks asks dumpe2fs for the size of a block, and how many are free.
func freeBlocks(t *testing.T, img string) (bs, free int64) {
	t.Helper()
	for _, line := range strings.Split(judge.Run(t, "dumpe2fs", "-h", img), "\n") {
		if v, ok := strings.CutPrefix(line, "Block size:"); ok {
			fmt.Sscan(v, &bs)
		}
		if v, ok := strings.CutPrefix(line, "Free blocks:"); ok {
			fmt.Sscan(v, &free)
		}
	}
	return bs, free
}

// TestPreallocatedOnFull writes scattered blocks into a preallocated file over several opens, on images of several shapes
// that were filled by several programs: no write fails, nothing of what was not written shows, and e2fsck is content.
func TestPreallocatedOnFull(t *testing.T) {
	judge.Need(t, "mke2fs", "e2fsck", "debugfs", "dumpe2fs")
	n := 0
	for _, bs := range []int{1024, 4096} {
		for _, journal := range []string{"has_journal", "^has_journal"} {
			for _, cluster := range []int{1, 4} {
				for _, reserved := range []string{"0", "5"} {
					opts := []string{"-t", "ext4", "-b", fmt.Sprint(bs), "-m", reserved, "-N", "1024", "-O", journal}
					if cluster > 1 {
						opts = append(opts, "-O", journal+",bigalloc", "-C", fmt.Sprint(bs*cluster))
					}
					for i, by := range fillers() {
						if n++; (n/5+i)%5 != 0 && !effort.Long() {
							continue // each shape with one filler
						}
						t.Run(fmt.Sprintf("%d %s cluster %d -m %s %s", bs, journal, cluster, reserved, by.name), func(t *testing.T) {
							preallocatedOnFull(t, bs, opts, by)
						})
					}
				}
			}
		}
	}
}

func preallocatedOnFull(t *testing.T, bs int, opts []string, by filler) {
	size := int64(bs) << 12 // 4096 blocks
	if bs == 1024 {
		size *= 2
	}
	if by.tree != nil {
		dir := t.TempDir()
		for i, left := 0, by.tree(size/2); left > 0; i, left = i+1, left-200<<10 {
			must(t, os.WriteFile(fmt.Sprintf("%s/t%d", dir, i), bytes.Repeat([]byte("t"), int(min(left, 200<<10))), 0o644))
		}
		opts = append(opts, "-d", dir)
	}
	img := newImage(t, fmt.Sprintf("%dK", size>>10), opts...)
	poison(t, img)
	blocks := 1000
	fs, dev := openImage(t, img, Options{})
	f := preallocated(t, fs, "/db", int64(blocks*bs))
	must(t, f.Close())
	closeImage(t, fs, dev)
	by.fill(t, img)
	fsckClean(t, img)
	if _, free := freeBlocks(t, img); by.last && free > 8 {
		t.Fatalf("%d blocks are free", free)
	}

	want := make([]byte, blocks*bs)
	order := rand.Perm(blocks)[:blocks/2]
	for len(order) > 0 {
		fs, dev := openImage(t, img, Options{})
		f, err := fs.OpenFile("/db", os.O_RDWR, 0)
		must(t, err)
		q, err := fs.NewQueue(32)
		must(t, err)
		now := order[:len(order)/3+1]
		order = order[len(now):]
		for len(now) > 0 {
			reqs := requests(f, bs, now[:min(32, len(now))]...)
			now = now[len(reqs):]
			for _, r := range reqs {
				copy(want[r.Off:], r.Buf)
			}
			must(t, throughQueue(q, reqs...))
		}
		must(t, errors.Join(q.Close(), f.Close()))
		closeImage(t, fs, dev)
		fsckClean(t, img)
	}
	sameBytes(t, dumpFile(t, img, "/db"), want)
}

// TestPoolAcrossOpens has the pool be the same in each session, whatever happens in it.
func TestPoolAcrossOpens(t *testing.T) {
	img := newImage(t, "16M", "-t", "ext4", "-b", "1024", "-m", "0")
	for round := range 6 {
		fs, dev := openImage(t, img, Options{})
		pool := uint64(16384 / 50)
		super, err := fs.Super()
		must(t, err)
		free, err := fs.FreeBlocks()
		must(t, err)
		if want := super.FreeBlocksCount() - min(super.FreeBlocksCount(), pool); free != want {
			t.Fatalf("open %d: %d blocks for new files, %d free: want %d", round, free, super.FreeBlocksCount(), want)
		}
		f, err := fs.Create(fmt.Sprintf("/f%d", round), Attr{Perm: 0o644})
		must(t, err)
		if round < 3 {
			must(t, f.Fallocate(0, 0, int64(free/2)<<10))
		}
		must(t, f.Close())
		fill, err := fs.Create(fmt.Sprintf("/g%d", round), Attr{Perm: 0o644})
		must(t, err)
		for size, off := int64(1<<20), int64(0); round >= 2 && size >= 1024; {
			if err := fill.Fallocate(0, off, size); err == nil {
				off += size
			} else if size /= 2; !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
		must(t, fill.Close())
		super, err = fs.Super()
		must(t, err)
		if n := super.FreeBlocksCount(); n < pool || round >= 2 && n > pool+1 {
			t.Fatalf("open %d: %d blocks left, want the pool of %d", round, n, pool)
		}
		closeImage(t, fs, dev)
	}
	fsckClean(t, img)
}
