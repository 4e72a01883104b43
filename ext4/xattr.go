package ext4

import (
	"bytes"
	"strings"
	"syscall"

	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Flags of SetXattr, with the values of setxattr(2).
const (
	XattrCreate  = xattr.Create  // the attribute must not exist
	XattrReplace = xattr.Replace // it must
)

// ErrNoXattr says that a file has no such attribute: syscall.ENODATA.
const ErrNoXattr = xattr.ErrNoData

// Xattr returns the value of an attribute, named with its prefix: "user.note". follow: of what a symbolic link at the
// end leads to.
func (f *FS) Xattr(name, attr string, follow bool) ([]byte, error) {
	return f.xattrAt(root(name), attr, follow)
}

func (f *FS) xattrAt(s spot, attr string, follow bool) ([]byte, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	var value []byte
	err := checkXattr(attr, 0)
	if err == nil {
		value, err = f.xattr(v, s, attr, follow)
	}
	return value, pathError("getxattr", s.String(), err)
}

func (f *FS) xattr(v *journal.View, s spot, attr string, follow bool) ([]byte, error) {
	ino, err := f.walk(v, s, follow)
	if err != nil {
		return nil, err
	}
	rec, err := f.vol.Inodes.Read(v, ino)
	if err != nil {
		return nil, err
	}
	if err := mayXattr(rec, attr, ErrNoXattr); err != nil {
		return nil, err
	}
	if isACL(attr) && rec.Type() == layout.ModeSymlink {
		return nil, syscall.EOPNOTSUPP
	}
	return f.vol.Attrs.Get(v, ino, attr)
}

// Limits of extended attributes, as in Linux.
const (
	maxXattrName  = 255
	maxXattrValue = 65536
)

// checkXattr judges the arguments alone.
func checkXattr(attr string, size int) error {
	switch {
	case attr == "" || len(attr) > maxXattrName:
		return syscall.ERANGE
	case size > maxXattrValue:
		return syscall.E2BIG
	}
	return nil
}

// mayXattr judges whether an inode can have such an attribute: those of users are for files and directories, and
// otherwise the error is none.
func mayXattr(rec layout.Inode, attr string, none error) error {
	if strings.HasPrefix(attr, "user.") && !rec.IsRegular() && !rec.IsDir() {
		return none
	}
	switch attr {
	case "user.", "trusted.", "security.":
		return syscall.EINVAL
	}
	return nil
}

// Xattrs lists the names of a file's attributes.
func (f *FS) Xattrs(name string, follow bool) ([]string, error) {
	return f.xattrsAt(root(name), follow)
}

func (f *FS) xattrsAt(s spot, follow bool) ([]string, error) {
	v := f.vol.Journal.View()
	defer v.Close()
	ino, err := f.walk(v, s, follow)
	if err != nil {
		return nil, pathError("listxattr", s.String(), err)
	}
	list, err := f.vol.Attrs.List(v, ino)
	names := make([]string, 0, len(list))
	for _, a := range list {
		names = append(names, a.Name)
	}
	return names, pathError("listxattr", s.String(), err)
}

// SetXattr sets an attribute. An access control list changes the permissions with it, and what is no more than them, or
// empty, is removed, as in the kernel; flags are for other attributes. Capabilities, which the next change of the file
// takes away, must be of revision 2 or 3.
func (f *FS) SetXattr(name, attr string, value []byte, flags int, follow bool) error {
	if err := checkXattr(attr, len(value)); err != nil {
		return pathError("setxattr", name, err)
	}
	return f.change("setxattr", root(name), follow, f.vol.Attrs.Credits(len(value)), func(h *journal.Handle, ino layout.Ino, rec layout.Inode) error {
		if err := mayXattr(rec, attr, syscall.EPERM); err != nil {
			return err
		}
		if isACL(attr) {
			return f.setACL(h, ino, rec, attr, value)
		}
		if attr == XattrCapability {
			if !capabilityOK(value) {
				return syscall.EINVAL
			}
			f.capabilitySet(ino)
		}
		if old, err := f.vol.Attrs.Get(h, ino, attr); err == nil && bytes.Equal(old, value) && flags&XattrCreate == 0 {
			return errSame
		}
		return f.vol.Attrs.Set(h, ino, attr, value, flags)
	})
}

// RemoveXattr removes an attribute: ErrNoXattr if there is none, but for access control lists.
func (f *FS) RemoveXattr(name, attr string, follow bool) error {
	if err := checkXattr(attr, 0); err != nil {
		return pathError("removexattr", name, err)
	}
	return f.change("removexattr", root(name), follow, f.vol.Attrs.Credits(0), func(h *journal.Handle, ino layout.Ino, rec layout.Inode) error {
		if err := mayXattr(rec, attr, syscall.EPERM); err != nil {
			return err
		}
		if isACL(attr) {
			return f.setACL(h, ino, rec, attr, nil)
		}
		return f.vol.Attrs.Remove(h, ino, attr)
	})
}
