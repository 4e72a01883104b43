package dir_test

import (
	"errors"
	"os"
	"testing"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/extent"
	"ext4img/ext4/internal/group"
	"ext4img/ext4/internal/inode"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
	"ext4img/testimages/judge"
)

// world is a file system in memory.
type world struct {
	*bare.FS
	space  *group.Space
	inodes *inode.Table
	m      *extent.Mapper
	attrs  *xattr.Store
	dirs   *dir.Dirs
}

// mke2fs makes an empty image. An option -E of the caller's replaces the one here.
func mke2fs(t testing.TB, size string, args ...string) *simdev.Image {
	t.Helper()
	common := []string{"-E", "lazy_itable_init=1,hash_seed=12345678-9abc-4def-8123-456789abcdef"}
	return judge.Image(t, size, append(common, args...)...)
}

// newWorld opens a copy of the image.
func newWorld(t bare.T, image *simdev.Image) *world {
	t.Helper()
	w := &world{FS: bare.New(t, image)}
	w.stack()
	return w
}

// open opens the file system that lies on the device again.
func (w *world) open(t bare.T) {
	t.Helper()
	w.Open(t)
	w.stack()
}

// stack puts the packages over the journal.
func (w *world) stack() {
	w.space = group.New(w.G, w.J)
	w.inodes = inode.New(w.space)
	w.m = extent.New(w.space, w.inodes)
	w.attrs = xattr.New(w.space, w.inodes, w.m)
	w.dirs = dir.New(w.inodes, w.m, w.attrs)
	w.Credits, w.Resting = w.dirs.Credits(), group.ErrResting
}

// mkdir makes a directory in another one, with link counts.
func (w *world) mkdir(t bare.T, parent layout.Ino, name string) layout.Ino {
	t.Helper()
	var ino layout.Ino
	w.Must(t, func(h *journal.Handle) error {
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
func (w *world) mkfiles(t bare.T, n int) []layout.Ino {
	t.Helper()
	out := make([]layout.Ino, n)
	for i := range out {
		w.Must(t, func(h *journal.Handle) error {
			var err error
			out[i], _, err = w.inodes.New(h, layout.RootIno, layout.ModeRegular|0o644)
			return err
		})
	}
	return out
}

// setLinks gives every file the link count that the names in all demand, and frees those without a name.
func (w *world) setLinks(t bare.T, files []layout.Ino, names map[string]layout.Ino) {
	t.Helper()
	count := map[layout.Ino]uint16{}
	for _, ino := range names {
		count[ino]++
	}
	for _, ino := range files {
		w.Must(t, func(h *journal.Handle) error {
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
func (w *world) names(t bare.T, ino layout.Ino) map[string]layout.Ino {
	t.Helper()
	out := map[string]layout.Ino{}
	w.View(func(r journal.Reader) {
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

// mounted lets the kernel show a clean image. Blocks larger than its pages it cannot: then it is false.
func (w *world) mounted(t testing.TB, path string, look func(root string)) bool {
	t.Helper()
	if w.G.BlockSize > os.Getpagesize() {
		return false
	}
	judge.Mount(t, path, "ro,noload", look)
	return true
}
