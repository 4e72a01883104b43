package dir_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a file system in memory.
type world struct {
	dev    *simdev.Device
	g      *layout.Geometry
	j      *journal.Journal
	space  *group.Space
	inodes *inode.Table
	m      *extent.Mapper
	attrs  *xattr.Store
	dirs   *dir.Dirs
}

func judge(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("judge missing: " + name)
	}
}

// mke2fs makes an empty image.
func mke2fs(t testing.TB, size string, args ...string) *simdev.Image {
	t.Helper()
	judge(t, "mke2fs")
	path := filepath.Join(t.TempDir(), "image")
	args = append(append([]string{"-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,hash_seed=12345678-9abc-4def-8123-456789abcdef"},
		args...), path, size)
	if out, err := exec.Command("mke2fs", args...).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs %s: %v: %s", strings.Join(args, " "), err, out)
	}
	image, err := simdev.LoadImage(path)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// newWorld opens a copy of the image.
func newWorld(t failer, image *simdev.Image) *world {
	t.Helper()
	w := &world{dev: simdev.FromImage(image.Clone())}
	super := make([]byte, layout.SuperSize)
	if _, err := w.dev.ReadAt(super, layout.SuperOffset); err != nil {
		t.Fatalf("%v", err)
	}
	s, err := layout.ParseSuperblock(super)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if w.g, err = layout.NewGeometry(s); err != nil {
		t.Fatalf("%v", err)
	}
	w.open(t)
	return w
}

// open opens the file system that lies on the device.
func (w *world) open(t failer) {
	t.Helper()
	var err error
	if w.j, err = journal.Open(journal.Config{Device: w.dev, BlockSize: w.g.BlockSize, Blocks: w.g.Blocks}); err != nil {
		t.Fatalf("%v", err)
	}
	w.stack()
}

// stack puts the packages over the journal.
func (w *world) stack() {
	w.space = group.New(w.g, w.j)
	w.inodes = inode.New(w.space)
	w.m = extent.New(w.space, w.inodes)
	w.attrs = xattr.New(w.space, w.inodes, w.m)
	w.dirs = dir.New(w.inodes, w.m, w.attrs)
}

// do runs fn in a handle of its own. Where it meets space that rests, it commits and runs it again.
func (w *world) do(t failer, fn func(h *journal.Handle) error) error {
	t.Helper()
	for range 3 {
		h, err := w.j.Start(w.dirs.Credits())
		if err != nil {
			t.Fatalf("start: %v", err)
		}
		if err = fn(h); err != nil {
			h.Cancel()
			if errors.Is(err, group.ErrResting) {
				if err := w.j.CommitAll(); err != nil {
					t.Fatalf("commit: %v", err)
				}
				continue
			}
			return err
		}
		if _, err := h.Stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
		return nil
	}
	return group.ErrResting
}

// must is do, for what must not fail.
func (w *world) must(t failer, fn func(h *journal.Handle) error) {
	t.Helper()
	if err := w.do(t, fn); err != nil {
		t.Fatalf("%v", err)
	}
}

// view runs fn on a view.
func (w *world) view(fn func(r journal.Reader)) {
	v := w.j.View()
	defer v.Close()
	fn(v)
}

// mkdir makes a directory in another one, with link counts.
func (w *world) mkdir(t failer, parent layout.Ino, name string) layout.Ino {
	t.Helper()
	var ino layout.Ino
	w.must(t, func(h *journal.Handle) error {
		var in layout.Inode
		var err error
		if ino, in, err = w.inodes.New(h, parent, layout.ModeDir|0o755); err != nil {
			return err
		}
		in.SetLinks(2)
		up, err := w.inodes.Edit(h, parent)
		if err != nil {
			return err
		}
		up.SetLinks(up.Links() + 1)
		return errors.Join(w.dirs.Init(h, ino, parent), w.dirs.Add(h, parent, name, ino, layout.FTDir))
	})
	return ino
}

// mkfiles makes n empty files without names; links sets their link counts at the end.
func (w *world) mkfiles(t failer, n int) []layout.Ino {
	t.Helper()
	out := make([]layout.Ino, n)
	for i := range out {
		w.must(t, func(h *journal.Handle) error {
			var err error
			out[i], _, err = w.inodes.New(h, layout.RootIno, layout.ModeRegular|0o644)
			return err
		})
	}
	return out
}

// setLinks gives every file the link count that the names in all demand, and frees those without a name.
func (w *world) setLinks(t failer, files []layout.Ino, names map[string]layout.Ino) {
	t.Helper()
	count := map[layout.Ino]uint16{}
	for _, ino := range names {
		count[ino]++
	}
	for _, ino := range files {
		w.must(t, func(h *journal.Handle) error {
			in, err := w.inodes.Edit(h, ino)
			if err != nil {
				return err
			}
			in.SetLinks(count[ino])
			if count[ino] == 0 {
				return w.inodes.Free(h, ino)
			}
			return nil
		})
	}
}

// names reads all names of a directory but "." and "..".
func (w *world) names(t failer, ino layout.Ino) map[string]layout.Ino {
	t.Helper()
	out := map[string]layout.Ino{}
	w.view(func(r journal.Reader) {
		dots := 0
		err := w.dirs.List(r, ino, func(e dir.Entry) (bool, error) {
			if e.Name == "." || e.Name == ".." {
				dots++
				return true, nil
			}
			if out[e.Name] != 0 {
				t.Fatalf("%q is listed twice", e.Name)
			}
			out[e.Name] = e.Ino
			return true, nil
		})
		if err != nil || dots != 2 {
			t.Fatalf("list: %d dots, %v", dots, err)
		}
	})
	return out
}

// save closes the journal and writes the image to a file.
func (w *world) save(t testing.TB) string {
	t.Helper()
	if err := w.j.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := w.dev.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// e2fsck judges an image file.
func e2fsck(t testing.TB, path string) {
	t.Helper()
	judge(t, "e2fsck")
	if out, err := exec.Command("e2fsck", "-fn", path).CombinedOutput(); err != nil {
		t.Fatalf("e2fsck -fn: %v\n%s", err, last(out, 3000))
	}
}

func last(out []byte, n int) []byte { return out[max(0, len(out)-n):] }

// mounted lets the kernel show a clean image. Blocks larger than its pages it cannot: then it is false.
func (w *world) mounted(t testing.TB, path string, look func(root string)) bool {
	t.Helper()
	if w.g.BlockSize > os.Getpagesize() {
		return false
	}
	if os.Getuid() != 0 {
		t.Skip("judge missing: kernel (not root)")
	}
	root := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop,ro,noload", path, root).CombinedOutput(); err != nil {
		t.Skipf("judge missing: kernel: %s", out)
	}
	defer func() {
		if out, err := exec.Command("umount", root).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	}()
	look(root)
	return true
}

// debugfs runs one request on an image file.
func debugfs(t testing.TB, path, request string) string {
	t.Helper()
	judge(t, "debugfs")
	out, err := exec.Command("debugfs", "-R", request, path).Output()
	if err != nil {
		t.Fatalf("debugfs %s: %v", request, err)
	}
	return string(out)
}
