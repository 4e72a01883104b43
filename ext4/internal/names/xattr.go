package names

import (
	"bytes"
	"strings"
	"syscall"

	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// Limits of extended attributes, as in Linux.
const (
	maxXattrName  = 255
	maxXattrValue = 65536
)

// CheckXattr checks only the arguments.
func CheckXattr(attr string, size int) error {
	switch {
	case attr == "" || len(attr) > maxXattrName:
		return syscall.ERANGE
	case size > maxXattrValue:
		return syscall.E2BIG
	}
	return nil
}

// MayXattr checks whether an inode can have an attribute of that name. Attributes of users are only for files and
// directories; for other inodes the error is none.
func MayXattr(rec layout.Inode, attr string, none error) error {
	if strings.HasPrefix(attr, "user.") && !rec.IsRegular() && !rec.IsDir() {
		return none
	}
	switch attr {
	case "user.", "trusted.", "security.":
		return syscall.EINVAL
	}
	return nil
}

// Xattr returns the value of an attribute, named with its prefix: "user.note". The error is xattr.ErrNoData if there
// is none.
func (n *Names) Xattr(r journal.Reader, ino layout.Ino, attr string) ([]byte, error) {
	rec, err := n.Inodes.Read(r, ino)
	if err != nil {
		return nil, err
	}
	if err := MayXattr(rec, attr, xattr.ErrNoData); err != nil {
		return nil, err
	}
	if IsACL(attr) && rec.Type() == layout.ModeSymlink {
		return nil, syscall.EOPNOTSUPP
	}
	return n.Attrs.Get(r, ino, attr)
}

// Xattrs lists the names of an inode's attributes.
func (n *Names) Xattrs(r journal.Reader, ino layout.Ino) ([]string, error) {
	list, err := n.Attrs.List(r, ino)
	names := make([]string, 0, len(list))
	for _, a := range list {
		names = append(names, a.Name)
	}
	return names, err
}

// SetXattr sets an attribute, whose arguments must have passed CheckXattr. An access control list also changes the
// permissions. A list that says no more than the permissions, or is empty, is removed, as in the kernel. flags are
// xattr.Create and xattr.Replace; they do not apply to lists. Capabilities must be of revision 2 or 3.
func (n *Names) SetXattr(h *journal.Handle, ino layout.Ino, attr string, value []byte, flags int) error {
	return n.change(h, ino, func(rec layout.Inode) error {
		if err := MayXattr(rec, attr, syscall.EPERM); err != nil {
			return err
		}
		if IsACL(attr) {
			return n.SetACL(h, ino, rec, attr, value)
		}
		if attr == XattrCapability && !CapabilityOK(value) {
			return syscall.EINVAL
		}
		if old, err := n.Attrs.Get(h, ino, attr); err == nil && bytes.Equal(old, value) && flags&xattr.Create == 0 {
			return ErrSame
		}
		return n.Attrs.Set(h, ino, attr, value, flags)
	})
}

// RemoveXattr removes an attribute. If there is none, the error is xattr.ErrNoData, except for access control lists.
func (n *Names) RemoveXattr(h *journal.Handle, ino layout.Ino, attr string) error {
	return n.change(h, ino, func(rec layout.Inode) error {
		if err := MayXattr(rec, attr, syscall.EPERM); err != nil {
			return err
		}
		if IsACL(attr) {
			return n.SetACL(h, ino, rec, attr, nil)
		}
		return n.Attrs.Remove(h, ino, attr)
	})
}
