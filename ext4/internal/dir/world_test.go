package dir_test

import (
	"errors"

	"ext4img/aio/simdev"
	"ext4img/ext4/internal/dir"
	"ext4img/ext4/internal/stack"
	"ext4img/ext4/layout"
	"ext4img/journal"
	"ext4img/testimages/bare"
)

// world is a file system in memory.
type world struct{ *stack.Stack }

// newWorld opens a copy of the image.
func newWorld(t bare.T, image *simdev.Image) *world {
	t.Helper()
	w := &world{stack.New(t, image)}
	w.Credits = w.Dirs.Credits()
	return w
}

// mkdir makes a directory in another one, with link counts.
func (w *world) mkdir(t bare.T, parent layout.Ino, name string) layout.Ino {
	t.Helper()
	var ino layout.Ino
	w.Must(t, func(h *journal.Handle) error {
		var in layout.Inode
		var err error
		if ino, in, err = w.Inodes.New(h, parent, layout.ModeDir|0o755); err != nil {
			return err
		}
		in.SetLinks(2)
		up, err := w.Inodes.Edit(h, parent)
		if err != nil {
			return err
		}
		up.SetLinks(up.Links() + 1)
		return errors.Join(w.Dirs.Init(h, ino, parent), w.Dirs.Add(h, parent, name, ino, layout.FTDir))
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
			out[i], _, err = w.Inodes.New(h, layout.RootIno, layout.ModeRegular|0o644)
			return err
		})
	}
	return out
}

// setLinks sets the link count of every file to the number of its names, and frees the files without a name.
func (w *world) setLinks(t bare.T, files []layout.Ino, names map[string]layout.Ino) {
	t.Helper()
	count := w.links(t, files, names)
	for _, ino := range files {
		if count[ino] == 0 {
			w.Must(t, func(h *journal.Handle) error { return w.Inodes.Free(h, ino) })
		}
	}
}

// links is setLinks, but does not free the files without a name. If they stay so, e2fsck takes them for orphans.
func (w *world) links(t bare.T, files []layout.Ino, names map[string]layout.Ino) map[layout.Ino]uint16 {
	t.Helper()
	count := map[layout.Ino]uint16{}
	for _, ino := range names {
		count[ino]++
	}
	for _, ino := range files {
		w.Must(t, func(h *journal.Handle) error {
			in, err := w.Inodes.Edit(h, ino)
			if err == nil {
				in.SetLinks(count[ino])
			}
			return err
		})
	}
	return count
}

// list calls fn with every entry of a directory that must be without errors.
func (w *world) list(r journal.Reader, ino layout.Ino, fn func(dir.Entry) (bool, error)) error {
	return w.Dirs.Scan(r, ino, fn, func(err error) error { return err })
}

// names reads all names of a directory but "." and "..".
func (w *world) names(t bare.T, ino layout.Ino) map[string]layout.Ino {
	t.Helper()
	out := map[string]layout.Ino{}
	w.View(func(r journal.Reader) {
		dots := 0
		err := w.list(r, ino, func(e dir.Entry) (bool, error) {
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
