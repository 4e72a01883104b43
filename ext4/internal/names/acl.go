package names

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/internal/xattr"
	"ext4img/ext4/layout"
	"ext4img/journal"
)

// The attributes that hold POSIX access control lists, in the form of Linux's xattr interface.
const (
	XattrACLAccess  = "system.posix_acl_access"
	XattrACLDefault = "system.posix_acl_default" // of a directory: the list that new files in it inherit
)

// An ACL is a POSIX access control list (acl(5)).
type ACL []ACLEntry

// An ACLEntry is one line of a list: its kind, the user or group it names, and the permissions rwx.
type ACLEntry struct {
	Tag, Perm uint16
	ID        uint32 // the user or group, in an entry for one
}

// IsACL tells whether an attribute is an access control list.
func IsACL(attr string) bool { return attr == XattrACLAccess || attr == XattrACLDefault }

// aclTags are all tags, in the order of a list.
var aclTags = []uint16{layout.ACLUserObj, layout.ACLUser, layout.ACLGroupObj, layout.ACLGroup, layout.ACLMask, layout.ACLOther}

// Named tells whether an entry is for one user or group.
func (e ACLEntry) Named() bool { return e.Tag == layout.ACLUser || e.Tag == layout.ACLGroup }

// ParseACL decodes a list. An empty one stands for none.
func ParseACL(v []byte) (ACL, error) {
	le := binary.LittleEndian
	switch {
	case len(v) == 0:
		return nil, nil
	case len(v) < layout.ACLHeaderSize:
		return nil, fmt.Errorf("list of %d bytes: %w", len(v), syscall.EINVAL)
	case le.Uint32(v) != layout.ACLVersion:
		return nil, fmt.Errorf("list of version %d: %w", le.Uint32(v), syscall.EOPNOTSUPP)
	}
	var list ACL
	for v = v[layout.ACLHeaderSize:]; len(v) >= layout.ACLEntrySize; v = v[layout.ACLEntrySize:] {
		e := ACLEntry{le.Uint16(v), le.Uint16(v[2:]), le.Uint32(v[4:])}
		if !slices.Contains(aclTags, e.Tag) || e.Named() && e.ID == layout.ACLNoID {
			return nil, fmt.Errorf("list with an entry %#x for %d: %w", e.Tag, e.ID, syscall.EINVAL)
		}
		list = append(list, e)
	}
	if len(v) > 0 {
		return nil, fmt.Errorf("list that ends inside an entry: %w", syscall.EINVAL)
	}
	return list, nil
}

// Valid reports whether a list has the required entries, each once and in order: owner, users, group, groups, mask,
// others. If there are users or groups, a mask is required.
func (a ACL) Valid() bool {
	count, last := map[uint16]int{}, 0
	for _, e := range a {
		at := slices.Index(aclTags, e.Tag)
		if at < last || e.Perm > 7 || !e.Named() && count[e.Tag] > 0 {
			return false
		}
		last = at
		count[e.Tag]++
	}
	needsMask := count[layout.ACLUser]+count[layout.ACLGroup] > 0
	return count[layout.ACLUserObj] == 1 && count[layout.ACLGroupObj] == 1 && count[layout.ACLOther] == 1 &&
		(count[layout.ACLMask] == 1 || !needsMask)
}

// Encode returns the list in the form of Linux's xattr interface.
func (a ACL) Encode() []byte {
	v := binary.LittleEndian.AppendUint32(nil, layout.ACLVersion)
	for _, e := range a {
		v = binary.LittleEndian.AppendUint16(v, e.Tag)
		v = binary.LittleEndian.AppendUint16(v, e.Perm)
		v = binary.LittleEndian.AppendUint32(v, e.ID)
	}
	return v
}

// Classes calls fn with the entries for which i_mode has permissions, and with the shift of those permissions in
// i_mode: owner, mask (or group, if there is no mask), and others.
func (a ACL) Classes(fn func(e *ACLEntry, shift int)) {
	group := uint16(layout.ACLGroupObj)
	if a.Has(layout.ACLMask) {
		group = layout.ACLMask
	}
	for i := range a {
		switch a[i].Tag {
		case layout.ACLUserObj:
			fn(&a[i], 6)
		case group:
			fn(&a[i], 3)
		case layout.ACLOther:
			fn(&a[i], 0)
		}
	}
}

// Has tells whether a list has an entry of a kind.
func (a ACL) Has(tag uint16) bool {
	return slices.ContainsFunc(a, func(e ACLEntry) bool { return e.Tag == tag })
}

// Perm returns the permissions in i_mode that correspond to a list.
func (a ACL) Perm() (perm uint16) {
	a.Classes(func(e *ACLEntry, shift int) { perm |= e.Perm << shift })
	return perm
}

// SetPerm sets the entries of a list to the permissions of i_mode.
func (a ACL) SetPerm(perm uint16) {
	a.Classes(func(e *ACLEntry, shift int) { e.Perm = perm >> shift & 7 })
}

// aclOf reads a list of an inode; nil if it has none.
func (n *Names) aclOf(r journal.Reader, ino layout.Ino, attr string) (ACL, error) {
	v, err := n.Attrs.Get(r, ino, attr)
	if errors.Is(err, xattr.ErrNoData) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseACL(v)
}

// HasDefaultACL tells whether new files in a directory begin with a list of its own: then no umask counts.
func (n *Names) HasDefaultACL(r journal.Reader, dir layout.Ino) (bool, error) {
	list, err := n.aclOf(r, dir, XattrACLDefault)
	return len(list) > 0, err
}

// putACL stores a list, or removes it, and reports whether that is a change. An access list that says no more than
// i_mode is not stored.
func (n *Names) putACL(h *journal.Handle, ino layout.Ino, attr string, list ACL) (changed bool, err error) {
	old, err := n.Attrs.Get(h, ino, attr)
	if err != nil && !errors.Is(err, xattr.ErrNoData) {
		return false, err
	}
	had, v := err == nil, list.Encode()
	switch keep := list.Storable(attr); {
	case keep == had && (!keep || bytes.Equal(v, old)):
		return false, nil
	case keep:
		return true, n.Attrs.Set(h, ino, attr, v, 0)
	}
	return true, n.Attrs.Remove(h, ino, attr)
}

// Storable reports whether a list says more than i_mode, and so must be stored.
func (a ACL) Storable(attr string) bool {
	return len(a) > 0 && (attr == XattrACLDefault || a.Has(layout.ACLMask) || slices.ContainsFunc(a, ACLEntry.Named))
}

// SetACL is setxattr(2) of a list. An access list also changes the permissions.
func (n *Names) SetACL(h *journal.Handle, ino layout.Ino, rec layout.Inode, attr string, value []byte) error {
	list, err := ParseACL(value)
	switch {
	case err != nil:
		return err
	case rec.Type() == layout.ModeSymlink:
		return syscall.EOPNOTSUPP
	case attr == XattrACLDefault && !rec.IsDir() && len(list) > 0:
		return syscall.EACCES
	case len(list) > 0 && !list.Valid():
		return fmt.Errorf("list with entries missing, or out of order: %w", syscall.EINVAL)
	}
	mode := rec.Mode()
	if attr == XattrACLAccess && len(list) > 0 {
		rec.SetMode(mode&^0o777 | list.Perm())
	}
	changed, err := n.putACL(h, ino, attr, list)
	if err == nil && !changed && rec.Mode() == mode {
		return ErrSame
	}
	return err
}

// ChmodACL changes the access list of an inode, if there is one, to agree with its new mode.
func (n *Names) ChmodACL(h *journal.Handle, ino layout.Ino, mode uint16) error {
	list, err := n.aclOf(h, ino, XattrACLAccess)
	if err != nil || len(list) == 0 {
		return err
	}
	list.SetPerm(mode)
	_, err = n.putACL(h, ino, XattrACLAccess, list)
	return err
}

// InheritACL gives a new inode the default list of its directory. A directory gets the list itself as its default
// list. All inodes except symbolic links get it as their access list, limited by the mode asked for.
func (n *Names) InheritACL(h *journal.Handle, dir, ino layout.Ino) error {
	list, err := n.aclOf(h, dir, XattrACLDefault)
	if err != nil || len(list) == 0 {
		return err
	}
	rec, err := n.Inodes.Edit(h, ino)
	if err != nil || rec.Type() == layout.ModeSymlink {
		return err
	}
	if rec.IsDir() {
		if _, err := n.putACL(h, ino, XattrACLDefault, list); err != nil {
			return err
		}
	}
	mode := rec.Mode()
	list.Classes(func(e *ACLEntry, shift int) { e.Perm &= mode >> shift & 7 })
	rec.SetMode(mode&^0o777 | list.Perm())
	_, err = n.putACL(h, ino, XattrACLAccess, list)
	return err
}
