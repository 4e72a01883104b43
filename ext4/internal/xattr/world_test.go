package xattr_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ext4img/aio/simdev"
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
}

// do runs fn in a handle of its own. Where it meets space that rests, it commits and runs it again.
func (w *world) do(t failer, fn func(h *journal.Handle) error) error {
	t.Helper()
	for range 3 {
		h, err := w.j.Start(w.attrs.Credits())
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

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	judge(t, name)
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
