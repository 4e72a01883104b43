package ext4

import (
	"os"
	"time"

	"ext4img/ext4/internal/names"
	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// change runs fn, which changes the inode of a spot, in one handle.
func (f *FS) change(op string, s names.Spot, follow bool, credits int, fn func(h *journal.Handle, ino layout.Ino) error) error {
	_, err := f.vol.Update(credits, func(h *journal.Handle) error {
		ino, err := f.names.Walk(h, s, follow)
		if err != nil {
			return err
		}
		return fn(h, ino)
	})
	return pathError(op, s.String(), err)
}

// Chmod sets the permissions, set-uid, set-gid and sticky bit, as i_mode has them (PermBits). A symbolic link is
// followed. An access control list changes with them.
func (f *FS) Chmod(name string, perm uint16) error { return f.chmodAt(root(name), perm) }

func (f *FS) chmodAt(s names.Spot, perm uint16) error {
	return f.change("chmod", s, true, f.names.AttrCredits(0), func(h *journal.Handle, ino layout.Ino) error {
		return f.names.Chmod(h, ino, perm)
	})
}

// Chown sets owner and group; -1 leaves one as it is. As in Linux, it removes set-uid, set-gid and capabilities. A
// symbolic link is followed.
func (f *FS) Chown(name string, uid, gid int) error {
	return f.chown("chown", root(name), uid, gid, true)
}

// Lchown is Chown of a symbolic link itself.
func (f *FS) Lchown(name string, uid, gid int) error {
	return f.chown("lchown", root(name), uid, gid, false)
}

func (f *FS) chown(op string, s names.Spot, uid, gid int, follow bool) error {
	if err := names.CheckOwner(uid, gid); err != nil {
		return pathError(op, s.String(), err)
	}
	return f.change(op, s, follow, f.names.AttrCredits(0), func(h *journal.Handle, ino layout.Ino) error {
		return f.names.Chown(h, ino, uid, gid)
	})
}

// Chtimes sets the times of access and modification; a zero Time leaves one as it is. A symbolic link is followed.
func (f *FS) Chtimes(name string, atime, mtime time.Time) error {
	return f.chtimes("chtimes", root(name), atime, mtime, true)
}

// Lchtimes is Chtimes of a symbolic link itself.
func (f *FS) Lchtimes(name string, atime, mtime time.Time) error {
	return f.chtimes("lchtimes", root(name), atime, mtime, false)
}

func (f *FS) chtimes(op string, s names.Spot, atime, mtime time.Time, follow bool) error {
	return f.change(op, s, follow, 3, func(h *journal.Handle, ino layout.Ino) error {
		if err := f.names.Chtimes(h, ino, atime, mtime); err != nil {
			return err
		}
		if !mtime.IsZero() {
			h.AtEnd(func(ok bool) {
				if ok {
					f.mtimeSet(ino)
				}
			})
		}
		return nil
	})
}

// Truncate sets the size of the file that a path leads to, in bytes.
func (f *FS) Truncate(name string, size int64) error {
	file, err := f.openFile(name, os.O_WRONLY, Attr{})
	if err != nil {
		return pathError("truncate", name, err)
	}
	err = file.Truncate(size)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

// The attributes that hold POSIX access control lists, in the form of Linux's xattr interface.
const (
	XattrACLAccess  = names.XattrACLAccess
	XattrACLDefault = names.XattrACLDefault // of a directory: the list that new files in it inherit
)

// XattrCapability is the attribute with the capabilities that a program has beyond those of its user. The next change
// of the file removes it.
const XattrCapability = names.XattrCapability

// Flags of SetXattr, with the values of setxattr(2).
const (
	XattrCreate  = xattr.Create  // the attribute must not exist
	XattrReplace = xattr.Replace // the attribute must exist
)

// ErrNoXattr says that a file has no such attribute: syscall.ENODATA.
const ErrNoXattr = xattr.ErrNoData

// Xattr returns the value of an attribute, named with its prefix: "user.note". If follow is set, a symbolic link at
// the end of the path is followed.
func (f *FS) Xattr(name, attr string, follow bool) ([]byte, error) {
	return f.xattrAt(root(name), attr, follow)
}

func (f *FS) xattrAt(s names.Spot, attr string, follow bool) ([]byte, error) {
	if err := names.CheckXattr(attr, 0); err != nil {
		return nil, pathError("getxattr", s.String(), err)
	}
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, s, follow)
	if err != nil {
		return nil, pathError("getxattr", s.String(), err)
	}
	value, err := f.names.Xattr(v, ino, attr)
	return value, pathError("getxattr", s.String(), err)
}

// Xattrs lists the names of a file's attributes. An error names the part that cannot be read, the attribute block or those in
// the inode; the names in the other part are returned with it, and Xattr gives their values.
func (f *FS) Xattrs(name string, follow bool) ([]string, error) {
	return f.xattrsAt(root(name), follow)
}

func (f *FS) xattrsAt(s names.Spot, follow bool) ([]string, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.names.Walk(v, s, follow)
	if err != nil {
		return nil, pathError("listxattr", s.String(), err)
	}
	list, err := f.names.Xattrs(v, ino)
	return list, pathError("listxattr", s.String(), err)
}

// SetXattr sets an attribute. An access control list also changes the permissions. A list that says no more than the
// permissions, or is empty, is removed, as in the kernel. flags do not apply to lists. Capabilities must be of
// revision 2 or 3; the next change of the file removes them.
func (f *FS) SetXattr(name, attr string, value []byte, flags int, follow bool) error {
	return f.setXattrAt(root(name), attr, value, flags, follow)
}

func (f *FS) setXattrAt(s names.Spot, attr string, value []byte, flags int, follow bool) error {
	if err := names.CheckXattr(attr, len(value)); err != nil {
		return pathError("setxattr", s.String(), err)
	}
	return f.change("setxattr", s, follow, f.names.AttrCredits(len(value)), func(h *journal.Handle, ino layout.Ino) error {
		if attr == XattrCapability {
			f.capabilitySet(ino)
		}
		return f.names.SetXattr(h, ino, attr, value, flags)
	})
}

// RemoveXattr removes an attribute. If there is none, the error is ErrNoXattr, except for access control lists.
func (f *FS) RemoveXattr(name, attr string, follow bool) error {
	return f.removeXattrAt(root(name), attr, follow)
}

func (f *FS) removeXattrAt(s names.Spot, attr string, follow bool) error {
	if err := names.CheckXattr(attr, 0); err != nil {
		return pathError("removexattr", s.String(), err)
	}
	return f.change("removexattr", s, follow, f.names.AttrCredits(0), func(h *journal.Handle, ino layout.Ino) error {
		return f.names.RemoveXattr(h, ino, attr)
	})
}
