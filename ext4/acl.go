package ext4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"ext4img/ext4/layout"
	"ext4img/journal"
)

// The attributes that hold POSIX access control lists, in the form of Linux's xattr interface.
const (
	XattrACLAccess  = "system.posix_acl_access"
	XattrACLDefault = "system.posix_acl_default" // of a directory: what new files in it begin with

	aclAccess, aclDefault = XattrACLAccess, XattrACLDefault
)

// An acl is a POSIX access control list (acl(5)).
type acl []aclEntry

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

func isACL(attr string) bool { return attr == aclAccess || attr == aclDefault }

// aclTags are those that there are, in the order of a list.
var aclTags = []uint16{layout.ACLUserObj, layout.ACLUser, layout.ACLGroupObj, layout.ACLGroup, layout.ACLMask, layout.ACLOther}

func (e aclEntry) named() bool { return e.tag == layout.ACLUser || e.tag == layout.ACLGroup }

// parseACL decodes a list. An empty one stands for none.
func parseACL(v []byte) (acl, error) {
	le := binary.LittleEndian
	switch {
	case len(v) == 0:
		return nil, nil
	case len(v) < layout.ACLHeaderSize:
		return nil, fmt.Errorf("list of %d bytes: %w", len(v), syscall.EINVAL)
	case le.Uint32(v) != layout.ACLVersion:
		return nil, fmt.Errorf("list of version %d: %w", le.Uint32(v), syscall.EOPNOTSUPP)
	}
	var list acl
	for v = v[layout.ACLHeaderSize:]; len(v) >= layout.ACLEntrySize; v = v[layout.ACLEntrySize:] {
		e := aclEntry{le.Uint16(v), le.Uint16(v[2:]), le.Uint32(v[4:])}
		if !slices.Contains(aclTags, e.tag) || e.named() && e.id == layout.ACLNoID {
			return nil, fmt.Errorf("list with an entry %#x for %d: %w", e.tag, e.id, syscall.EINVAL)
		}
		list = append(list, e)
	}
	if len(v) > 0 {
		return nil, fmt.Errorf("list that ends inside an entry: %w", syscall.EINVAL)
	}
	return list, nil
}

// valid tells whether a list has the entries it must have, each once and in order: owner, users, group, groups, mask,
// others. Users and groups need a mask.
func (a acl) valid() bool {
	count, last := map[uint16]int{}, 0
	for _, e := range a {
		at := slices.Index(aclTags, e.tag)
		if at < last || e.perm > 7 || !e.named() && count[e.tag] > 0 {
			return false
		}
		last = at
		count[e.tag]++
	}
	needsMask := count[layout.ACLUser]+count[layout.ACLGroup] > 0
	return count[layout.ACLUserObj] == 1 && count[layout.ACLGroupObj] == 1 && count[layout.ACLOther] == 1 &&
		(count[layout.ACLMask] == 1 || !needsMask)
}

func (a acl) encode() []byte {
	v := binary.LittleEndian.AppendUint32(nil, layout.ACLVersion)
	for _, e := range a {
		v = binary.LittleEndian.AppendUint16(v, e.tag)
		v = binary.LittleEndian.AppendUint16(v, e.perm)
		v = binary.LittleEndian.AppendUint32(v, e.id)
	}
	return v
}

// classes calls fn with the entries that i_mode's permissions stand for, and by how much they are shifted there: owner,
// mask or, without one, group, and others.
func (a acl) classes(fn func(e *aclEntry, shift int)) {
	group := uint16(layout.ACLGroupObj)
	if a.has(layout.ACLMask) {
		group = layout.ACLMask
	}
	for i := range a {
		switch a[i].tag {
		case layout.ACLUserObj:
			fn(&a[i], 6)
		case group:
			fn(&a[i], 3)
		case layout.ACLOther:
			fn(&a[i], 0)
		}
	}
}

func (a acl) has(tag uint16) bool {
	return slices.ContainsFunc(a, func(e aclEntry) bool { return e.tag == tag })
}

// perm is what i_mode says of a list.
func (a acl) perm() (perm uint16) {
	a.classes(func(e *aclEntry, shift int) { perm |= e.perm << shift })
	return perm
}

// setPerm makes a list say what i_mode says.
func (a acl) setPerm(perm uint16) {
	a.classes(func(e *aclEntry, shift int) { e.perm = perm >> shift & 7 })
}

// aclOf reads a list of an inode, nil if it has none.
func (f *FS) aclOf(r journal.Reader, ino layout.Ino, attr string) (acl, error) {
	v, err := f.vol.Attrs.Get(r, ino, attr)
	if errors.Is(err, ErrNoXattr) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseACL(v)
}

// putACL stores a list, or none, and tells whether that is a change. An access list that says no more than i_mode is not
// stored.
func (f *FS) putACL(h *journal.Handle, ino layout.Ino, attr string, list acl) (changed bool, err error) {
	old, err := f.vol.Attrs.Get(h, ino, attr)
	if err != nil && !errors.Is(err, ErrNoXattr) {
		return false, err
	}
	had, v := err == nil, list.encode()
	switch keep := list.storable(attr); {
	case keep == had && (!keep || bytes.Equal(v, old)):
		return false, nil
	case keep:
		return true, f.vol.Attrs.Set(h, ino, attr, v, 0)
	}
	return true, f.vol.Attrs.Remove(h, ino, attr)
}

// storable tells whether a list says more than i_mode.
func (a acl) storable(attr string) bool {
	return len(a) > 0 && (attr == aclDefault || a.has(layout.ACLMask) || slices.ContainsFunc(a, aclEntry.named))
}

// setACL is setxattr(2) of a list: with an access list go the permissions.
func (f *FS) setACL(h *journal.Handle, ino layout.Ino, rec layout.Inode, attr string, value []byte) error {
	list, err := parseACL(value)
	switch {
	case err != nil:
		return err
	case rec.Type() == layout.ModeSymlink:
		return syscall.EOPNOTSUPP
	case attr == aclDefault && !rec.IsDir() && len(list) > 0:
		return syscall.EACCES
	case len(list) > 0 && !list.valid():
		return fmt.Errorf("list with entries missing, or out of order: %w", syscall.EINVAL)
	}
	mode := rec.Mode()
	if attr == aclAccess && len(list) > 0 {
		rec.SetMode(mode&^0o777 | list.perm())
	}
	changed, err := f.putACL(h, ino, attr, list)
	if err == nil && !changed && rec.Mode() == mode {
		return errSame
	}
	return err
}

// chmodACL has the access list of an inode, if there is one, say what its new mode says.
func (f *FS) chmodACL(h *journal.Handle, ino layout.Ino, mode uint16) error {
	list, err := f.aclOf(h, ino, aclAccess)
	if err != nil || len(list) == 0 {
		return err
	}
	list.setPerm(mode)
	_, err = f.putACL(h, ino, aclAccess, list)
	return err
}

// inheritACL gives a new inode what its directory's default list says: the list itself to a directory, and an access
// list, of which no more remains than the mode asked for, to all but symbolic links.
func (f *FS) inheritACL(h *journal.Handle, dir, ino layout.Ino) error {
	list, err := f.aclOf(h, dir, aclDefault)
	if err != nil || len(list) == 0 {
		return err
	}
	rec, err := f.vol.Inodes.Edit(h, ino)
	if err != nil || rec.Type() == layout.ModeSymlink {
		return err
	}
	if rec.IsDir() {
		if _, err := f.putACL(h, ino, aclDefault, list); err != nil {
			return err
		}
	}
	mode := rec.Mode()
	list.classes(func(e *aclEntry, shift int) { e.perm &= mode >> shift & 7 })
	rec.SetMode(mode&^0o777 | list.perm())
	_, err = f.putACL(h, ino, aclAccess, list)
	return err
}
