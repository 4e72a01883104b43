package dir_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages"
	"ext4img/testimages/bare"
	"ext4img/testimages/effort"
	"ext4img/testimages/judge"
)

// TestImages lists every directory of the images that mke2fs and debugfs made, and compares with debugfs's listing.
func TestImages(t *testing.T) {
	judge.Need(t, "debugfs")
	for _, image := range testimages.All(t) {
		if strings.HasPrefix(image.Name, "disk-") || image.Name == "dirty" {
			continue // a partitioned disk, or a file system that recovery changes
		}
		t.Run(image.Name, func(t *testing.T) {
			path := testimages.Path(t, image.Name)
			w := newWorld(t, judge.Load(t, path))
			seen := w.walk(t, path, layout.RootIno, 0)
			t.Logf("%d names", seen)
		})
	}
}

// walk compares a directory and all below it with debugfs, and looks every name up.
func (w *world) walk(t *testing.T, path string, ino layout.Ino, depth int) (seen int) {
	t.Helper()
	if depth > 10 {
		t.Fatal("deeper than the images are")
	}
	var entries []dir.Entry
	w.View(func(r journal.Reader) {
		err := w.list(r, ino, func(e dir.Entry) (bool, error) {
			entries = append(entries, e)
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if got, _, err := w.Dirs.Lookup(r, ino, e.Name); err != nil || got != e.Ino {
				t.Errorf("directory %d: lookup %q: inode %d, %v; want %d", ino, e.Name, got, err, e.Ino)
			}
		}
	})
	want := map[string]layout.Ino{}
	for _, m := range regexp.MustCompile(`(?m)^/(\d+)/[^/]*/[^/]*/[^/]*/([^/]*)/`).FindAllStringSubmatch(judge.Debugfs(t, path, fmt.Sprintf("ls -p <%d>", ino)), -1) {
		if n, _ := strconv.Atoi(m[1]); n != 0 {
			want[m[2]] = layout.Ino(n)
		}
	}
	if len(want) != len(entries) {
		t.Errorf("directory %d: %d names, debugfs lists %d", ino, len(entries), len(want))
	}
	for _, e := range entries {
		seen++
		if want[e.Name] != e.Ino {
			t.Errorf("directory %d: %q → %d, debugfs lists %d", ino, e.Name, e.Ino, want[e.Name])
		}
		if e.Name != "." && e.Name != ".." && w.isDir(t, e.Ino) {
			seen += w.walk(t, path, e.Ino, depth+1)
		}
	}
	return seen
}

// TestIndexLost adds to a hashed directory in a file system that has lost the feature: the flag must be cleared.
func TestIndexLost(t *testing.T) {
	judge.Need(t, "tune2fs")
	w := newWorld(t, stack.Mke2fs(t, "16M", "-b", "1024", "-O", "^metadata_csum"))
	d, files := w.mkdir(t, layout.RootIno, "d"), w.mkfiles(t, 1)
	names := w.fill(t, d, files, 500, func(i int) string { return fmt.Sprintf("name-%d", i) })
	w.links(t, files, names)
	path := w.Save(t)
	judge.Run(t, "tune2fs", "-O", "^dir_index", path)
	w = newWorld(t, judge.Load(t, path))
	more := w.fill(t, d, files, 500, func(i int) string { return fmt.Sprintf("more-%d", i) })
	for name, ino := range more {
		names[name] = ino
	}
	w.judgeNames(t, d, files, names)
}

// TestOracleImages walks every directory of images with one defect each. Whatever is wrong, nothing panics or runs
// for long.
func TestOracleImages(t *testing.T) {
	list, _ := filepath.Glob(filepath.Join(judge.Oracles(t, "e2fsprogs"), "*.img.gz"))
	if len(list) == 0 {
		t.Skip("judge missing: oracles")
	}
	for _, gz := range list {
		m := gunzip(t, gz)
		if m == nil {
			continue
		}
		w, ok := tryWorld(m)
		if !ok {
			continue
		}
		names := 0
		w.View(func(r journal.Reader) {
			for ino := layout.Ino(1); uint32(ino) <= min(w.G.Inodes, 5000); ino++ {
				err := w.list(r, ino, func(dir.Entry) (bool, error) { names++; return names < 1<<20, nil })
				if err != nil && !expected(err) {
					t.Logf("%s: inode %d: %v", filepath.Base(gz), ino, err)
				}
				if list, err := w.Attrs.List(r, ino); err == nil {
					for _, a := range list {
						_, _ = w.Attrs.Get(r, ino, a.Name)
					}
				}
			}
		})
		if names >= 1<<20 {
			t.Errorf("%s: a million names", filepath.Base(gz))
		}
	}
}

// gunzip reads an image; in the short form, only its first 16 MiB.
func gunzip(t *testing.T, path string) *simdev.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	most := int64(16 << 20)
	if effort.Long() {
		most = 1 << 30
	}
	p, err := io.ReadAll(io.LimitReader(z, most))
	if err != nil || len(p) < layout.SuperOffset+layout.SuperSize {
		return nil
	}
	dev := simdev.New(int64(len(p)) &^ 4095)
	if _, err := dev.WriteAt(p[:len(p)&^4095], 0); err != nil {
		t.Fatal(err)
	}
	return dev.Image()
}

// tryWorld opens an image that may be too damaged to open.
func tryWorld(m *simdev.Image) (w *world, ok bool) {
	f, err := bare.Parse(simdev.FromImage(m))
	if err != nil || f.G.Incompat&^layout.KnownIncompat != 0 || uint64(f.G.Groups) > 1<<16 {
		return nil, false
	}
	if f.J, err = journal.Open(journal.Config{Device: f.Dev, BlockSize: f.G.BlockSize, Blocks: f.G.Blocks}); err != nil {
		return nil, false
	}
	return &world{stack.Over(f)}, true
}

func (w *world) isDir(t *testing.T, ino layout.Ino) (is bool) {
	w.View(func(r journal.Reader) {
		in, err := w.Inodes.Read(r, ino)
		if err != nil {
			t.Fatal(err)
		}
		is = in.IsDir()
	})
	return is
}

// TestAfterKernel changes directories that the kernel made, and lets the kernel change ours.
func TestAfterKernel(t *testing.T) {
	for _, k := range []struct {
		name string
		args []string
	}{
		{"4k", []string{"-b", "4096"}},
		{"1k", []string{"-b", "1024"}},
		{"inline", []string{"-b", "1024", "-O", "inline_data"}},
		{"nocsum", []string{"-b", "1024", "-O", "^metadata_csum"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			path := judge.Save(t, simdev.FromImage(stack.Mke2fs(t, "32M", k.args...)))
			var names map[string]layout.Ino
			name := func(who string, i int) string { return fmt.Sprintf("%s-%d-%s", who, i, strings.Repeat("n", i%120)) }
			judge.Mount(t, path, "", func(root string) {
				kernelMakes(t, root, func(i int) string { return name("kernel", i) }, 1200)
				if err := os.Mkdir(filepath.Join(root, "small"), 0o755); err != nil {
					t.Fatal(err)
				}
			})
			w := newWorld(t, judge.Load(t, path))
			d, small := w.lookup(t, layout.RootIno, "d"), w.lookup(t, layout.RootIno, "small")
			f := w.lookup(t, d, name("kernel", 0))
			names = w.names(t, d)
			for i := range 300 {
				w.Must(t, func(h *journal.Handle) error {
					if err := w.Dirs.Add(h, d, name("ours", i), f, layout.FTRegular); err != nil {
						return err
					}
					return w.Dirs.Add(h, small, name("ours", i), f, layout.FTRegular)
				})
				names[name("ours", i)] = f
			}
			for i := 1; i < 1200; i += 7 {
				w.Must(t, func(h *journal.Handle) error {
					_, err := w.Dirs.Replace(h, d, name("kernel", i), f, layout.FTRegular)
					return err
				})
			}
			w.freeReplaced(t, names, f, 300)
			path = w.Save(t)
			judge.Fsck(t, path)
			judge.Mount(t, path, "", func(root string) {
				kernelMakes(t, root, func(i int) string { return name("again", i) }, 600)
				judge.Run(t, "rm", "-r", filepath.Join(root, "d"), filepath.Join(root, "small"))
			})
			judge.Fsck(t, path)
		})
	}
}

func (w *world) lookup(t *testing.T, d layout.Ino, name string) (ino layout.Ino) {
	t.Helper()
	w.View(func(r journal.Reader) {
		var err error
		if ino, _, err = w.Dirs.Lookup(r, d, name); err != nil {
			t.Fatal(err)
		}
	})
	return ino
}

// freeReplaced frees the files whose names in d now refer to f, and sets f's link count: its names in d, and
// elsewhere more.
func (w *world) freeReplaced(t *testing.T, names map[string]layout.Ino, f layout.Ino, elsewhere int) {
	t.Helper()
	now := w.names(t, w.lookup(t, layout.RootIno, "d"))
	links := elsewhere
	for name, ino := range now {
		if ino == f {
			links++
		}
		if old := names[name]; old != ino {
			w.Must(t, func(h *journal.Handle) error {
				in, err := w.Inodes.Edit(h, old)
				if err != nil {
					return err
				}
				in.SetLinks(0)
				return w.Inodes.Free(h, old)
			})
		}
	}
	w.Must(t, func(h *journal.Handle) error {
		in, err := w.Inodes.Edit(h, f)
		if err == nil {
			in.SetLinks(uint16(links))
		}
		return err
	})
}

// kernelMakes makes empty files in the directory d through the kernel.
func kernelMakes(t *testing.T, root string, name func(i int) string, n int) {
	t.Helper()
	d := filepath.Join(root, "d")
	if err := os.MkdirAll(d, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(d, name(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
