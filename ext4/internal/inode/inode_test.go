package inode

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// A world is a file system made by mke2fs, on a device in memory.
type world struct {
	*bare.FS
	t   testing.TB
	tab *Table
}

// mkfs makes a file system on a device full of garbage, with inode tables that are not zeroed, and opens it. Its log
// is not used: changes are written home when a handle stops.
func mkfs(t testing.TB, size int, args ...string) *world {
	t.Helper()
	judge.Need(t, "e2fsck", "debugfs")
	path := filepath.Join(t.TempDir(), "img")
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xAA}, size), 0o644); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard"}, args...)
	judge.Run(t, "mke2fs", append(args, path)...)
	return newWorld(t, judge.Load(t, path))
}

// newWorld opens a copy of an image.
func newWorld(t testing.TB, image *simdev.Image) *world {
	t.Helper()
	w := &world{FS: bare.New(t, image), t: t}
	w.tab = New(group.New(w.G, w.J), nil)
	return w
}

func (w *world) do(fn func(h *journal.Handle) error) error {
	w.t.Helper()
	return w.Do(w.t, fn)
}

func (w *world) must(fn func(h *journal.Handle) error) {
	w.t.Helper()
	w.Must(w.t, fn)
}

// make makes an inode with some links.
func (w *world) make(mode uint16, links uint16) (ino layout.Ino) {
	w.t.Helper()
	w.must(func(h *journal.Handle) error {
		n, in, err := w.tab.New(h, layout.RootIno, mode)
		if err == nil {
			ino = n
			in.SetLinks(links)
		}
		return err
	})
	return ino
}

// remove frees an inode.
func (w *world) remove(ino layout.Ino) {
	w.t.Helper()
	w.must(func(h *journal.Handle) error {
		in, err := w.tab.Edit(h, ino)
		if err != nil {
			return err
		}
		in.SetLinks(0)
		return w.tab.Free(h, ino)
	})
}

// link gives each inode a name, with debugfs.
func (w *world) link(path string, inos map[layout.Ino]bool) {
	w.t.Helper()
	var script strings.Builder
	for i, ino := range slices.Sorted(maps.Keys(inos)) {
		if i%32 == 0 {
			fmt.Fprintln(&script, "expand_dir /") // debugfs does not expand it by itself
		}
		fmt.Fprintf(&script, "ln <%d> n%d\n", ino, ino)
	}
	judge.Change(w.t, path, script.String())
}

var shapes = [][]string{
	nil,
	{"-b", "1024"},
	{"-b", "1024", "-O", "^flex_bg,^resize_inode", "-N", "1600"},
	{"-O", "^metadata_csum,uninit_bg"},
	{"-O", "^64bit"},
	{"-O", "^metadata_csum,^64bit"},
	{"-b", "1024", "-O", "^metadata_csum,^uninit_bg"},
	{"-I", "128"},
	{"-I", "1024", "-b", "2048"},
	{"-O", "^extent,^64bit"},
	{"-O", "bigalloc"},
	{"-O", "project,quota"},
}

// TestRandom makes and frees inodes in a table full of garbage, with cancelled handles in between.
func TestRandom(t *testing.T) {
	for i, args := range shapes {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if testing.Short() && i > 2 {
				t.Skip("short")
			}
			seed := int64(7000 + i)
			t.Logf("seed %d", seed)
			w := mkfs(t, 24<<20, args...)
			alive := w.randomly(rand.New(rand.NewSource(seed)))
			if w.G.ROCompat&layout.ROCompatQuota != 0 {
				return // this package does not maintain usage
			}
			path := w.Save(w.t)
			w.link(path, alive)
			judge.Fsck(t, path)
		})
	}
}

// randomly makes and frees inodes, and returns the files that are alive.
func (w *world) randomly(r *rand.Rand) map[layout.Ino]bool {
	w.t.Helper()
	alive, dirs := make(map[layout.Ino]bool), make(map[layout.Ino]bool)
	for range 400 {
		switch k := r.Intn(10); {
		case k < 6:
			ino := w.make(layout.ModeRegular|0o640, 1)
			if alive[ino] || dirs[ino] || ino < w.G.FirstIno {
				w.t.Fatalf("inode %d given out twice", ino)
			}
			alive[ino] = true
		case k == 6:
			dirs[w.make(layout.ModeDir|0o755, 2)] = true
		case k == 7:
			h, err := w.J.Start(64)
			if err != nil {
				w.t.Fatal(err)
			}
			if _, _, err := w.tab.New(h, layout.RootIno, layout.ModeDir); err != nil {
				w.t.Fatal(err)
			}
			h.Cancel()
		default:
			from := alive
			if k == 8 {
				from = dirs
			}
			for ino := range from {
				w.remove(ino)
				delete(from, ino)
				break
			}
		}
	}
	for ino := range dirs { // this package does not write their contents
		w.remove(ino)
	}
	return alive
}

// TestFirstInBlock uses a block of a table full of garbage for the first time: all of it is zeroed.
func TestFirstInBlock(t *testing.T) {
	w := mkfs(t, 24<<20, "-b", "1024")
	for range 40 {
		ino := w.make(layout.ModeRegular, 1)
		if _, at := w.G.InodeGroup(ino); at%w.G.InodesPerBlock() != 0 {
			continue
		}
		v := w.J.View()
		r, err := w.tab.ref(v, ino)
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, w.G.BlockSize)
		if _, err := w.Dev.ReadAt(p, int64(r.Block)*int64(len(p))); err != nil {
			t.Fatal(err)
		}
		if rest := p[w.G.InodeSize:]; !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Errorf("behind inode %d the block is not zero", ino)
		}
		return
	}
	t.Error("no inode at the start of a block")
}

// TestAll takes every free inode.
func TestAll(t *testing.T) {
	w := mkfs(t, 24<<20, "-b", "1024", "-N", "1600")
	alive := make(map[layout.Ino]bool)
	for {
		var ino layout.Ino
		err := w.do(func(h *journal.Handle) error {
			n, in, err := w.tab.New(h, layout.RootIno, layout.ModeRegular)
			if err == nil {
				ino = n
				in.SetLinks(1)
			}
			return err
		})
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		alive[ino] = true
	}
	if want := int(w.G.Inodes) - int(w.G.FirstIno); len(alive) != want { // lost+found has one
		t.Errorf("%d inodes, want %d", len(alive), want)
	}
	for ino := range alive { // numbers freed a moment ago are used last
		w.remove(ino)
		if again := w.make(layout.ModeRegular, 1); again != ino {
			t.Errorf("inode %d, want %d, the only one", again, ino)
		}
		break
	}
	path := w.Save(w.t)
	w.link(path, alive)
	judge.Fsck(t, path)
}

// TestRecord looks at a new record through debugfs.
func TestRecord(t *testing.T) {
	w := mkfs(t, 8<<20)
	w.tab.Clock = func() time.Time { return time.Date(2175, 3, 4, 5, 6, 7, 123456789, time.UTC) }
	ino := w.make(layout.ModeRegular|0o640, 1)
	v := w.J.View()
	in, err := w.tab.Read(v, ino)
	if err != nil {
		t.Fatal(err)
	}
	if !in.Crtime().Equal(w.tab.Clock()) || !in.Mtime().Equal(w.tab.Clock()) {
		t.Errorf("times %v, %v", in.Crtime(), in.Mtime())
	}
	v.Close()
	t.Setenv("TZ", "UTC")
	out := judge.Run(t, "debugfs", "-R", fmt.Sprintf("stat <%d>", ino), w.Save(w.t))
	for _, want := range []string{"Mode:  0640", "Flags: 0x80000", "Links: 1", "Size of extra inode fields: 32", "Size: 0",
		"crtime: 0x81ea2d3f:1d6f3456 -- Sat Mar  4 05:06:07 2175", "EXTENTS:"} {
		if !strings.Contains(out, want) {
			t.Errorf("debugfs does not say %q:\n%s", want, out)
		}
	}
}

// TestInherit takes over flags and project from the parent.
func TestInherit(t *testing.T) {
	w := mkfs(t, 8<<20, "-O", "project,quota")
	w.must(func(h *journal.Handle) error {
		up, err := w.tab.Edit(h, layout.RootIno)
		if err != nil {
			return err
		}
		up.SetProjectID(77)
		up.SetFlags(up.Flags() | layout.FlagProjInherit | layout.FlagNoAtime | layout.FlagDirSync | layout.FlagIndex | layout.FlagImmutable)
		for _, x := range []struct {
			mode  uint16
			flags uint32
		}{
			{layout.ModeDir, layout.FlagProjInherit | layout.FlagNoAtime | layout.FlagDirSync | layout.FlagExtents},
			{layout.ModeRegular, layout.FlagNoAtime | layout.FlagExtents},
			{layout.ModeSymlink, layout.FlagNoAtime},
		} {
			_, in, err := w.tab.New(h, layout.RootIno, x.mode)
			if err != nil {
				return err
			}
			if in.Flags() != x.flags || in.ProjectID() != 77 {
				t.Errorf("mode %#o: flags %#x, want %#x, project %d, want 77", x.mode, in.Flags(), x.flags, in.ProjectID())
			}
		}
		return nil
	})
}

// TestBlocks counts blocks across the three encodings of i_blocks.
func TestBlocks(t *testing.T) {
	for _, feature := range []string{"huge_file", "^huge_file"} {
		w := mkfs(t, 16<<20, "-b", "4096", "-O", feature)
		ino := w.make(layout.ModeRegular, 1)
		for _, x := range []struct {
			delta   int64
			sectors uint64
			flag    bool
			err     error
		}{
			{3, 24, false, nil}, {1<<29 - 4, 1<<32 - 8, false, nil}, {1, 1 << 32, false, syscall.EFBIG},
			{1 << 45, 1<<48 + 1<<32, true, syscall.EFBIG}, {1 << 48, 0, false, syscall.EFBIG},
			{-(1 << 46), 0, false, layout.ErrCorrupt}, {-(1 << 45), 1 << 32, false, layout.ErrCorrupt}, {-2, 1<<32 - 16, false, nil},
		} {
			err := w.do(func(h *journal.Handle) error { return w.tab.AddBlocks(h, ino, x.delta) })
			bad := err != nil && (!errors.Is(err, x.err) || x.sectors != 0 && feature == "huge_file")
			if bad || err == nil && x.sectors == 0 {
				t.Fatalf("%s: adding %d: %v", feature, x.delta, err)
			}
			if err != nil || feature != "huge_file" {
				continue
			}
			v := w.J.View()
			in, err := w.tab.Read(v, ino)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.tab.Blocks(in); got != x.sectors || in.HasFlag(layout.FlagHugeFile) != x.flag {
				t.Errorf("after adding %d: %d sectors, want %d; flags %#x", x.delta, got, x.sectors, in.Flags())
			}
			v.Close()
		}
	}
}

// TestNever reads numbers that are not those of an inode.
func TestNever(t *testing.T) {
	w := mkfs(t, 24<<20, "-b", "1024")
	v := w.J.View()
	defer v.Close()
	for _, ino := range []layout.Ino{0, layout.Ino(w.G.Inodes) + 1, 1<<32 - 1, 200, layout.Ino(w.G.Inodes)} {
		if _, err := w.tab.Read(v, ino); !errors.Is(err, layout.ErrCorrupt) {
			t.Errorf("inode %d: %v", ino, err)
		}
	}
}
