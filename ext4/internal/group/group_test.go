package group

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"syscall"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/journal/buf"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// A world is a file system of mke2fs on a device in memory.
type world struct {
	*bare.FS
	t testing.TB
	s *Space
}

// mkfs makes a file system with empty files /f0, /f1, … and opens it.
func mkfs(t testing.TB, size int64, files int, args ...string) *world {
	t.Helper()
	judge.Need(t, "e2fsck")
	args = append([]string{"-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", judge.Tree(t, files)}, args...)
	return newWorld(t, judge.Image(t, fmt.Sprintf("%dk", size>>10), args...))
}

// newWorld opens a copy of an image.
func newWorld(t testing.TB, image *simdev.Image) *world {
	t.Helper()
	w := &world{t: t}
	w.open(simdev.FromImage(image))
	return w
}

// open opens the journal, if the file system has one in an inode with few extents.
func (w *world) open(dev *simdev.Device) {
	w.t.Helper()
	var err error
	if w.FS, err = bare.Parse(dev); err != nil {
		w.t.Fatal(err)
	}
	if w.G.Compat&layout.CompatHasJournal != 0 {
		w.Config.Log = w.log()
	}
	w.Open(w.t)
	w.s = New(w.G, w.J)
}

func (w *world) log() *journal.Area {
	at, off := w.G.DescLoc(0)
	p := make([]byte, w.G.DescSize)
	w.Dev.ReadAt(p, int64(at)*int64(w.G.BlockSize)+int64(off))
	in := make([]byte, w.G.InodeSize)
	w.Dev.ReadAt(in, int64(layout.Desc(p).InodeTable())*int64(w.G.BlockSize)+int64(layout.JournalIno-1)*int64(w.G.InodeSize))
	root, err := layout.ParseExtentNode(layout.Inode(in).Block())
	if err != nil || !root.Leaf() {
		w.t.Fatalf("the journal's extents: %v", err)
	}
	area := &journal.Area{BlockSize: w.G.BlockSize}
	for i := range root.Entries() {
		e := root.Extent(i)
		area.Blocks = append(area.Blocks, journal.Run{Phys: uint64(e.Pblk), Len: e.Len})
	}
	return area
}

// do runs fn in a handle of its own.
func (w *world) do(fn func(h *journal.Handle) error) error {
	w.t.Helper()
	return w.Do(w.t, fn)
}

// must is do for changes that must succeed: an error ends the test.
func (w *world) must(fn func(h *journal.Handle) error) {
	w.t.Helper()
	w.Must(w.t, fn)
}

func (w *world) alloc(q Request) (p layout.Pblk, n uint32, err error) {
	w.t.Helper()
	err = w.do(func(h *journal.Handle) error {
		p, n, err = w.s.Alloc(h, q)
		return err
	})
	return p, n, err
}

func (w *world) free(p layout.Pblk, n uint64) {
	w.t.Helper()
	w.must(func(h *journal.Handle) error { return w.s.Free(h, p, n) })
}

// fsck closes the journal and lets e2fsck judge.
func (w *world) fsck() {
	w.t.Helper()
	path := w.Save(w.t)
	judge.Fsck(w.t, path)
	os.Remove(path)
}

// inodeRef is the record of one of the files made by mkfs.
func (w *world) inodeRef(r journal.Reader, ino layout.Ino) buf.Ref {
	group, at := w.G.InodeGroup(ino)
	d, err := w.s.Desc(r, group)
	if err != nil {
		w.t.Fatal(err)
	}
	per := w.G.InodesPerBlock()
	return buf.Ref{Block: uint64(d.InodeTable()) + uint64(at/per), Off: int(at%per) * w.G.InodeSize, Len: w.G.InodeSize,
		Type: layout.InodeType{G: w.G, Ino: ino}}
}

// give makes runs the content of a file, in the form that e2fsck accepts. At most four extents fit.
func (w *world) give(h *journal.Handle, ino layout.Ino, runs []layout.Extent) error {
	p, err := h.Get(w.inodeRef(h, ino))
	if err != nil {
		return err
	}
	in := layout.Inode(p)
	root := layout.InitExtentNode(in.Block(), 0)
	var at uint64
	for i, e := range runs {
		e.Lblk = layout.Lblk(at)
		root.Resize(i, 0, 1)
		root.PutExtent(i, e)
		at += uint64(e.Len)
	}
	in.SetFlags(in.Flags() | layout.FlagExtents)
	in.SetSize(at * uint64(w.G.BlockSize))
	in.SetRawBlocks(at * uint64(w.G.BlockSize/512))
	return nil
}

// shapes are file systems of every kind of bitmap and descriptor.
var shapes = []struct {
	name string
	size int64
	args []string
}{
	{"default", 600 << 20, nil},
	{"1k", 100 << 20, []string{"-b", "1024"}},
	{"1k-noflex", 50 << 20, []string{"-b", "1024", "-O", "^flex_bg,^resize_inode"}},
	{"2k-nojournal", 200 << 20, []string{"-b", "2048", "-O", "^has_journal"}},
	{"64k", 200 << 20, []string{"-b", "65536", "-O", "^has_journal"}},
	{"gdt_csum", 600 << 20, []string{"-O", "^metadata_csum,uninit_bg"}},
	{"gdt_csum-32", 600 << 20, []string{"-O", "^metadata_csum,uninit_bg,^64bit"}},
	{"csum-32", 600 << 20, []string{"-O", "^64bit"}},
	{"nocsum", 300 << 20, []string{"-O", "^metadata_csum"}},
	{"csum_seed", 300 << 20, []string{"-O", "metadata_csum_seed"}},
	{"meta_bg", 1200 << 20, []string{"-O", "meta_bg,^resize_inode"}},
	{"meta_bg-1k", 300 << 20, []string{"-b", "1024", "-O", "meta_bg,^resize_inode,^flex_bg"}},
	{"sparse_super2", 600 << 20, []string{"-O", "sparse_super2"}},
	{"nosparse", 600 << 20, []string{"-O", "^sparse_super,^resize_inode"}},
	{"bigalloc", 2 << 30, []string{"-O", "bigalloc", "-C", "65536"}},
	{"bigalloc-1k", 500 << 20, []string{"-b", "1024", "-O", "bigalloc,^resize_inode", "-C", "16384"}},
	{"short-groups", 100 << 20, []string{"-b", "1024", "-g", "1024", "-O", "^resize_inode"}},
	{"ragged", 600<<20 + 13*4096, []string{"-G", "4"}},
	{"inode-512", 200 << 20, []string{"-I", "512"}},
}

// TestShapes allocates and frees at random on every shape, with cancelled handles in between, and lets e2fsck judge.
func TestShapes(t *testing.T) {
	for i, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			if testing.Short() && i > 3 {
				t.Skip("short")
			}
			seed := int64(1000 + i)
			t.Logf("seed %d", seed)
			w := mkfs(t, shape.size, 40, shape.args...)
			w.randomly(rand.New(rand.NewSource(seed)), 300)
			w.fsck()
		})
	}
}

// randomly gives blocks to files and takes them away.
func (w *world) randomly(r *rand.Rand, steps int) {
	const firstFile = 12 // after lost+found
	owned := make([][]layout.Extent, 40)
	for range steps {
		f := r.Intn(len(owned))
		ino := layout.Ino(firstFile + f)
		cancel := r.Intn(8) == 0
		h, err := w.J.Start(64)
		if err != nil {
			w.t.Fatal(err)
		}
		var next []layout.Extent
		if len(owned[f]) < 4 && r.Intn(3) > 0 {
			next, err = w.grow(h, r, owned[f])
		} else {
			for _, e := range owned[f] {
				if err = w.s.Free(h, e.Pblk, uint64(e.Len)); err != nil {
					break
				}
			}
		}
		if err == nil {
			err = w.give(h, ino, next)
		}
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			w.t.Fatal(err)
		}
		if cancel || err != nil {
			h.Cancel()
			continue
		}
		if _, err := h.Stop(); err != nil {
			w.t.Fatal(err)
		}
		owned[f] = next
		if r.Intn(10) == 0 {
			if err := w.J.CommitAll(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) grow(h *journal.Handle, r *rand.Rand, have []layout.Extent) ([]layout.Extent, error) {
	q := Request{Goal: layout.Pblk(r.Int63n(int64(w.G.Blocks))), Min: 1, Max: 1 << r.Intn(15), Root: true}
	if len(have) > 0 && r.Intn(2) == 0 {
		last := have[len(have)-1]
		q.Goal = last.Pblk + layout.Pblk(last.Len)
	}
	p, n, err := w.s.Alloc(h, q)
	if err != nil {
		return nil, err
	}
	if n > q.Max+w.G.ClusterRatio || uint64(p)+uint64(n) > w.G.Blocks {
		return nil, fmt.Errorf("%v gives %d+%d", q, p, n)
	}
	next := append([]layout.Extent(nil), have...)
	for n > 0 { // an extent holds 32,768 blocks
		part := min(n, layout.MaxWrittenLen)
		next = append(next, layout.Extent{Pblk: p, Len: part})
		p, n = p+layout.Pblk(part), n-part
	}
	if len(next) > 4 {
		return have, w.s.Free(h, next[3].Pblk, uint64(next[3].Len)+uint64(next[4].Len))
	}
	return next, nil
}
