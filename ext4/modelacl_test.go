package ext4

import (
	"errors"
	"slices"
	"syscall"

	"ext4img/ext4/internal/names"
)

// acl is a list of an inode of the model. What lists mean is taken from the package: TestACLsLikeKernel has the kernel judge
// that; here they go through every other operation.
func (n *mnode) acl(attr string) names.ACL {
	list, err := names.ParseACL(n.xattrs[attr])
	if err != nil {
		panic(err)
	}
	return list
}

// putACL stores a list, or none, and tells whether that changes anything.
func (n *mnode) putACL(attr string, list names.ACL) (changed bool) {
	old, had := n.xattrs[attr]
	if !list.Storable(attr) {
		delete(n.xattrs, attr)
		return had
	}
	n.xattrs[attr] = list.Encode()
	return !had || !slices.Equal(old, n.xattrs[attr])
}

// inherit gives a new inode what its directory's default list says.
func (n *mnode) inherit(dir *mnode) {
	list := dir.acl(XattrACLDefault)
	if list == nil || n.isLink() {
		return
	}
	if n.isDir() {
		n.putACL(XattrACLDefault, list)
	}
	list.Classes(func(e *names.ACLEntry, shift int) { e.Perm &= n.mode >> shift & 7 })
	n.mode = n.mode&^0o777 | list.Perm()
	n.putACL(XattrACLAccess, list)
}

// aclAttribute is an operation on a list as an attribute, refused in the kernel's order.
func (m *model) aclAttribute(o *operation, n *mnode) outcome {
	v, had := n.xattrs[o.attr]
	switch {
	case o.kind == opGetxattr && n.isLink():
		return outcome{err: syscall.EOPNOTSUPP}
	case o.kind == opGetxattr && !had:
		return outcome{err: ErrNoXattr}
	case o.kind == opGetxattr:
		return outcome{data: string(v)}
	}
	var list names.ACL
	if o.kind == opSetxattr {
		var err error
		var no syscall.Errno
		if list, err = names.ParseACL(o.value()); errors.As(err, &no) {
			return outcome{err: no}
		}
	}
	switch {
	case n.isLink():
		return outcome{err: syscall.EOPNOTSUPP}
	case o.attr == XattrACLDefault && !n.isDir() && len(list) > 0:
		return outcome{err: syscall.EACCES}
	case len(list) > 0 && !list.Valid():
		return outcome{err: syscall.EINVAL}
	}
	mode := n.mode
	if o.attr == XattrACLAccess && len(list) > 0 {
		n.mode = mode&^0o777 | list.Perm()
	}
	if n.putACL(o.attr, list) || n.mode != mode {
		n.c = m.stamp()
	}
	return outcome{}
}
