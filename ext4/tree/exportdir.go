package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	"ext4img/ext4/layout"
)

// toDir makes the tree in dst, which is created.
func (x *exporter) toDir(dst string) error {
	top, err := x.directory()
	if err != nil {
		return err
	}
	_, missing := os.Lstat(dst)
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	t := &hostTree{x: x, root: root, fresh: missing != nil}
	err = x.walk(top, t)
	for len(t.levels) > 0 { // it has ended early
		if e := t.leave(); err == nil {
			err = e
		}
	}
	if e := root.Close(); err == nil {
		err = e
	}
	return err
}

// hostTree makes a tree in a directory of the host. Every name is a single one, resolved in its directory: however deep
// the tree, and whatever names and symbolic links the image holds, nothing outside is reached. What is there already is
// replaced when its successor is complete; a directory stays, and nothing takes its place or that of a file's a directory.
type hostTree struct {
	x      *exporter
	root   *os.Root
	fresh  bool        // root was made by this export
	levels []hostLevel // from the root to the directory that is being filled
	first  int         // those from here on are open, and the root
}

// hostLevel is a directory that is being filled.
type hostLevel struct {
	it    *exportItem
	base  string
	root  *os.Root // nil: closed, to be opened again
	fresh bool     // made by this export
}

// maxHostLevels is how many directories are open at a time. Programs may have some 250 files open on every system.
const maxHostLevels = 64

// here is the directory that is being filled.
func (t *hostTree) here() *hostLevel { return &t.levels[len(t.levels)-1] }

// enter makes a directory, for the owner alone until it is left.
func (t *hostTree) enter(it *exportItem) error {
	if len(t.levels) == 0 {
		t.levels, t.first = append(t.levels, hostLevel{it: it, base: ".", root: t.root, fresh: t.fresh}), 1
		return nil
	}
	base := path.Base(it.Name)
	if err := badHostName(base); err != nil {
		return err
	}
	in := t.here()
	err := in.root.Mkdir(base, 0o700)
	fresh := err == nil
	if errors.Is(err, fs.ErrExist) && !in.fresh {
		err = t.merge(in.root, base)
	}
	if err != nil {
		return onHost("mkdir", err)
	}
	child, err := in.root.OpenRoot(base)
	if err != nil {
		return onHost("open", err)
	}
	t.levels = append(t.levels, hostLevel{it, base, child, fresh})
	if n := len(t.levels); n-t.first > maxHostLevels {
		old := &t.levels[t.first]
		t.first++
		err = old.root.Close()
		old.root = nil
	}
	return onHost("close", err)
}

// merge takes a directory that is there already, and no link to one.
func (t *hostTree) merge(in *os.Root, base string) error {
	old, err := in.Lstat(base)
	switch {
	case err != nil:
		return err
	case !old.IsDir():
		return errInTheWay
	case old.Mode().Perm()&0o700 != 0o700:
		return in.Chmod(base, old.Mode().Perm()|0o700)
	}
	return nil
}

var errInTheWay = fmt.Errorf("something else is in its place: %w", fs.ErrExist)

// leave gives a directory what must come after its files: owner, permissions, attributes and times.
func (t *hostTree) leave() error {
	l := *t.here()
	t.levels = t.levels[:len(t.levels)-1]
	if len(t.levels) == 0 {
		return t.finish(t.root, &l)
	}
	err := onHost("close", l.root.Close())
	if e := t.reopen(); e != nil {
		return e
	}
	if e := t.finish(t.here().root, &l); err == nil {
		err = e
	}
	return err
}

// finish completes a directory, by its name in another.
func (t *hostTree) finish(in *os.Root, l *hostLevel) error {
	if err := t.x.xattrs(l.it); err != nil {
		return err
	}
	d, err := in.Open(l.base)
	if err != nil {
		return onHost("open", err)
	}
	err = t.complete(d, l.it)
	if e := d.Close(); err == nil {
		err = onHost("close", e)
	}
	if e := in.Chtimes(l.base, l.it.Atime, l.it.Mtime); err == nil {
		err = onHost("utimes", e)
	}
	return err
}

// reopen opens the current directory again, and those above it, half of what may be open: the way up goes on.
func (t *hostTree) reopen() error {
	last := len(t.levels) - 1
	if last < t.first && last > 0 {
		at, keep := t.root, max(1, last-maxHostLevels/2)
		for i := 1; i <= last; i++ {
			next, err := at.OpenRoot(t.levels[i].base)
			if i > keep { // the one before is kept
				t.levels[i-1].root = at
			} else if at != t.root {
				_ = at.Close()
			}
			if err != nil {
				return &hostFault{op: "open", err: err, all: true}
			}
			at = next
		}
		t.levels[last].root, t.first = at, keep
	}
	return nil
}

// file makes what is no directory.
func (t *hostTree) file(it *exportItem) error {
	base := path.Base(it.Name)
	if err := badHostName(base); err != nil {
		return err
	}
	if it.LinkTo != "" {
		dir := path.Dir(it.Name)
		return t.place(base, func(name string) error { return onHost("link", t.root.Link(it.LinkTo, path.Join(dir, name))) })
	}
	if err := t.x.xattrs(it); err != nil {
		return err
	}
	switch it.kind() {
	case layout.ModeRegular:
		return t.regular(base, it)
	case layout.ModeSymlink:
		return t.place(base, func(name string) error {
			if err := t.here().root.Symlink(it.Target, name); err != nil {
				return onHost("symlink", err)
			}
			return t.special(name, it)
		})
	case layout.ModeCharDev, layout.ModeBlockDev, layout.ModeFIFO, layout.ModeSocket:
		return t.place(base, func(name string) error { return t.mknod(name, it) })
	}
	return errNoType
}

var errNoType = errors.New("a file of unknown type")

// place makes a file under its name, or where that is taken under another one that then replaces what was there.
func (t *hostTree) place(base string, make func(name string) error) error {
	in := t.here()
	err := make(base)
	if in.fresh || !errors.Is(err, fs.ErrExist) {
		return err
	}
	if old, err := in.root.Lstat(base); err != nil {
		return onHost("lstat", err)
	} else if old.IsDir() {
		return errInTheWay
	}
	for i := range 1000 {
		tmp := fmt.Sprintf(".ext4img-export-%d-%d", os.Getpid(), i)
		if err = make(tmp); errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = onHost("rename", in.root.Rename(tmp, base))
			_ = in.root.Remove(tmp) // two names of one file: rename has left both
		}
		break
	}
	return err
}

// regular makes a regular file. One that cannot be read to its end is not left behind: it would look right.
func (t *hostTree) regular(base string, it *exportItem) error {
	in, data, err := t.x.open(it)
	if err != nil {
		return err
	}
	defer in.Close()
	return t.place(base, func(name string) error {
		root := t.here().root
		out, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return onHost("create", err)
		}
		if err = t.x.copy.sparse(out, in, it.Size, data); err == nil {
			err = t.complete(out, it)
		}
		if e := out.Close(); err == nil {
			err = onHost("close", e)
		}
		if err != nil {
			_ = root.Remove(name)
			return err
		}
		return t.refused(it, onHost("utimes", root.Chtimes(name, it.Atime, it.Mtime)))
	})
}

// complete gives an open file owner, permissions and attributes, in this order: a change of the owner takes set-uid and
// capabilities away.
func (t *hostTree) complete(out *os.File, it *exportItem) error {
	mode, err := t.owner(it, out.Chown)
	if err == nil {
		err = t.refused(it, onHost("chmod", out.Chmod(fileModeOf(mode))))
	}
	if err == nil {
		err = t.attributes(it, func(name string, value []byte) error { return setHostXattr(out, name, value) })
	}
	return err
}

// owner sets owner and group, which is for root to do, and returns the mode that the file may have: without set-uid and
// set-gid where it is not the owner's for whom they were meant.
func (t *hostTree) owner(it *exportItem, chown func(uid, gid int) error) (mode uint16, err error) {
	const setID = layout.ModeSetUID | layout.ModeSetGID
	root := os.Geteuid() == 0
	if !root && it.Mode&setID == 0 {
		return it.Mode, nil
	}
	refused := chown(int(it.UID), int(it.GID))
	if refused == nil {
		return it.Mode, nil
	}
	if root {
		err = t.refused(it, onHost("chown", refused))
	}
	if it.Mode&setID != 0 && err == nil {
		t.x.o.LeftOut(it.path, errSetID)
	}
	return it.Mode &^ setID, err
}

var errSetID = errors.New("set-uid and set-gid, for the owner cannot be set")

// attributes sets extended attributes, in the order of their names.
func (t *hostTree) attributes(it *exportItem, set func(name string, value []byte) error) error {
	for _, name := range slices.Sorted(maps.Keys(it.Xattrs)) {
		if err := set(name, it.Xattrs[name]); err != nil {
			if err := t.refused(it, &xattrFault{name, err}); err != nil {
				return err
			}
		}
	}
	return nil
}

// refused names what the host did not take of a file that is made even so.
func (t *hostTree) refused(it *exportItem, err error) error {
	if err == nil {
		return nil
	}
	return t.x.refused(it.path, err)
}

// mknod makes a device, a FIFO or a socket.
func (t *hostTree) mknod(name string, it *exportItem) error {
	root := t.here().root
	dir, err := root.Open(".")
	if err != nil {
		return onHost("open", err)
	}
	err = makeSpecial(dir, name, &it.Entry)
	_ = dir.Close()
	if notForUs(err) {
		t.x.o.LeftOut(it.path, err)
		return nil
	}
	if err != nil {
		return onHost("mknod", err)
	}
	return t.special(name, it)
}

// special completes what is not opened: a device, a FIFO, a socket, a symbolic link.
func (t *hostTree) special(name string, it *exportItem) error {
	root := t.here().root
	mode, err := t.owner(it, func(uid, gid int) error { return root.Lchown(name, uid, gid) })
	if err == nil && it.kind() != layout.ModeSymlink {
		err = t.refused(it, onHost("chmod", root.Chmod(name, fileModeOf(mode))))
	}
	if err != nil {
		return err
	}
	dir, err := root.Open(".")
	if err != nil {
		return onHost("open", err)
	}
	defer dir.Close()
	err = t.attributes(it, func(attr string, value []byte) error { return setSpecialXattr(dir, name, attr, value) })
	if err == nil {
		err = t.refused(it, onHost("utimes", setSpecialTimes(dir, name, it.Atime, it.Mtime)))
	}
	return err
}

// fileModeOf is the fs.FileMode of i_mode's permissions.
func fileModeOf(mode uint16) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	if mode&layout.ModeSetUID != 0 {
		m |= fs.ModeSetuid
	}
	if mode&layout.ModeSetGID != 0 {
		m |= fs.ModeSetgid
	}
	if mode&layout.ModeSticky != 0 {
		m |= fs.ModeSticky
	}
	return m
}
