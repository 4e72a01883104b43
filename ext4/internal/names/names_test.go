package names_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/names"
	"ext4img/ext4/internal/volume"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/judge"
)

// world is a file system in memory, without open files and queues.
type world struct {
	*testing.T
	*names.Names
	dev   *simdev.Device
	inUse map[layout.Ino]bool
}

func newWorld(t *testing.T, options ...string) *world {
	dev := simdev.FromImage(judge.Image(t, "16M", options...))
	v, err := volume.Open(dev, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Finish(func(layout.Ino, int64) error { return errors.New("no orphans here") }); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, dev: dev, inUse: map[layout.Ino]bool{}}
	w.Names = names.New(v, func(ino layout.Ino) bool { return w.inUse[ino] })
	return w
}

// do runs fn in a handle.
func (w *world) do(fn func(h *journal.Handle) error) error {
	_, err := w.Update(w.CreateCredits(), fn)
	return err
}

// must is do for changes that must succeed: an error ends the test.
func (w *world) must(fn func(h *journal.Handle) error) {
	w.Helper()
	if err := w.do(fn); err != nil {
		w.Fatal(err)
	}
}

// made runs fn, which makes an inode, in a handle.
func (w *world) made(fn func(h *journal.Handle) (layout.Ino, error)) (ino layout.Ino) {
	w.Helper()
	w.must(func(h *journal.Handle) (err error) {
		ino, err = fn(h)
		return err
	})
	return ino
}

// refused runs fn, which must fail with the error want.
func (w *world) refused(want error, fn func(h *journal.Handle) error) {
	w.Helper()
	if err := w.do(fn); !errors.Is(err, want) {
		w.Errorf("error %v, want %v", err, want)
	}
}

// gone runs fn, which removes the last link of an inode, and deletes that inode.
func (w *world) gone(fn func(h *journal.Handle) (layout.Ino, error)) {
	w.Helper()
	ino := w.made(fn)
	if ino == 0 || w.inUse[ino] {
		return
	}
	v := w.Journal.View()
	rec, err := w.Inodes.Read(v, ino)
	links := uint16(0)
	if err == nil {
		links = rec.Links()
	}
	v.Close()
	if err == nil && links == 0 {
		err = w.Delete(ino)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// list is the names of a directory.
func (w *world) list(ino layout.Ino) string {
	w.Helper()
	v := w.Journal.View()
	defer v.Close()
	var out []string
	err := w.Dirs.Scan(v, ino, func(e dir.Entry) (bool, error) {
		if e.Name != "." && e.Name != ".." && e.Name != "lost+found" {
			out = append(out, e.Name)
		}
		return true, nil
	}, func(err error) error { return err })
	if err != nil {
		w.Fatal(err)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// end closes the file system, has e2fsck judge it, and returns its path.
func (w *world) end() string {
	w.Helper()
	if err := w.Close(); err != nil {
		w.Fatal(err)
	}
	path := judge.Save(w, w.dev)
	judge.Fsck(w, path)
	return path
}

func at(dir layout.Ino, name string) names.Place { return names.Place{Dir: dir, Name: name} }

// TestByInode runs every operation on names by the number of an inode. e2fsck and debugfs judge the result.
func TestByInode(t *testing.T) {
	for name, options := range map[string][]string{"default": nil, "ext2": {"-t", "ext2"}, "inline": {"-O", "inline_data"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append([]string{"-q"}, options...)...)
			byInode(w)
			path := w.end()
			for request, want := range map[string]string{
				"stat /d/swapped/deep": "Type: directory", "stat /d/fifo": "Type: FIFO", "stat /d/null": "Device major/minor number: 01:03",
				"stat /d/link": "Type: symlink", "ea_get /d/file user.note": "kept",
			} {
				if got := judge.Debugfs(w, path, request); !strings.Contains(got, want) {
					w.Errorf("debugfs %s: %s, want %q", request, got, want)
				}
			}
		})
	}
}

func byInode(w *world) {
	root, a := layout.RootIno, names.Attr{Perm: 0o755, UID: 7, GID: 8}
	d := w.made(func(h *journal.Handle) (layout.Ino, error) { return w.Mkdir(h, at(root, "d"), a) })
	sub := w.made(func(h *journal.Handle) (layout.Ino, error) { return w.Mkdir(h, at(d, "sub"), a) })
	deep := w.made(func(h *journal.Handle) (layout.Ino, error) { return w.Mkdir(h, at(sub, "deep"), a) })
	file := w.made(func(h *journal.Handle) (layout.Ino, error) {
		return w.Create(h, at(d, "file"), layout.ModeRegular, a, nil)
	})
	w.made(func(h *journal.Handle) (layout.Ino, error) {
		return w.Mknod(h, at(d, "fifo"), layout.ModeFIFO, a, 0, 0)
	})
	w.made(func(h *journal.Handle) (layout.Ino, error) {
		return w.Mknod(h, at(d, "null"), layout.ModeCharDev, a, 1, 3)
	})
	target := "../" + strings.Repeat("x", 100)
	link := w.made(func(h *journal.Handle) (layout.Ino, error) { return w.Symlink(h, at(d, "link"), target, a) })
	byInodeRefused(w, d, sub, file)
	byInodeRename(w, d, sub, deep)
	byInodeAttrs(w, file, link, target)
	byInodeTemp(w, d, file)
	if got, want := w.list(d), "empty fifo file link null swapped temp"; got != want {
		w.Errorf("names %q, want %q", got, want)
	}
	w.gone(func(h *journal.Handle) (layout.Ino, error) { return w.Rmdir(h, at(d, "empty")) })
	w.gone(func(h *journal.Handle) (layout.Ino, error) { return w.Unlink(h, at(d, "temp")) })
	if got, want := w.list(d), "fifo file link null swapped"; got != want {
		w.Errorf("names %q, want %q", got, want)
	}
}

func byInodeRefused(w *world, d, sub, file layout.Ino) {
	w.refused(fs.ErrExist, func(h *journal.Handle) error { _, err := w.Mkdir(h, at(d, "sub"), names.Attr{}); return err })
	w.refused(fs.ErrExist, func(h *journal.Handle) error { return w.Link(h, file, at(d, "sub")) })
	w.refused(syscall.EPERM, func(h *journal.Handle) error { return w.Link(h, sub, at(d, "again")) })
	w.refused(syscall.ENOTDIR, func(h *journal.Handle) error { _, err := w.Mkdir(h, at(file, "x"), names.Attr{}); return err })
	w.refused(syscall.ENAMETOOLONG, func(h *journal.Handle) error {
		_, err := w.Mkdir(h, at(d, strings.Repeat("n", 256)), names.Attr{})
		return err
	})
	w.refused(fs.ErrNotExist, func(h *journal.Handle) error { _, err := w.Unlink(h, at(d, "none")); return err })
	w.refused(syscall.EISDIR, func(h *journal.Handle) error { _, err := w.Unlink(h, at(d, "sub")); return err })
	w.refused(syscall.ENOTDIR, func(h *journal.Handle) error { _, err := w.Rmdir(h, at(d, "file")); return err })
	w.refused(syscall.ENOTEMPTY, func(h *journal.Handle) error { _, err := w.Rmdir(h, at(d, "sub")); return err })
	w.refused(syscall.EINVAL, func(h *journal.Handle) error { _, err := w.Rmdir(h, at(d, ".")); return err })
	w.refused(syscall.EINVAL, func(h *journal.Handle) error {
		_, err := w.Rename(h, at(d, "file"), at(d, "f"), names.RenameExchange|names.RenameNoReplace, false)
		return err
	})
	w.refused(syscall.EINVAL, func(h *journal.Handle) error {
		_, err := w.Rename(h, at(d, "sub"), at(sub, "below"), 0, false)
		return err
	})
	dead := w.made(func(h *journal.Handle) (layout.Ino, error) {
		return w.Create(h, at(d, "dead"), layout.ModeRegular, names.Attr{}, nil)
	})
	w.gone(func(h *journal.Handle) (layout.Ino, error) { return w.Unlink(h, at(d, "dead")) })
	w.refused(syscall.ESTALE, func(h *journal.Handle) error { return w.InUse(h, dead) })
	w.refused(fs.ErrInvalid, func(h *journal.Handle) error { _, err := w.Readlink(h, file); return err })
}

func byInodeRename(w *world, d, sub, deep layout.Ino) {
	w.made(func(h *journal.Handle) (layout.Ino, error) {
		return w.Mkdir(h, at(d, "empty"), names.Attr{Perm: 0o700})
	})
	w.refused(fs.ErrExist, func(h *journal.Handle) error {
		_, err := w.Rename(h, at(sub, "deep"), at(d, "empty"), names.RenameNoReplace, false)
		return err
	})
	w.gone(func(h *journal.Handle) (layout.Ino, error) { // deep is empty, and replaces a directory
		return w.Rename(h, at(sub, "deep"), at(d, "empty"), 0, false)
	})
	w.gone(func(h *journal.Handle) (layout.Ino, error) {
		return w.Rename(h, at(d, "empty"), at(sub, "deep"), 0, false)
	})
	w.made(func(h *journal.Handle) (layout.Ino, error) {
		return w.Mkdir(h, at(d, "swapped"), names.Attr{Perm: 0o700})
	})
	w.gone(func(h *journal.Handle) (layout.Ino, error) {
		return w.Rename(h, at(d, "sub"), at(d, "swapped"), names.RenameExchange, false)
	})
	w.gone(func(h *journal.Handle) (layout.Ino, error) {
		return w.Rename(h, at(d, "sub"), at(d, "empty"), 0, false)
	})
	v := w.Journal.View()
	defer v.Close()
	if ino, err := w.Lookup(v, at(sub, "deep")); err != nil || ino != deep {
		w.Errorf("deep: inode %d, %v; want %d", ino, err, deep)
	}
	if up, err := w.Lookup(v, at(deep, "..")); err != nil || up != sub {
		w.Errorf("deep's parent: inode %d, %v; want %d", up, err, sub)
	}
}

func byInodeAttrs(w *world, file, link layout.Ino, target string) {
	when := time.Unix(1_000_000_000, 0)
	w.must(func(h *journal.Handle) error {
		return errors.Join(w.Chmod(h, file, 0o6755), w.Chown(h, file, 5, -1), w.Chtimes(h, file, when, when),
			w.SetXattr(h, file, "user.note", []byte("kept"), xattr.Create), w.SetXattr(h, file, "user.gone", []byte("x"), 0))
	})
	w.must(func(h *journal.Handle) error { return w.RemoveXattr(h, file, "user.gone") })
	w.refused(xattr.ErrNoData, func(h *journal.Handle) error { return w.RemoveXattr(h, file, "user.gone") })
	w.refused(syscall.EPERM, func(h *journal.Handle) error { return w.SetXattr(h, link, "user.note", nil, 0) })
	v := w.Journal.View()
	defer v.Close()
	rec, err := w.Inodes.Read(v, file)
	if err != nil || rec.Mode() != layout.ModeRegular|0o755 || rec.UID() != 5 || rec.GID() != 8 || !rec.Mtime().Equal(when) {
		w.Errorf("mode %#o, owner %d:%d, mtime %v: %v", rec.Mode(), rec.UID(), rec.GID(), rec.Mtime(), err)
	}
	if list, err := w.Xattrs(v, file); err != nil || !slices.Equal(list, []string{"user.note"}) {
		w.Errorf("attributes %q: %v", list, err)
	}
	if value, err := w.Xattr(v, file, "user.note"); err != nil || string(value) != "kept" {
		w.Errorf("user.note: %q: %v", value, err)
	}
	if got, err := w.Readlink(v, link); err != nil || got != target {
		w.Errorf("text %q: %v", got, err)
	}
}

func byInodeTemp(w *world, d, file layout.Ino) {
	temp := w.made(func(h *journal.Handle) (layout.Ino, error) {
		ino, _, err := w.Tmpfile(h, d, names.Attr{Perm: 0o600})
		return ino, err
	})
	w.inUse[temp] = true
	w.refused(fs.ErrExist, func(h *journal.Handle) error { return w.LinkTmpfile(h, temp, at(d, "file")) })
	w.refused(fs.ErrExist, func(h *journal.Handle) error { return w.LinkTmpfile(h, file, at(d, "more")) })
	w.must(func(h *journal.Handle) error {
		return errors.Join(w.InUse(h, temp), w.LinkTmpfile(h, temp, at(d, "temp")))
	})
	delete(w.inUse, temp)
	w.must(func(h *journal.Handle) error { return w.Link(h, temp, at(d, "twice")) })
	w.gone(func(h *journal.Handle) (layout.Ino, error) { return w.Remove(h, at(d, "twice")) })
}
