package dir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// kinds are the forms that a directory can have.
var kinds = []struct {
	name, size string
	args       []string
	entries    int // in the short form
}{
	{"default-1k", "16M", []string{"-b", "1024"}, 3000},
	{"default-4k", "32M", []string{"-b", "4096"}, 3000},
	{"block-64k", "64M", []string{"-b", "65536", "-O", "^has_journal"}, 3000},
	{"linear", "16M", []string{"-b", "1024", "-O", "^dir_index"}, 500},
	{"nocsum-tea", "16M", []string{"-b", "1024", "-O", "^metadata_csum"}, 3000},
	{"ext3", "16M", []string{"-b", "1024", "-O", "^extents,^metadata_csum,^64bit"}, 3000},
	{"no-filetype", "16M", []string{"-b", "1024", "-O", "^filetype"}, 500},
	{"inline", "16M", []string{"-b", "1024", "-O", "inline_data"}, 500},
	{"inline-512", "16M", []string{"-b", "4096", "-O", "inline_data", "-I", "512"}, 500},
	{"large-dir", "32M", []string{"-b", "1024", "-O", "large_dir"}, 3000},
	{"bigalloc", "64M", []string{"-b", "4096", "-O", "bigalloc", "-C", "16384"}, 1000},
}

// anyName makes a name of any length and any bytes that are allowed.
func anyName(rnd *rand.Rand) string {
	n := 1 + rnd.IntN(255)
	if rnd.IntN(2) == 0 {
		n = 1 + rnd.IntN(20)
	}
	name := make([]byte, n)
	for i := range name {
		for name[i] = 0; name[i] == 0 || name[i] == '/'; {
			name[i] = byte(rnd.Uint32())
		}
	}
	if s := string(name); s == "." || s == ".." {
		return "..."
	}
	return string(name)
}

// TestGrowAndShrink fills a directory, compares every name, and removes first half of them and then all.
func TestGrowAndShrink(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			n := k.entries
			if effort.Long() {
				n *= 3
			}
			w := newWorld(t, stack.Mke2fs(t, k.size, k.args...))
			w.growAndShrink(t, n)
		})
	}
}

func (w *world) growAndShrink(t *testing.T, n int) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, 0))
	d := w.mkdir(t, layout.RootIno, "d")
	files := w.mkfiles(t, 1+n/30000)
	names := map[string]layout.Ino{}
	var order []string
	for len(names) < n {
		name, ino := anyName(rnd), files[rnd.IntN(len(files))]
		err := w.Do(t, func(h *journal.Handle) error { return w.Dirs.Add(h, d, name, ino, layout.FTRegular) })
		if names[name] != 0 {
			if !errors.Is(err, fs.ErrExist) {
				t.Fatalf("seed %d: add %q again: %v, want ErrExist", seed, name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: add %q (number %d): %v", seed, name, len(names), err)
		}
		names[name] = ino
		order = append(order, name)
	}
	w.judgeNames(t, d, files, names)
	rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, name := range order {
		w.Must(t, func(h *journal.Handle) error {
			old, err := w.Dirs.Remove(h, d, name)
			if err == nil && old != names[name] {
				err = fmt.Errorf("remove %q gave inode %d, want %d", name, old, names[name])
			}
			return err
		})
		delete(names, name)
		if i == len(order)/2 {
			w.judgeNames(t, d, files, names)
		}
	}
	w.View(func(r journal.Reader) {
		if empty, err := w.Dirs.Empty(r, d); !empty || err != nil {
			t.Fatalf("empty: %v, %v", empty, err)
		}
	})
	w.setLinks(t, files, names)
	judge.Fsck(t, w.Save(t))
}

// judgeNames compares a directory with the names it should hold, by our own listing and look-ups, e2fsck, and the
// kernel.
func (w *world) judgeNames(t *testing.T, d layout.Ino, files []layout.Ino, names map[string]layout.Ino) {
	t.Helper()
	got := w.names(t, d)
	if len(got) != len(names) {
		t.Fatalf("%d names listed, want %d", len(got), len(names))
	}
	w.View(func(r journal.Reader) {
		for name, want := range names {
			ino, _, err := w.Dirs.Lookup(r, d, name)
			if err != nil || ino != want || got[name] != want {
				t.Fatalf("lookup %q: inode %d, %v; listed %d; want %d", name, ino, err, got[name], want)
			}
		}
		if _, _, err := w.Dirs.Lookup(r, d, "no such name"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("lookup of no such name: %v", err)
		}
	})
	w.links(t, files, names)
	path := w.Save(t)
	judge.Fsck(t, path)
	if !w.Mounted(t, path, func(root string) { kernelNames(t, filepath.Join(root, "d"), names) }) {
		if got := strings.Count(judge.Debugfs(t, path, "ls -p /d"), "\n/"); got < len(names) {
			t.Errorf("debugfs lists %d names, want %d", got, len(names))
		}
	}
	w.Open(t)
}

// TestSmallThings checks the rules for names and errors.
func TestSmallThings(t *testing.T) {
	for _, features := range []string{"none", "inline_data"} {
		args := []string{"-b", "1024"}
		if features != "none" {
			args = append(args, "-O", features)
		}
		w := newWorld(t, stack.Mke2fs(t, "8M", args...))
		d := w.mkdir(t, layout.RootIno, "d")
		e := w.mkdir(t, d, "e")
		f := w.mkfiles(t, 2)
		add := func(name string) error {
			return w.Do(t, func(h *journal.Handle) error { return w.Dirs.Add(h, d, name, f[0], layout.FTRegular) })
		}
		for name, want := range map[string]error{
			"": fs.ErrInvalid, ".": fs.ErrInvalid, "..": fs.ErrInvalid, "a/b": fs.ErrInvalid, "a\x00": fs.ErrInvalid, "e": fs.ErrExist,
			strings.Repeat("n", 256): syscall.ENAMETOOLONG, strings.Repeat("n", 255): nil, "\xff\n": nil,
		} {
			if err := add(name); !errors.Is(err, want) {
				t.Errorf("%s: add %q: %v, want %v", features, name, err, want)
			}
		}
		w.Must(t, func(h *journal.Handle) error {
			old, err := w.Dirs.Replace(h, d, "\xff\n", f[1], layout.FTFifo)
			if old != f[0] {
				t.Errorf("replace gave inode %d, want %d", old, f[0])
			}
			return err
		})
		w.Must(t, func(h *journal.Handle) error { return w.Dirs.SetParent(h, e, layout.RootIno) })
		w.View(func(r journal.Reader) {
			for _, c := range []struct {
				dir  layout.Ino
				name string
				ino  layout.Ino
				ft   uint8
			}{{e, "..", layout.RootIno, layout.FTDir}, {e, ".", e, layout.FTDir}, {d, "\xff\n", f[1], layout.FTFifo}, {d, "e", e, layout.FTDir}} {
				ino, ft, err := w.Dirs.Lookup(r, c.dir, c.name)
				if err != nil || ino != c.ino || ft != c.ft {
					t.Errorf("%s: lookup %q in %d: inode %d type %d, %v; want %d, %d", features, c.name, c.dir, ino, ft, err, c.ino, c.ft)
				}
			}
			if _, _, err := w.Dirs.Lookup(r, f[0], "x"); !errors.Is(err, syscall.ENOTDIR) {
				t.Errorf("lookup in a file: %v", err)
			}
			if empty, err := w.Dirs.Empty(r, d); empty || err != nil {
				t.Errorf("empty: %v, %v", empty, err)
			}
		})
		for _, name := range []string{".", "..", "x"} {
			err := w.Do(t, func(h *journal.Handle) error { _, err := w.Dirs.Remove(h, d, name); return err })
			if err == nil {
				t.Errorf("remove %q: no error", name)
			}
		}
	}
}
