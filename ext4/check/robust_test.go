package check

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/testimages"
	"ext4img/testimages/effort"
)

// The check of a small damaged image may take this long on a busy machine, and allocate this much in total.
const (
	boundTime   = 10 * time.Second
	boundMemory = 256 << 20
)

func runBounded(t testing.TB, dev *simdev.Device, what string) *Report {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	r := run(t, dev)
	d := time.Since(start)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; d > boundTime || n > boundMemory {
		t.Errorf("%s: %v, %d MiB", what, d, n>>20)
	}
	return r
}

func long() bool { return effort.Long() }

func TestTruncatedImages(t *testing.T) {
	for _, name := range []string{"default-1k", "ext2-bare", "dirty", "inline"} {
		p := testimages.Bytes(t, name)
		for _, n := range []int{0, 1, 512, 1024, 1100, 2047, 2048, 3000, 4096, 65536, 1 << 20, len(p) / 2, len(p) - 1} {
			r := runBounded(t, device(t, p[:n]), fmt.Sprintf("%s cut at %d", name, n))
			if r.Clean() {
				t.Errorf("%s cut at %d: clean", name, n)
			}
		}
	}
}

// TestNoise changes bytes at random places in the metadata, where they do the most harm. The check must always end.
func TestNoise(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	rounds := 6
	if long() {
		rounds = 300
	}
	for _, m := range testimages.All(t) {
		if m.Name == "block-64k" && !long() { // large
			continue
		}
		p := testimages.Bytes(t, m.Name)
		used := usedPages(p)
		for round := range rounds {
			dev := device(t, p)
			for range 1 + r.IntN(20) {
				at := used[r.IntN(len(used))] + int64(r.IntN(4096))
				b := []byte{byte(r.Uint32())}
				if r.IntN(2) == 0 { // small numbers are more often valid
					b = []byte{byte(r.IntN(4)), 0, 0, 0}
				}
				if at+int64(len(b)) <= int64(len(p)) {
					if _, err := dev.WriteAt(b, at); err != nil {
						t.Fatal(err)
					}
				}
			}
			runBounded(t, dev, fmt.Sprintf("%s round %d", m.Name, round))
		}
	}
}

// usedPages returns the offsets of pages that are not empty.
func usedPages(p []byte) (at []int64) {
	for off := 0; off < len(p); off += 4096 {
		if !allZero(p[off:min(off+4096, len(p))]) {
			at = append(at, int64(off))
		}
	}
	return at
}

// TestHugeClaims sets fields to values that could make the check allocate too much or loop.
func TestHugeClaims(t *testing.T) {
	for name, change := range map[string]func(e *editor){
		"file size": func(e *editor) { e.change("hello", func(in layout.Inode) { in.SetSize(1 << 62) }) },
		"dir size":  func(e *editor) { e.change("dir", func(in layout.Inode) { in.SetSize(1 << 62) }) },
		"blocks":    func(e *editor) { e.super(func(s layout.Superblock) { s.SetBlocksCount(1 << 44) }) },
		"inodes":    func(e *editor) { e.super(func(s layout.Superblock) { s.SetInodesCount(1<<32 - 1) }) },
		"groups": func(e *editor) {
			e.super(func(s layout.Superblock) { s.SetBlocksPerGroup(8); s.SetClustersPerGroup(8); s.SetBlocksCount(1 << 40) })
		},
		"extent loop": func(e *editor) {
			b := e.where(e.file("scattered"), 0)
			e.extent("scattered", func(h, x []byte) { le.PutUint16(h[6:], 3); le.PutUint32(x[4:], uint32(b)) })
			e.block(b, func(p []byte) {
				copy(p, []byte{0x0A, 0xF3, 84, 0, 84, 0, 3, 0})
				for i := range 84 {
					le.PutUint32(p[12+12*i:], uint32(i))
					le.PutUint32(p[16+12*i:], uint32(b))
				}
			})
		},
		"long extents": func(e *editor) {
			e.extent("hello", func(h, x []byte) { le.PutUint32(x, 1<<31); le.PutUint16(x[4:], 32768); le.PutUint32(x[8:], 1) })
		},
	} {
		e := edit(t, "nocsum")
		change(e)
		if r := runBounded(t, e.dev, name); r.Clean() {
			t.Errorf("%s: clean", name)
		}
	}
}

// TestClaimedOften maps the same blocks into many files and directories, thousands of times each.
func TestClaimedOften(t *testing.T) {
	const tree, target, targets = 5000, 6000, 8192
	for name, mode := range map[string]uint16{"files": layout.ModeRegular | 0o644, "directories": layout.ModeDir | 0o755} {
		e := edit(t, "nocsum")
		e.block(tree, func(p []byte) { // 84 leaves; each has 84 extents of the same blocks
			copy(p, []byte{0x0A, 0xF3, 84, 0, 84, 0, 1, 0, 0, 0, 0, 0})
			for i := range 84 {
				le.PutUint32(p[12+12*i:], uint32(i*84*targets))
				le.PutUint32(p[16+12*i:], uint32(tree+1+i))
			}
		})
		for leaf := range 84 {
			e.block(uint64(tree+1+leaf), func(p []byte) {
				copy(p, []byte{0x0A, 0xF3, 84, 0, 84, 0, 0, 0, 0, 0, 0, 0})
				for i := range 84 {
					le.PutUint32(p[12+12*i:], uint32((leaf*84+i)*targets))
					le.PutUint16(p[16+12*i:], targets)
					le.PutUint32(p[20+12*i:], target)
				}
			})
		}
		for ino := layout.Ino(100); ino < 300; ino++ {
			e.inode(ino, func(in layout.Inode) {
				in.SetMode(mode)
				in.SetLinks(1)
				in.SetFlags(layout.FlagExtents)
				in.SetSize(84 * 84 * targets << 10)
				copy(in.Block(), []byte{0x0A, 0xF3, 1, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, tree & 0xFF, tree >> 8, 0, 0, 0, 0, 0, 0})
			})
		}
		e.desc(0, func(d layout.Desc) { d.SetItableUnused(0) })
		r := runBounded(t, e.dev, name)
		if r.Counts[codeClaimedOften] == 0 || r.ExitStatus(true) != ExitProblems {
			t.Errorf("%s: %s", name, summary(r))
		}
	}
}

// TestBadBlocksListedOften lists the same blocks as bad many times.
func TestBadBlocksListedOften(t *testing.T) {
	e := edit(t, "nocsum")
	e.inode(layout.BadBlocksIno, func(in layout.Inode) {
		in.SetFlags(layout.FlagExtents)
		copy(in.Block(), []byte{0x0A, 0xF3, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0})
		for i := range 4 {
			le.PutUint32(in.Block()[12+12*i:], uint32(i*8192))
			le.PutUint16(in.Block()[16+12*i:], 8192)
			le.PutUint32(in.Block()[20+12*i:], 6000)
		}
	})
	if r := runBounded(t, e.dev, "bad blocks"); r.Counts[codeBlockNotMarked] == 0 {
		t.Error(summary(r))
	}
}

// fuzzAt replaces the n bytes at a place of an image with those of the fuzzer.
func fuzzAt(f *testing.F, image string, n int, place func(e *editor) int64) {
	p := testimages.Bytes(f, image)
	e := editor{t: f, dev: device(f, p)}
	e.c = &checker{dev: e.dev, rep: newReporter(1)}
	if err := e.c.open(); err != nil {
		f.Fatal(err)
	}
	off := place(&e)
	base := e.dev.Image()
	f.Add(append([]byte(nil), p[off:off+int64(n)]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dev := simdev.FromImage(base.Clone())
		if _, err := dev.WriteAt(data[:min(len(data), n)], off); err != nil {
			t.Fatal(err)
		}
		runBounded(t, dev, "fuzzed")
	})
}

// fuzzFile replaces the first block of a file.
func fuzzFile(f *testing.F, image string, path ...string) {
	fuzzAt(f, image, 1024, func(e *editor) int64 {
		ino := layout.RootIno
		for _, name := range path {
			ino, _, _ = e.entry(ino, name)
		}
		return int64(e.where(ino, 0)) << e.c.geo.bits
	})
}

// fuzzInode replaces the record of an inode.
func fuzzInode(f *testing.F, image, name string) {
	fuzzAt(f, image, 256, func(e *editor) int64 {
		g := e.c.geo
		group, k := g.inodeGroup(e.file(name))
		return int64(e.c.descs[group].InodeTable())<<g.bits + int64(k)*int64(g.isize)
	})
}

func FuzzSuperblock(f *testing.F) {
	fuzzAt(f, "nocsum", 1024, func(*editor) int64 { return 1024 })
}
func FuzzDescriptors(f *testing.F) {
	fuzzAt(f, "nocsum", 1024, func(*editor) int64 { return 2048 })
}
func FuzzInode(f *testing.F)        { fuzzInode(f, "nocsum", "scattered") }
func FuzzInlineInode(f *testing.F)  { fuzzInode(f, "inline", "hello") }
func FuzzDirBlock(f *testing.F)     { fuzzFile(f, "nocsum", "dir") }
func FuzzIndexRoot(f *testing.F)    { fuzzFile(f, "ext3", "htree") }
func FuzzJournalSuper(f *testing.F) { fuzzSystemFile(f, "dirty", 8) }
func FuzzQuotaFile(f *testing.F)    { fuzzSystemFile(f, "quota", 3) }

func fuzzSystemFile(f *testing.F, image string, ino layout.Ino) {
	fuzzAt(f, image, 4096, func(e *editor) int64 { return int64(e.where(ino, 0)) << e.c.geo.bits })
}

func FuzzExtentNode(f *testing.F) {
	fuzzAt(f, "nocsum", 1024, func(e *editor) int64 {
		rec, err := e.c.readInode(e.file("scattered"))
		if err != nil {
			f.Fatal(err)
		}
		return int64(parseNode(layout.Inode(rec).Block()).index(0).pblk) << e.c.geo.bits
	})
}

func FuzzXattrBlock(f *testing.F) {
	fuzzAt(f, "nocsum", 1024, func(e *editor) int64 {
		b := e.where(e.file("scattered"), 0)
		e.change("hello", func(in layout.Inode) { in.SetFileACL(layout.Pblk(b)) })
		e.block(b, func(p []byte) {
			clear(p)
			for at, v := range map[int]uint32{0: 0xEA020000, 4: 1, 8: 1, 32: 0x03F80101, 40: 4} {
				le.PutUint32(p[at:], v)
			}
			p[48] = 'a'
		})
		return int64(b) << e.c.geo.bits
	})
}
