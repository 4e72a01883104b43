package ext4

import (
	"path"
	"syscall"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Attr is the owner and the permissions of a new inode.
type Attr struct {
	Perm     uint16 // permission bits, set-uid, set-gid and sticky bit of i_mode
	UID, GID uint32
}

// baseName is the last name of a path.
func baseName(name string) string {
	if b := path.Base(path.Clean("/" + name)); b != "/" {
		return b
	}
	return "."
}

// root is the spot of a path that starts at the root.
func root(path string) names.Spot { return names.Root(path) }

// create runs fn in one handle, with the place of a name that does not exist yet. dir says that it is to be a
// directory.
func (f *FS) create(s names.Spot, dir bool, fn func(h *journal.Handle, p names.Place) (layout.Ino, error)) (layout.Ino, error) {
	var made layout.Ino
	_, err := f.vol.Update(f.names.CreateCredits(), func(h *journal.Handle) error {
		p, err := f.names.WalkNew(h, s, dir)
		if err != nil {
			return err
		}
		made, err = fn(h, p)
		return err
	})
	return made, err
}

// Mkdir makes a directory.
func (f *FS) Mkdir(name string, a Attr) error {
	_, err := f.mkdirAt(root(name), a)
	return err
}

func (f *FS) mkdirAt(s names.Spot, a Attr) (layout.Ino, error) {
	made, err := f.create(s, true, func(h *journal.Handle, p names.Place) (layout.Ino, error) {
		return f.names.Mkdir(h, p, names.Attr(a))
	})
	return made, pathError("mkdir", s.String(), err)
}

// MkdirAll makes a directory and the missing directories above it. It is no error if the directory exists.
func (f *FS) MkdirAll(name string, a Attr) error {
	sofar := ""
	for _, part := range names.Split(name) {
		sofar += "/" + part
		info, err := f.Stat(sofar)
		switch {
		case err == nil && !info.IsDir():
			return pathError("mkdir", sofar, syscall.ENOTDIR)
		case err == nil:
			continue
		case !isNotExist(err):
			return err
		}
		if err := f.Mkdir(sofar, a); err != nil {
			return err
		}
	}
	return nil
}

// Symlink makes a symbolic link to target. A short target is stored in the inode, a long one in a block of its own.
func (f *FS) Symlink(target, name string, a Attr) error {
	_, err := f.symlinkAt(target, root(name), a)
	return err
}

func (f *FS) symlinkAt(target string, s names.Spot, a Attr) (layout.Ino, error) {
	if err := names.CheckTarget(target); err != nil {
		return 0, pathError("symlink", s.String(), err)
	}
	made, err := f.create(s, false, func(h *journal.Handle, p names.Place) (layout.Ino, error) {
		return f.names.Symlink(h, p, target, names.Attr(a))
	})
	return made, pathError("symlink", s.String(), err)
}

// Mknod makes a device, a FIFO or a socket: mode is its type.
func (f *FS) Mknod(name string, mode uint16, a Attr, major, minor uint32) error {
	_, err := f.mknodAt(root(name), mode, a, major, minor)
	return err
}

func (f *FS) mknodAt(s names.Spot, mode uint16, a Attr, major, minor uint32) (layout.Ino, error) {
	made, err := f.create(s, mode == layout.ModeDir, func(h *journal.Handle, p names.Place) (layout.Ino, error) {
		return f.names.Mknod(h, p, mode, names.Attr(a), major, minor)
	})
	return made, pathError("mknod", s.String(), err)
}

// Link gives a file another name. A directory cannot have a second name.
func (f *FS) Link(oldname, newname string) error { return f.linkAt(root(oldname), root(newname)) }

func (f *FS) linkAt(old, to names.Spot) error {
	_, err := f.vol.Update(f.names.Credits(), func(h *journal.Handle) error {
		ino, err := f.names.Walk(h, old, false)
		if err != nil {
			return err
		}
		p, err := f.names.WalkNew(h, to, false)
		if err != nil {
			return err
		}
		return f.names.Link(h, ino, p)
	})
	return pathError("link", to.String(), err)
}

// ErrSameFile says that a name cannot be replaced by the file that it already names.
var ErrSameFile = names.ErrSameFile

// takeName runs fn, which may remove a link from an inode, in one handle. That inode, if fn returns one, is deleted
// when it has no links and is not in use any more.
func (f *FS) takeName(credits int, fn func(h *journal.Handle) (gone layout.Ino, err error)) error {
	var last *openInode
	tid, err := f.vol.Update(credits, func(h *journal.Handle) error {
		gone, err := fn(h)
		if err == nil && gone != 0 {
			f.hold(h, gone, &last)
		}
		return err
	})
	if err != nil {
		return err
	}
	return f.letGo(last, tid)
}

// hold takes a reference to an inode when the handle ends, if it succeeds. So no other goroutine can free the inode
// first, and its number is not used again.
func (f *FS) hold(h *journal.Handle, ino layout.Ino, n **openInode) {
	h.AtEnd(func(ok bool) {
		if ok {
			*n = f.get(ino)
		}
	})
}

// letGo gives back the reference to an inode whose name was removed; gone may be nil.
func (f *FS) letGo(gone *openInode, tid journal.TID) error {
	if gone == nil {
		return nil
	}
	gone.changed(tid)
	return f.put(gone)
}

// LinkOver is Link, but replaces newname in one step if it exists and is not a directory. If newname is oldname, or
// the only name of the file, the error is ErrSameFile; if it is another name of the same file, nothing changes.
func (f *FS) LinkOver(oldname, newname string) error { return f.linkOver(root(oldname), root(newname)) }

func (f *FS) linkOver(old, to names.Spot) error {
	err := f.takeName(f.names.Credits(), func(h *journal.Handle) (gone layout.Ino, err error) {
		ino, err := f.names.Walk(h, old, false)
		if err != nil {
			return 0, err
		}
		var from names.Place
		if old.Path != "" {
			if from, err = f.names.WalkParent(h, old); err != nil {
				return 0, err
			}
		}
		p, there, err := f.names.WalkOver(h, to)
		if err != nil {
			return 0, err
		}
		return f.names.LinkOver(h, ino, from, p, there)
	})
	return pathError("link", to.String(), err)
}

// SymlinkOver is Symlink, but replaces name in one step if it exists and is not a directory. If the link would
// replace the very file to which it leads, the error is ErrSameFile.
func (f *FS) SymlinkOver(target, name string, a Attr) error {
	_, err := f.symlinkOver(target, root(name), a)
	return err
}

func (f *FS) symlinkOver(target string, s names.Spot, a Attr) (made layout.Ino, err error) {
	if err := names.CheckTarget(target); err != nil {
		return 0, pathError("symlink", s.String(), err)
	}
	err = f.takeName(f.names.CreateCredits(), func(h *journal.Handle) (gone layout.Ino, err error) {
		p, there, err := f.names.WalkOver(h, s)
		if err != nil {
			return 0, err
		}
		made, gone, err = f.names.SymlinkOver(h, p, target, names.Attr(a), there)
		return gone, err
	})
	return made, pathError("symlink", s.String(), err)
}
